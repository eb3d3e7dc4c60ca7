"""Evidence in a local directory: the object at bucket and key is the file `DIR/<bucket>/<key>`.

Two forms are read. *Kept*: what OpenTrail's local object store writes, a line `OPENTRAIL-OBJECT 1`, a line of JSON
(bucket, key, metadata, encryption), then the bytes, as they are or encrypted with AES-256-GCM. *Plain*: any other file
is the object's bytes, such as a copy made by `aws s3 sync`; its metadata is the JSON object in `<file>.metadata.json`,
if that is there.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opentrail_validator.readers.local_file import read_file, size_of
from opentrail_validator.readers.local_listing import list_files, list_folders
from opentrail_validator.readers.port import (
    MAX_BYTES,
    CouldNotRead,
    ListedObject,
    ObjectDamaged,
    ObjectMissing,
    Outcome,
    Place,
    ReaderUnavailable,
    StoredObject,
)
from opentrail_validator.readers.threads import Begun, ReadingThreads, read_one

T = TypeVar("T")

MAGIC: Final = b"OPENTRAIL-OBJECT 1\n"
METADATA_SUFFIX: Final = ".metadata.json"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_MAX_HEADER: Final = 64 * 1024
_MAX_METADATA: Final = 1 << 20
_THREADS: Final = 4
_PROBES: Final = 32
"""How many other objects are tried to tell a wrong storage key from an altered object."""


def read_storage_key(file: Path) -> bytes:
    """The storage key in a file of one line: 32 bytes in base64. Raises ReaderUnavailable."""
    try:
        key = base64.b64decode(file.read_bytes().strip(), validate=True)
    except OSError as error:
        raise ReaderUnavailable(f"The storage key {file} could not be read: {error.strerror}") from None
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ReaderUnavailable(f"The storage key {file} is not {_KEY_BYTES} bytes in base64")
    return key


class LocalDirectory:
    """Reads objects below a directory; `storage_key` opens those that are encrypted."""

    def __init__(self, root: Path, storage_key: bytes | None = None) -> None:
        if not root.is_dir():
            raise ReaderUnavailable(f"There is no directory {root}")
        self._root = root
        self._storage_key = AESGCM(storage_key) if storage_key else None
        self._key_fits = False
        self._threads = ReadingThreads(_THREADS)

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
        return read_one(self._begin, Place(bucket, key))

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """Reads many objects, several at a time; results come in the order of `places`."""
        return self._threads.read_all(self._begin, places, look)

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """Objects whose keys start with `prefix` and sort after `start_after`, in UTF-8 order. Raises CouldNotRead.

        When an object was put is when its file was last changed: a copy may have lost that.
        """
        folder = prefix[: prefix.rfind("/") + 1]
        if _is_safe(bucket) and all(map(_is_safe, folder.split("/")[:-1])) and _is_text(prefix + start_after):
            for key, modified in list_files(self._root / bucket, prefix, start_after):
                if not key.endswith(METADATA_SUFFIX):
                    yield ListedObject(key, modified)

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """The next parts of keys that go on after the folder `prefix` with a part and a `/`. Raises CouldNotRead."""
        if _is_safe(bucket) and all(map(_is_safe, prefix.split("/")[:-1])):
            yield from list_folders(self._root / bucket, prefix)

    def _begin(self, place: Place) -> Begun:
        path = self._path(place.bucket, place.key)
        return Begun(size_of(path), lambda: self._load(path))

    def _load(self, path: Path) -> StoredObject:
        data = read_file(path, MAX_BYTES)
        if data.startswith(MAGIC):
            return self._open(data)
        return StoredObject(data, _plain_metadata(path))

    def _path(self, bucket: str, key: str) -> Path:
        parts = [bucket, *key.split("/")]
        if not all(map(_is_safe, parts)):
            raise ObjectMissing(f"{bucket}/{key} is no path")
        return self._root.joinpath(*parts)

    def _open(self, data: bytes) -> StoredObject:
        """Opens the envelope of a kept object."""
        header = _read_header(data)
        body = data[header.size :]
        if header.encryption is not None:
            body = self._decrypt(header, data[: header.size], body)
        return StoredObject(body, {name.lower(): text for name, text in header.metadata.items()})

    def _decrypt(self, header: _Header, associated: bytes, ciphertext: bytes) -> bytes:
        """The data key is wrapped under the storage key; both layers are bound to the object's place and header."""
        data_key = self._unwrap(header)
        if data_key is None and not self._opens_any():
            raise CouldNotRead("the storage key does not fit")
        try:
            return AESGCM(data_key or b"").decrypt(_base64(header.encryption["nonce"]), ciphertext, associated)
        except (KeyError, TypeError, ValueError, InvalidTag):
            raise ObjectDamaged("it does not decrypt: it was altered") from None

    def _unwrap(self, header: _Header) -> bytes | None:
        """The object's data key; None if it does not come out with this storage key."""
        if self._storage_key is None:
            raise CouldNotRead("it is encrypted, and no storage key was given")
        try:
            wrapped = _base64(header.encryption["wrapped_key"])
            context = header.encryption.get("context", {"aws:s3:arn": f"arn:aws:s3:::{header.bucket}/{header.key}"})
            canonical = json.dumps(context, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
            return self._storage_key.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], canonical)
        except (AttributeError, KeyError, TypeError, ValueError, InvalidTag):
            return None

    def _opens_any(self) -> bool:
        """Whether the storage key opens another object: then it is the right key, and this object was altered."""
        if not self._key_fits:
            self._key_fits = any(map(self._opens, islice(self._root.glob("**/*.json.gz"), _PROBES)))
        return self._key_fits

    def _opens(self, path: Path) -> bool:
        try:
            header = _read_header(read_file(path, MAX_BYTES))
            return header.encryption is not None and self._unwrap(header) is not None
        except (ObjectMissing, ObjectDamaged, CouldNotRead):
            return False


class _Header(NamedTuple):
    """What the first two lines say, and how many bytes they are."""

    bucket: str
    key: str
    metadata: Mapping[str, str]
    encryption: Any
    size: int


def _read_header(data: bytes) -> _Header:
    size = data.find(b"\n", len(MAGIC), _MAX_HEADER) + 1
    try:
        fields = json.loads(data[len(MAGIC) : size].decode("utf-8"))
        header = _Header(fields["bucket"], fields["key"], fields["metadata"], fields["encryption"], size)
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ObjectDamaged("its header cannot be read") from None
    if not _is_text_map(header.metadata):
        raise ObjectDamaged("its metadata is not a map of texts")
    return header


def _base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _is_safe(part: str) -> bool:
    """Whether a part of a key names something inside its folder."""
    return part not in {"", ".", ".."} and "\0" not in part and _is_text(part)


def _is_text(part: str) -> bool:
    """Whether it can be written as UTF-8: JSON can name halves of characters, which no file's name has."""
    return part.isascii() or not any("\ud800" <= character <= "\udfff" for character in part)


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _plain_metadata(path: Path) -> Mapping[str, str] | None:
    try:
        metadata = json.loads(read_file(path.with_name(path.name + METADATA_SUFFIX), _MAX_METADATA))
    except ObjectMissing:
        return None
    except (ValueError, RecursionError):
        raise ObjectDamaged("the metadata beside it is not JSON") from None
    if not _is_text_map(metadata):
        raise ObjectDamaged("the metadata beside it is not a map of texts")
    return {name.lower(): value for name, value in metadata.items()}

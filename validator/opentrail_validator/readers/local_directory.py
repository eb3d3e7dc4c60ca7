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
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opentrail_validator.readers.port import (
    CouldNotRead,
    ObjectDamaged,
    ObjectMissing,
    ReaderUnavailable,
    StoredObject,
)

MAGIC: Final = b"OPENTRAIL-OBJECT 1\n"
METADATA_SUFFIX: Final = ".metadata.json"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_MAX_HEADER: Final = 64 * 1024


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

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
        path = self._path(bucket, key)
        data = _read(path)
        if data.startswith(MAGIC):
            return self._open(data)
        return StoredObject(data, _plain_metadata(path))

    def keys(self, bucket: str, prefix: str, start_after: str) -> Iterator[str]:
        """The keys that start with `prefix` and sort after `start_after`, in UTF-8 order. Raises CouldNotRead."""
        folder = prefix[: prefix.rfind("/") + 1]
        if not _is_safe(bucket) or not all(map(_is_safe, folder.split("/")[:-1])):
            return
        bucket_root = self._root / bucket
        found = []
        for path, _, names in os.walk(bucket_root / folder, onerror=_raise_could_not_read):
            found += [Path(path, name).relative_to(bucket_root).as_posix() for name in names]
        for key in sorted(found, key=str.encode):
            if key.startswith(prefix) and key.encode() > start_after.encode() and not key.endswith(METADATA_SUFFIX):
                yield key

    def _path(self, bucket: str, key: str) -> Path:
        parts = [bucket, *key.split("/")]
        if not all(map(_is_safe, parts)):
            raise ObjectMissing(f"{bucket}/{key} is no path")
        return self._root.joinpath(*parts)

    def _open(self, data: bytes) -> StoredObject:
        """Opens the envelope of a kept object."""
        end = data.find(b"\n", len(MAGIC), _MAX_HEADER) + 1
        try:
            header = json.loads(data[len(MAGIC) : end].decode("utf-8"))
            metadata = header["metadata"]
            encryption = header["encryption"]
            place = f"arn:aws:s3:::{header['bucket']}/{header['key']}"
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ObjectDamaged("the object's header cannot be read") from None
        if not _is_text_map(metadata):
            raise ObjectDamaged("the object's metadata is not a map of texts")
        body = data[end:] if encryption is None else self._decrypt(data[:end], data[end:], encryption, place)
        return StoredObject(body, {name.lower(): value for name, value in metadata.items()})

    def _decrypt(self, header: bytes, ciphertext: bytes, encryption: Any, place: str) -> bytes:
        """The data key is wrapped under the storage key; both layers are bound to the object's place and header."""
        if self._storage_key is None:
            raise CouldNotRead("it is encrypted, and no storage key was given")
        try:
            if encryption["algorithm"] != "AES-256-GCM":
                raise ObjectDamaged("the object's encryption is not AES-256-GCM")
            wrapped = base64.b64decode(encryption["wrapped_key"], validate=True)
            nonce = base64.b64decode(encryption["nonce"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise ObjectDamaged("the object's encryption header cannot be read") from None
        context = json.dumps({"aws:s3:arn": place}, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        try:
            data_key = self._storage_key.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
            return AESGCM(data_key).decrypt(nonce, ciphertext, header)
        except (InvalidTag, ValueError):
            raise ObjectDamaged("it cannot be decrypted with this storage key") from None


def _is_safe(part: str) -> bool:
    """Whether a part of a key names something inside its folder."""
    return part not in {"", ".", ".."} and "\0" not in part and "\\" not in part


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ObjectMissing(str(path)) from None
    except OSError as error:
        raise CouldNotRead(error.strerror or str(error)) from None


def _plain_metadata(path: Path) -> Mapping[str, str] | None:
    try:
        metadata = json.loads(_read(path.with_name(path.name + METADATA_SUFFIX)))
    except ObjectMissing:
        return None
    except (ValueError, RecursionError):
        raise ObjectDamaged("the metadata beside it is not JSON") from None
    if not _is_text_map(metadata):
        raise ObjectDamaged("the metadata beside it is not a map of texts")
    return {name.lower(): value for name, value in metadata.items()}


def _raise_could_not_read(error: OSError) -> None:
    """A folder that is not there holds nothing; one that cannot be read is not checked."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise CouldNotRead(error.strerror or str(error)) from None

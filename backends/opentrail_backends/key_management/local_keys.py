"""Keys in a folder: for one machine, or for several that share the folder.

    master.key     32 bytes: encrypts the signing keys; may be kept elsewhere instead (a mounted secret)
    storage.key    one line, base64 of 32 bytes: wraps data keys. A copy lets an auditor read objects, not sign
    signing/NAME   one signing key: the line `OPENTRAIL-SIGNING-KEY 1`, a 12-byte nonce, and AES-256-GCM of its PKCS#8
                   DER under the master key, associated data = that line (with its end) and NAME: so that files
                   cannot be exchanged

A wrapped data key is a 12-byte nonce and AES-256-GCM of the key under storage.key, associated data = the context as
canonical JSON (sorted keys, no spaces, UTF-8). Every file is written whole, synced, and given its name by link(2),
which never replaces: processes that start together agree on one master key and one storage key.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opentrail_backends.durable_files import create_private, sync_folder
from opentrail_backends.key_management.port import DataKey, KeyManagementError, KeyNotFound, SigningKey

_MAGIC = b"OPENTRAIL-SIGNING-KEY 1\n"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_MAX_LOADED = 128
_REFERENCE = re.compile(r"[a-z0-9-]{1,40}\.[0-9a-f]{32}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")


class LocalKeys:
    """The KeyManagement port on a folder."""

    def __init__(self, folder: Path, master_key: bytes | None = None) -> None:
        """Opens the folder; makes it, and the keys in it, at the first start.

        `master_key` (32 bytes) replaces `master.key`. Raises KeyManagementError: wrong permissions, a lost or damaged
        key, a master key that does not open the signing keys in the folder.
        """
        self._folder = folder
        self._signing = folder / "signing"
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, rsa.RSAPrivateKey] = OrderedDict()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._signing.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
            _check_permissions(folder, 0o022, "be written by others")
            self._master, self._storage = self._open_keys(master_key)
            self._check_master()
        except OSError as error:
            raise KeyManagementError(f"cannot open the keys in {folder}: {error.strerror or error}") from error

    def _open_keys(self, given: bytes | None) -> tuple[bytes, bytes]:
        """The master and the storage key. The storage key is made first: a master key alone shows that it was lost."""
        master_path, storage_path = self._folder / "master.key", self._folder / "storage.key"
        has_signed = any(self._references())
        if (has_signed or master_path.exists()) and not storage_path.exists():
            raise KeyManagementError(f"{storage_path} is lost: without it no object can be read; restore it")
        storage = _read_or_make(storage_path, base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n")
        if given is None and has_signed and not master_path.exists():
            raise KeyManagementError(
                f"{master_path} is lost: without it no signing key can be used; restore or give it"
            )
        master = given if given is not None else _read_or_make(master_path, secrets.token_bytes(_KEY_BYTES))
        if len(master) != _KEY_BYTES:
            raise KeyManagementError(f"the master key is {len(master)} bytes long, not {_KEY_BYTES}")
        return master, _storage_key(storage, storage_path)

    def _check_master(self) -> None:
        """Opens any one signing key, so that a wrong master key shows at the start and not at the next digest."""
        for reference in self._references():
            with suppress(KeyNotFound):  # just destroyed by another process
                self._decrypt(reference)
                return

    def _references(self) -> Iterator[str]:
        return (path.name for path in self._signing.iterdir() if _REFERENCE.fullmatch(path.name))

    def create_signing_key(self, region: str) -> SigningKey:
        """Makes an RSA-2048 pair; durable on return. Raises KeyManagementError."""
        if not _REGION.fullmatch(region):
            raise KeyManagementError(f"{region!r} is no name of a region")
        reference = f"{region}.{secrets.token_hex(16)}"
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        plain = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        nonce = os.urandom(_NONCE_BYTES)
        content = _MAGIC + nonce + AESGCM(self._master).encrypt(nonce, plain, _MAGIC + reference.encode())
        try:
            create_private(self._signing / reference, content)
        except OSError as error:
            raise KeyManagementError(f"cannot keep a signing key in {self._signing}: {error.strerror}") from error
        public = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
        return SigningKey(reference, public)

    def sign(self, reference: str, message: bytes) -> bytes:
        """PKCS#1 v1.5 over SHA-256. Raises KeyNotFound, also if another process destroyed it; KeyManagementError."""
        return self._private_key(reference).sign(message, padding.PKCS1v15(), hashes.SHA256())

    def _private_key(self, reference: str) -> rsa.RSAPrivateKey:
        path = self._path(reference)
        with self._lock:
            private = self._loaded.get(reference)
            if private is not None and path.exists():
                self._loaded.move_to_end(reference)
                return private
            self._loaded.pop(reference, None)
        plain = self._decrypt(reference)
        # The tag has proven that these are the bytes that we made: the costly check of the numbers is not needed.
        key = serialization.load_der_private_key(plain, None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise KeyManagementError(f"{path} holds no RSA key")
        with self._lock:
            self._loaded[reference] = key
            if len(self._loaded) > _MAX_LOADED:
                self._loaded.popitem(last=False)
        return key

    def _decrypt(self, reference: str) -> bytes:
        path = self._path(reference)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise KeyNotFound(f"there is no signing key {reference}, or it was destroyed") from None
        except OSError as error:
            raise KeyManagementError(f"cannot read {path}: {error.strerror}") from error
        if not content.startswith(_MAGIC):
            raise KeyManagementError(f"{path} is no signing key")
        nonce, ciphertext = content[len(_MAGIC) :][:_NONCE_BYTES], content[len(_MAGIC) + _NONCE_BYTES :]
        try:
            return AESGCM(self._master).decrypt(nonce, ciphertext, _MAGIC + reference.encode())
        except (InvalidTag, ValueError):
            raise KeyManagementError(f"{path} does not open with this master key, or was changed") from None

    def destroy_signing_key(self, reference: str) -> None:
        """Removes and overwrites the file; what copies a file system or a backup keeps, only they know."""
        path = self._path(reference)
        with self._lock:
            self._loaded.pop(reference, None)
        try:
            with path.open("r+b") as file:
                path.unlink()  # first the name: nobody shall read a key that is half overwritten
                sync_folder(self._signing)
                file.write(secrets.token_bytes(os.fstat(file.fileno()).st_size))
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            return
        except OSError as error:
            raise KeyManagementError(f"cannot destroy {path}: {error.strerror}") from error

    def _path(self, reference: str) -> Path:
        if not _REFERENCE.fullmatch(reference):
            raise KeyNotFound(f"{reference!r} is no signing key of this folder")
        return self._signing / reference

    def generate_data_key(self, context: Mapping[str, str]) -> DataKey:
        """A fresh data key; only with the same context it can be unwrapped."""
        plain, nonce = secrets.token_bytes(_KEY_BYTES), os.urandom(_NONCE_BYTES)
        return DataKey(plain, nonce + AESGCM(self._storage).encrypt(nonce, plain, canonical_context(context)))

    def decrypt_data_key(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """The plain data key. Raises KeyManagementError if key or context do not fit."""
        try:
            return AESGCM(self._storage).decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], canonical_context(context)
            )
        except (InvalidTag, ValueError):
            raise KeyManagementError(
                "the data key was wrapped by another storage key, or for another context"
            ) from None


def canonical_context(context: Mapping[str, str]) -> bytes:
    """A context as associated data: JSON with sorted keys, no spaces, UTF-8."""
    return json.dumps(dict(context), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _storage_key(content: bytes, path: Path) -> bytes:
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise KeyManagementError(f"{path} is not one line of base64 with {_KEY_BYTES} bytes")
    return key


def _read_or_make(path: Path, fresh: bytes) -> bytes:
    """The file's content; of several processes that make it at once, one wins and all read that one."""
    with suppress(FileExistsError):
        create_private(path, fresh)
    _check_permissions(path, 0o077, "be read or written by others")
    return path.read_bytes()


def _check_permissions(path: Path, forbidden: int, what: str) -> None:
    mode = path.stat().st_mode & 0o777
    if mode & forbidden:
        raise KeyManagementError(f"{path} has mode {mode:04o} and may {what}: chmod {mode & ~forbidden:04o} {path}")

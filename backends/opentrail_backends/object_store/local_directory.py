"""Buckets as folders: `ROOT/<bucket>/<key>`, one file per object, never replaced, envelope-encrypted.

A put writes a file of its own under `ROOT/.temporary`, syncs it, and gives it its name by link(2), which fails if the
name is taken: so an object is there whole or not at all, and exactly one of several writers wins. Then the folder is
synced, so that the object is durable on return. Any number of threads and processes may share a root.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from opentrail_backends.durable_files import sync_folder
from opentrail_backends.key_management.port import KeyManagement, KeyManagementError
from opentrail_backends.object_store.local_listing import list_keys
from opentrail_backends.object_store.local_object import (
    DamagedObject,
    Header,
    decode_body,
    encode_object,
    read_header,
)
from opentrail_backends.object_store.names import check_bucket, check_key, check_metadata, check_size
from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectInfo,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
    StoredObject,
)
from opentrail_backends.object_store.probe import PROBE_KEY, check_create_only

_TEMPORARY = ".temporary"  # no bucket's name begins with a dot
_FOLDER_MODE = 0o750
_FILE_MODE = 0o440  # nothing ever writes to an object again
_MAX_KNOWN_FOLDERS = 10_000
_TRIES = 10
_REFUSALS = {
    errno.ENAMETOOLONG: ("KeyTooLongError", "a part of the key is longer than this file system allows"),
    errno.ENOTDIR: ("KeyConflict", "an object lies where this key needs a folder"),
    errno.ENOSPC: ("InsufficientStorage", "the file system is full"),
    errno.EDQUOT: ("InsufficientStorage", "the disk quota is used up"),
    errno.EACCES: ("AccessDenied", "the folder may not be written"),
    errno.EPERM: ("AccessDenied", "the operation is not permitted here"),
    errno.EROFS: ("AccessDenied", "the file system is read-only"),
    errno.EXDEV: ("AccessDenied", "the bucket lies on another file system than the root"),
}


class LocalDirectoryObjectStore:
    """The ObjectStore port on a directory. With `key_management` each object is encrypted under a key of its own."""

    keeps_policies = False

    def __init__(self, root: Path, key_management: KeyManagement | None = None) -> None:
        """Opens (or makes) the directory and removes what a crash left under way. Raises ObjectStoreError."""
        self._root = root
        self._keys = key_management
        self._durable_folders: set[Path] = set()
        try:
            root.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            (root / _TEMPORARY).mkdir(mode=_FOLDER_MODE, exist_ok=True)
            sync_folder(root.parent)
            sync_folder(root)
            self._remove_leftovers()
        except OSError as error:
            raise _translated(error, f"cannot open {root}") from error

    def _remove_leftovers(self) -> None:
        """Removes temporary files whose writer is gone: a living writer holds a lock on its file."""
        for path in (self._root / _TEMPORARY).iterdir():
            with suppress(FileNotFoundError, BlockingIOError, PermissionError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        """Creates an object; durable on return. Raises as the port tells."""
        path = self._path(bucket, key)
        check_metadata(options.metadata)
        self._check_bucket_exists(bucket)
        try:
            header, stored = encode_object(bucket, key, body, options, self._keys)
        except KeyManagementError as error:
            raise PutRefused(f"no data key for {path}: {error}", "KMS.KeyUnavailable") from error
        exists = False
        for tries_left in range(_TRIES - 1, -1, -1):
            try:
                self._make_folders(path.parent)
                with self._temporary_file(header, stored) as temporary:
                    os.link(temporary, path, follow_symlinks=False)
                break
            except FileExistsError:
                exists = True
                break
            except OSError as error:
                # Not found: a process that was just opening the root took our file for a left-over one, or somebody
                # deleted the last object of a folder that we knew.
                self._durable_folders.clear()
                if error.errno != errno.ENOENT or tries_left == 0:
                    raise _translated(error, f"cannot put {path}") from error
        self._finish(path, exists=exists)

    def _finish(self, path: Path, *, exists: bool) -> None:
        """Makes the name durable; also another's, whose writer may die before its sync: our caller relies on it."""
        try:
            sync_folder(path.parent)
        except OSError as error:
            raise OutcomeUnknown(f"cannot sync the folder of {path}: {error.strerror}") from error
        if exists and path.is_dir():
            raise PutRefused(f"cannot put {path}: a folder has this name", "KeyConflict")
        if exists:
            raise ObjectAlreadyExists(f"{path} already exists")

    @contextmanager
    def _temporary_file(self, header: bytes, stored: bytes) -> Iterator[Path]:
        """A synced file of our own, locked while it is in use, removed afterwards."""
        temporary = self._root / _TEMPORARY / secrets.token_hex(16)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(header)
                file.write(stored)
                file.flush()
                os.fsync(file.fileno())
                yield temporary
            finally:
                with suppress(OSError):
                    temporary.unlink()

    def _make_folders(self, folder: Path) -> None:
        """Makes the folders of a key below its bucket, each durable in the one above it.

        One that is already there may have been made by a process that has not synced it yet: so each is synced once.
        """
        if folder in self._durable_folders or folder.parent == self._root:
            return
        self._make_folders(folder.parent)
        try:
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        except FileExistsError as error:
            # Of a folder, too, if somebody deleted it in the moment between the refusal and the look at what it was.
            if stat.S_ISDIR(folder.lstat().st_mode):
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        sync_folder(folder.parent)
        if len(self._durable_folders) >= _MAX_KNOWN_FOLDERS:
            self._durable_folders.clear()
        self._durable_folders.add(folder)

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads and decrypts an object; the tag proves that neither body nor header was changed.

        Raises ObjectNotFound, ObjectTooLarge, BucketNotFound, PutRefused (ObjectDamaged: the file is not what was put),
        OutcomeUnknown.
        """
        path = self._path(bucket, key)
        try:
            with self._open(bucket, path) as file:
                header = _header_of(file, bucket, key)
                check_size(header.body_size(os.fstat(file.fileno()).st_size), str(path))
                return StoredObject(decode_body(header, file.read(), self._keys), header.metadata)
        except DamagedObject as error:
            raise PutRefused(f"{path} is damaged: {error}", "ObjectDamaged") from error
        except KeyManagementError as error:
            raise PutRefused(f"no data key for {path}: {error}", "KMS.KeyUnavailable") from error
        except OSError as error:
            raise _translated(error, f"cannot read {path}") from error

    def metadata(self, bucket: str, key: str) -> Mapping[str, str]:
        """An object's user metadata. They are authenticated only by `get`, which decrypts. Raises as `get`."""
        path = self._path(bucket, key)
        try:
            with self._open(bucket, path) as file:
                return _header_of(file, bucket, key).metadata
        except DamagedObject as error:
            raise PutRefused(f"{path} is damaged: {error}", "ObjectDamaged") from error
        except OSError as error:
            raise _translated(error, f"cannot read {path}") from error

    def _open(self, bucket: str, path: Path) -> BinaryIO:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return os.fdopen(descriptor, "rb")
            os.close(descriptor)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}:
                raise
        self._check_bucket_exists(bucket)
        raise ObjectNotFound(f"there is no object {path}")

    def list(self, bucket: str, prefix: str = "", start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects in UTF-8 byte order of whole keys. Raises BucketNotFound, PutRefused, OutcomeUnknown."""
        check_bucket(bucket)
        self._check_bucket_exists(bucket)
        try:
            for key in list_keys(os.fsencode(self._root / bucket), prefix.encode(), start_after.encode()):
                with suppress(FileNotFoundError):
                    yield ObjectInfo(key, _body_size(self._root / bucket / key))
        except OSError as error:
            raise _translated(error, f"cannot list {self._root / bucket}") from error

    def delete(self, bucket: str, key: str) -> None:
        """Removes an object, and the folders that it leaves empty. Raises as the port tells."""
        path = self._path(bucket, key)
        self._check_bucket_exists(bucket)
        try:
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                path.unlink()
                sync_folder(path.parent)
        except OSError as error:
            raise _translated(error, f"cannot delete {path}") from error
        # A put into such a folder at this moment makes it anew.
        with suppress(OSError):
            for folder in path.parents[: len(Path(key).parts) - 1]:
                folder.rmdir()
                self._durable_folders.discard(folder)

    def probe(self, bucket: str) -> None:
        """Checks on the real file system, keys included, that a put never replaces. Raises as the port tells."""
        check_create_only(self, bucket, remove=(self._root / bucket / PROBE_KEY).unlink)

    def create_bucket(self, bucket: str) -> None:
        """Makes the bucket's folder if there is none."""
        check_bucket(bucket)
        try:
            (self._root / bucket).mkdir(mode=_FOLDER_MODE, exist_ok=True)
            sync_folder(self._root)
        except OSError as error:
            raise _translated(error, f"cannot make {self._root / bucket}") from error

    def bucket_policy(self, bucket: str) -> None:
        """There are no policies here. Raises BucketNotFound."""
        check_bucket(bucket)
        self._check_bucket_exists(bucket)

    def bucket_region(self, bucket: str) -> None:
        """A directory is in no region."""

    def close(self) -> None:
        """Nothing is kept open."""

    def _path(self, bucket: str, key: str) -> Path:
        check_bucket(bucket)
        check_key(key)
        return self._root / bucket / key

    def _check_bucket_exists(self, bucket: str) -> None:
        if not (self._root / bucket).is_dir():
            raise BucketNotFound(f"there is no bucket {bucket!r} in {self._root}")


def _body_size(path: Path) -> int:
    """The body's length; of a file that is no object of ours, the file's."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return read_header(file).body_size(size)
        except DamagedObject:
            return size


def _header_of(file: BinaryIO, bucket: str, key: str) -> Header:
    """The header, if it is that of this very object. Raises DamagedObject."""
    header = read_header(file)
    if (header.bucket, header.key) != (bucket, key):
        raise DamagedObject(f"it was put as {header.bucket}/{header.key}")
    return header


def _translated(error: OSError, what: str) -> ObjectStoreError:
    """A refusal where the system call says no; else nobody knows."""
    if error.errno in _REFUSALS:
        code, reason = _REFUSALS[error.errno]
        return PutRefused(f"{what}: {reason}", code)
    return OutcomeUnknown(f"{what}: {error.strerror or error}")

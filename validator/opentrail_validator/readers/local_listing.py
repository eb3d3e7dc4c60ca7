"""Which files lie below a bucket's folder, in the order in which S3 lists keys, with one folder's names in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from opentrail_validator.readers.port import CouldNotRead


class ListedFile(NamedTuple):
    """A file; `key` is its path below the bucket's folder."""

    key: str
    modified: float
    """Epoch seconds."""


def list_files(bucket: Path, prefix: str, start_after: str) -> Iterator[ListedFile]:
    """Files whose keys start with `prefix` and sort after `start_after`, in UTF-8 order. Raises CouldNotRead.

    A folder sorts as its name with a slash: `a-b` comes before `a/b`. Names that are not UTF-8 are nobody's keys. Links
    to files count as files; links to folders are not followed, so that there is no way round in a circle.
    """
    wanted, after = prefix.encode(), start_after.encode()
    root = os.fsencode(bucket)
    folder = wanted[: wanted.rfind(b"/") + 1]
    pending = [(folder, True)]
    while pending:
        key, is_folder = pending.pop()
        if is_folder:
            if key == folder or _may_hold(key, wanted, after):
                pending += sorted(_entries(root, key), reverse=True)
        elif key.startswith(wanted) and key > after:
            with suppress(FileNotFoundError):  # removed meanwhile
                yield ListedFile(key.decode(), _modified(root + b"/" + key))


def list_folders(bucket: Path, prefix: str) -> list[str]:
    """The names of folders that lie in the folder `prefix`, in UTF-8 order. Raises CouldNotRead."""
    folder = prefix.encode()
    names = [key[len(folder) : -1] for key, is_folder in _entries(os.fsencode(bucket), folder) if is_folder]
    return [name.decode() for name in sorted(names)]


def _may_hold(folder: bytes, prefix: bytes, start_after: bytes) -> bool:
    """Whether a folder (its key ends with a slash) may hold keys that are asked for."""
    return folder.startswith(prefix) and (folder > start_after or start_after.startswith(folder))


def _entries(root: bytes, folder: bytes) -> Iterator[tuple[bytes, bool]]:
    """What lies in a folder: keys, those of folders with a slash at the end, and whether it is a folder."""
    try:
        with os.scandir(root + b"/" + folder) as entries:
            for entry in entries:
                with suppress(UnicodeDecodeError):
                    entry.name.decode()
                    if entry.is_dir(follow_symlinks=False):
                        yield folder + entry.name + b"/", True
                    elif entry.is_file():
                        yield folder + entry.name, False
    except (FileNotFoundError, NotADirectoryError):
        return  # a folder that is not there holds nothing
    except OSError as error:
        raise CouldNotRead(f"the folder could not be read: {error.strerror or error}") from None


def _modified(path: bytes) -> float:
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 - a path of bytes
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CouldNotRead(error.strerror or str(error)) from None

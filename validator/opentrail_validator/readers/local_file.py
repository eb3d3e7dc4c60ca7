"""Files that somebody else may have made: a pipe or device in a file's place would be read for ever, or never."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing


def size_of(path: Path) -> int:
    """The bytes of a regular file. Raises ObjectMissing (also for what is no regular file), CouldNotRead."""
    with _translated_errors(path):
        return _regular_size(path, path.stat())


def read_file(path: Path, most: int) -> bytes:
    """A regular file of `most` bytes at most. Raises ObjectMissing, ObjectDamaged (it has more), CouldNotRead."""
    with _translated_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            size = _regular_size(path, os.fstat(descriptor))
            if size > most:
                raise ObjectDamaged(f"it has {size:,} bytes, more than the {most:,} that it may have")
            # Never more than that: some files of /proc say 0 and go on for gigabytes.
            return file.read(size)


def _regular_size(path: Path, status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise ObjectMissing(f"{path} is no file")
    return status.st_size


@contextmanager
def _translated_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise ObjectMissing(str(path)) from None
    except OSError as error:
        if error.errno in {errno.ENAMETOOLONG, errno.ELOOP}:
            raise ObjectMissing(str(path)) from None
        raise CouldNotRead(error.strerror or str(error)) from None

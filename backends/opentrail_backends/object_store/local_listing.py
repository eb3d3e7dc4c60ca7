"""Which objects lie below a bucket's folder, in the order that S3 lists them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress


def list_keys(bucket: bytes, prefix: bytes, start_after: bytes) -> Iterator[str]:
    """Keys below a bucket's folder in UTF-8 byte order of whole keys.

    A folder sorts as its name with a slash: `a-b` is less than `a/b`, although `a` is less than `a-b`. Files whose
    name is not UTF-8, and links, are nobody's objects.
    """
    pending = [(b"", True)]
    while pending:
        key, is_folder = pending.pop()
        if is_folder and _may_hold(key, prefix, start_after):
            pending += sorted(_entries(bucket, key), reverse=True)
        elif not is_folder and key.startswith(prefix) and key > start_after:
            yield key.decode()


def _may_hold(folder: bytes, prefix: bytes, start_after: bytes) -> bool:
    """Whether a folder (its key ends with a slash; the bucket's own is empty) may hold keys that are asked for."""
    on_the_way = folder.startswith(prefix) or prefix.startswith(folder)
    return on_the_way and (folder > start_after or start_after.startswith(folder))


def _entries(bucket: bytes, folder: bytes) -> Iterator[tuple[bytes, bool]]:
    with suppress(FileNotFoundError), os.scandir(os.path.join(bucket, folder)) as entries:  # noqa: PTH118 (bytes)
        for entry in entries:
            with suppress(UnicodeDecodeError):
                entry.name.decode()
                if entry.is_dir(follow_symlinks=False):
                    yield folder + entry.name + b"/", True
                elif entry.is_file(follow_symlinks=False):
                    yield folder + entry.name, False

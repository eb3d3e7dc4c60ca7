"""What every store demands of buckets, keys, metadata and sizes, whatever the adapter would let pass.

One rule for all adapters: a key that one of them could not keep, or would keep under another name, is refused
by each of them, so that a spool in a folder and a bucket in S3 can hold the same objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from opentrail_backends.object_store.port import MAX_OBJECT_BYTES, ObjectTooLarge, PutRefused

MAX_KEY_BYTES = 1024
"""S3: the UTF-8 form of a key is at most 1,024 bytes long."""

MAX_METADATA_BYTES = 2048
"""S3: names and values of an object's user metadata together."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_METADATA_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_METADATA_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check_bucket(bucket: str) -> None:
    """Refuses what is no S3 bucket name (3 to 63 of `a-z0-9.-`). Raises PutRefused with the code InvalidBucketName."""
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise PutRefused(
            f"{bucket!r} is no bucket name: 3 to 63 lower-case letters, digits, dots and hyphens", "InvalidBucketName"
        )


def check_key(key: str) -> None:
    """Refuses a key that not every store can keep under exactly this name.

    Raises PutRefused: KeyTooLongError above 1,024 bytes; InvalidObjectName for an empty part (`//`, a slash at
    either end), a part `.` or `..`, control characters, or text that has no UTF-8 form.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise PutRefused(f"key {key!r} has no UTF-8 form", "InvalidObjectName") from None
    if size > MAX_KEY_BYTES:
        raise PutRefused(f"the key is {size:,} bytes long, {MAX_KEY_BYTES:,} are allowed", "KeyTooLongError")
    if _CONTROL.search(key):
        raise PutRefused(f"key {key!r} contains a control character", "InvalidObjectName")
    for part in key.split("/"):
        if part in {"", ".", ".."}:
            raise PutRefused(f"key {key!r} has the part {part!r}", "InvalidObjectName")


def check_metadata(metadata: Mapping[str, str]) -> None:
    """Refuses user metadata that would not come back unchanged from every store.

    Raises PutRefused: InvalidArgument for a name that is not lower-case ASCII or a value that is empty, not printable
    ASCII, or begins or ends with a space (HTTP strips it); MetadataTooLarge above 2,048 bytes.
    """
    for name, value in metadata.items():
        if not _METADATA_NAME.fullmatch(name):
            raise PutRefused(f"metadata name {name!r} is not of a-z, 0-9, '.', '_' and '-'", "InvalidArgument")
        if not _METADATA_VALUE.fullmatch(value):
            raise PutRefused(
                f"the value of metadata {name!r} is not printable ASCII without outer spaces", "InvalidArgument"
            )
    size = sum(len(name) + len(value) for name, value in metadata.items())
    if size > MAX_METADATA_BYTES:
        raise PutRefused(f"the metadata are {size:,} bytes, {MAX_METADATA_BYTES:,} are allowed", "MetadataTooLarge")


def check_size(size: int, what: str) -> None:
    """Refuses to read what is larger than any object of ours. Raises ObjectTooLarge."""
    if size > MAX_OBJECT_BYTES:
        raise ObjectTooLarge(f"{what} has {size:,} bytes, no object of ours has more than {MAX_OBJECT_BYTES:,}")

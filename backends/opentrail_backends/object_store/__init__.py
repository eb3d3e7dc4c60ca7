"""The object store: `port` and the adapters `s3`, `local_directory` and `in_memory`, chosen by a URL."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from opentrail_backends.key_management.port import KeyManagement
from opentrail_backends.object_store.port import ObjectStore
from opentrail_backends.object_store.s3_settings import FORM as _S3_FORM
from opentrail_backends.object_store.s3_settings import Credentials, parse_s3_url

__all__ = ["Credentials", "open_object_store"]


def open_object_store(
    url: str, key_management: KeyManagement | None = None, *, credentials: Credentials | None = None
) -> ObjectStore:
    """Opens the store that a URL names; the adapter and its libraries are imported only then.

    `key_management` encrypts the objects of a `file:` store; S3 encrypts by itself. `credentials` are for `s3:`;
    without them the usual AWS places are asked. Raises ValueError with a sentence that says what is allowed, and
    ObjectStoreError where a directory cannot be opened.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        settings = parse_s3_url(url, os.environ, credentials)
        from opentrail_backends.object_store.s3 import S3ObjectStore  # noqa: PLC0415 (only when chosen)

        return S3ObjectStore(settings)
    if parts.scheme == "file" and not (parts.netloc or parts.query or parts.fragment) and parts.path.startswith("/"):
        from opentrail_backends.object_store.local_directory import LocalDirectoryObjectStore  # noqa: PLC0415 (as above)

        return LocalDirectoryObjectStore(Path(unquote(parts.path)), key_management)
    if url == "memory:":
        from opentrail_backends.object_store.in_memory import InMemoryObjectStore  # noqa: PLC0415 (as above)

        return InMemoryObjectStore()
    raise ValueError(f"{url!r} names no object store; allowed are {_S3_FORM}, file:///DIRECTORY and memory:")

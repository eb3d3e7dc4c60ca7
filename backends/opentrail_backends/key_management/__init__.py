"""Key management: `port` and the adapters `local_keys` and `aws_kms`, chosen by a URL.

The keys of the object store, which trails name, are another thing: `storage_keys`, `aws_kms_storage` and `listed_keys`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from opentrail_backends.endpoints import check_endpoint
from opentrail_backends.key_management.listed_keys import ListedKeys
from opentrail_backends.key_management.port import KeyManagement, KeyManagementError
from opentrail_backends.key_management.storage_keys import StorageKeys
from opentrail_backends.object_store.s3_settings import parse_s3_url

__all__ = ["open_key_management", "open_storage_keys"]

_FORM = (
    "file:///DIRECTORY, file:///DIRECTORY?master_key_file=FILE and "
    "awskms:?region=REGION&endpoint=https://HOST&data_key=alias/NAME"
)
_STORAGE_FORM = "awskms:?endpoint=https://HOST[:PORT]&allow_http=true|false, or nothing"


def open_key_management(url: str, *, master_key: bytes | None = None) -> KeyManagement:
    """Opens the key management that a URL names; the adapter and its libraries are imported only then.

    `master_key` (32 bytes, for `file:`) is used instead of the folder's `master.key`; `master_key_file` names a file
    that holds it, for example a mounted secret. Raises ValueError with a sentence that says what is allowed, and
    KeyManagementError where the keys cannot be opened.
    """
    parts = urlsplit(url)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) != len(pairs) or parts.netloc or parts.fragment or not all(options.values()):
        raise ValueError(f"{url!r} names no key management; allowed are {_FORM}")
    if parts.scheme == "awskms" and not parts.path and options.keys() <= {"region", "endpoint", "data_key"}:
        from opentrail_backends.key_management.aws_kms import AwsKms  # noqa: PLC0415 (only when chosen)

        return AwsKms(options.get("region"), options.get("endpoint"), options.get("data_key"))
    if parts.scheme == "file" and parts.path.startswith("/") and options.keys() <= {"master_key_file"}:
        from opentrail_backends.key_management.local_keys import LocalKeys  # noqa: PLC0415 (as above)

        if "master_key_file" in options:
            master_key = _read_master_key(Path(options["master_key_file"]))
        return LocalKeys(Path(unquote(parts.path)), master_key)
    raise ValueError(f"{url!r} names no key management; allowed are {_FORM}")


def open_storage_keys(url: str, object_store_url: str, environment: Mapping[str, str] = os.environ) -> StorageKeys:
    """Opens the keys that trails may name for their objects.

    Without a `url`: AWS KMS if the object store is AWS S3, else the keys that the object store's URL lists
    (`kms_key=ARN=NAME`), which are none for a local directory. Raises ValueError with a sentence that says what is
    allowed, and KeyManagementError where the keys cannot be opened.
    """
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if url and (parts.scheme != "awskms" or parts.path or parts.netloc or options.keys() - {"endpoint", "allow_http"}):
        raise ValueError(f"{url!r} names no keys for objects; allowed is {_STORAGE_FORM}")
    endpoint = options.get("endpoint") or environment.get("AWS_ENDPOINT_URL_KMS") or environment.get("AWS_ENDPOINT_URL")
    if not url:
        if urlsplit(object_store_url).scheme != "s3":
            return ListedKeys(())
        store = parse_s3_url(object_store_url, environment)
        if store.endpoint is not None:
            return ListedKeys(store.kms_keys)
    if endpoint:
        check_endpoint(endpoint, allow_http=options.get("allow_http") == "true")
    from opentrail_backends.key_management.aws_kms_storage import AwsStorageKeys  # noqa: PLC0415 (only when chosen)

    return AwsStorageKeys(endpoint or None)


def _read_master_key(path: Path) -> bytes:
    """A master key kept elsewhere; a group may read it there, as mounted secrets have it, others may not."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o037:
            raise KeyManagementError(f"{path} may be read by others or written by its group: chmod 0440 {path}")
        return path.read_bytes()
    except OSError as error:
        raise KeyManagementError(f"cannot read the master key {path}: {error.strerror}") from error

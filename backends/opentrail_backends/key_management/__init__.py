"""Key management: `port` and the adapters `local_keys` and `aws_kms`, chosen by a URL."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from opentrail_backends.key_management.port import KeyManagement, KeyManagementError

__all__ = ["open_key_management"]

_FORM = (
    "file:///DIRECTORY, file:///DIRECTORY?master_key_file=FILE and "
    "awskms:?region=REGION&endpoint=https://HOST&data_key=alias/NAME"
)


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
        from opentrail_backends.key_management.local_keys import LocalKeys  # noqa: PLC0415

        if "master_key_file" in options:
            master_key = _read_master_key(Path(options["master_key_file"]))
        return LocalKeys(Path(unquote(parts.path)), master_key)
    raise ValueError(f"{url!r} names no key management; allowed are {_FORM}")


def _read_master_key(path: Path) -> bytes:
    """A master key kept elsewhere; a group may read it there, as mounted secrets have it, others may not."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o037:
            raise KeyManagementError(f"{path} may be read by others or written by its group: chmod 0440 {path}")
        return path.read_bytes()
    except OSError as error:
        raise KeyManagementError(f"cannot read the master key {path}: {error.strerror}") from error

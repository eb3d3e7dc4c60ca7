"""The digest file: which log files were delivered in an hour, their hashes, and the link to the digest before.

Source: CloudTrail's digest file structure. All keys are always there; those about the previous digest are null in
a starting digest. The signature is not in the file but in the object's metadata, over `string_to_sign`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from opentrail.evidence.times import MalformedTime, format_time, parse_time

SIGNATURE_METADATA: Final = "signature"
"""Object metadata of a digest: its signature, in hex."""
SIGNATURE_ALGORITHM_METADATA: Final = "signature-algorithm"
"""Object metadata of a digest: the name of its signature's algorithm."""
BACKFILL_TIMESTAMP_METADATA: Final = "backfill-generation-timestamp"
"""Object metadata of a backfill digest: when it was made, e.g. `2025-05-20T00:00:00.000Z`."""
SIGNATURE_ALGORITHM: Final = "SHA256withRSA"
HASH_ALGORITHM: Final = "SHA-256"

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")

_SMALL: Final = 1 << 20
"""Bytes; what is no longer may hold what it likes."""
_LEAST_BYTES: Final = 24
"""Of a digest for each comma and opening bracket in it: an entry of a log file has 40 and more."""


class MalformedDigest(ValueError):
    """The bytes are not a digest file."""


class CrowdedDigest(MalformedDigest):
    """The bytes hold far more values than a digest of their size: decoded, they would fill twenty times the memory."""


@dataclass(frozen=True, slots=True)
class LogFileEntry:
    """A log file as a digest lists it. Times are seconds since the epoch, of the oldest and newest event in it."""

    s3_bucket: str
    s3_object: str
    hash_value: str
    """SHA-256 of the uncompressed bytes, 64 lower-case hex digits."""
    oldest_event_time: int | None
    newest_event_time: int | None
    record_count: int | None = None
    """Ours, as `records_root`: how many records the log file has. None: the digest does not say."""
    records_root: str | None = None
    """The root of the Merkle tree over its records (`records_tree`), 64 lower-case hex digits."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields that neither CloudTrail nor we have, kept as they are."""


@dataclass(frozen=True, slots=True)
class PreviousDigest:
    """The link to the digest before: its place, the SHA-256 (hex) of its uncompressed bytes, its signature (hex)."""

    s3_bucket: str
    s3_object: str
    hash_value: str
    signature: str


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest file. `start` and `end` are seconds since the epoch: log files delivered in [start, end)."""

    account_id: str
    start: int
    end: int
    s3_bucket: str
    s3_object: str
    """Where the digest itself lies: a copy elsewhere is not evidence."""
    fingerprint: str
    """Of the public key that verifies the signature."""
    log_files: tuple[LogFileEntry, ...]
    previous: PreviousDigest | None
    """None in a starting digest."""
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Fields that CloudTrail does not have, kept as they are."""

    @property
    def previous_signature(self) -> str | None:
        """The signature of the digest before, in hex: a part of what is signed."""
        return self.previous.signature if self.previous else None

    def to_bytes(self) -> bytes:
        """The file, uncompressed: JSON in CloudTrail's order of keys. The same digest gives the same bytes."""
        previous = self.previous
        oldest = [entry.oldest_event_time for entry in self.log_files if entry.oldest_event_time is not None]
        newest = [entry.newest_event_time for entry in self.log_files if entry.newest_event_time is not None]
        fields: dict[str, Any] = {
            "awsAccountId": self.account_id,
            "digestStartTime": format_time(self.start),
            "digestEndTime": format_time(self.end),
            "digestS3Bucket": self.s3_bucket,
            "digestS3Object": self.s3_object,
            "digestPublicKeyFingerprint": self.fingerprint,
            "digestSignatureAlgorithm": SIGNATURE_ALGORITHM,
            "newestEventTime": _time_or_null(max(newest, default=None)),
            "oldestEventTime": _time_or_null(min(oldest, default=None)),
            "previousDigestS3Bucket": previous and previous.s3_bucket,
            "previousDigestS3Object": previous and previous.s3_object,
            "previousDigestHashValue": previous and previous.hash_value,
            "previousDigestHashAlgorithm": previous and HASH_ALGORITHM,
            "previousDigestSignature": previous and previous.signature,
            "logFiles": [_entry_fields(entry) for entry in self.log_files],
        }
        return json.dumps({**fields, **self.extra}, separators=(",", ":")).encode()


def string_to_sign(end_text: str, bucket: str, key: str, sha256_hex: str, previous_signature: str | None) -> bytes:
    """What is signed: four lines without a last newline.

    The digest's end exactly as in its JSON; its place; the SHA-256 of its uncompressed bytes, in lower-case hex; the
    signature of the digest before, in hex, or `null`.
    """
    return f"{end_text}\n{bucket}/{key}\n{sha256_hex}\n{previous_signature or 'null'}".encode()


def parse_digest(data: bytes) -> Digest:
    """Reads a digest file's uncompressed bytes; unknown fields are kept. Raises MalformedDigest, whatever the bytes.

    Fields that only repeat what is known (algorithms, event times of the whole) may be missing, but if they are there
    they must be right. A place, hash, signature or time of the wrong type or form is malformed.
    """
    if len(data) > _SMALL and data.count(b",") + data.count(b"[") + data.count(b"{") > len(data) // _LEAST_BYTES:
        raise CrowdedDigest("more values than a digest of its size has")
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedDigest(f"not JSON: {type(error).__name__}") from None
    fields = _Fields(document)
    fields.constant("digestSignatureAlgorithm", SIGNATURE_ALGORITHM)
    fields.optional_time("newestEventTime")
    fields.optional_time("oldestEventTime")
    return Digest(
        account_id=fields.text("awsAccountId"),
        start=fields.time("digestStartTime"),
        end=fields.time("digestEndTime"),
        s3_bucket=fields.text("digestS3Bucket"),
        s3_object=fields.text("digestS3Object"),
        fingerprint=fields.text("digestPublicKeyFingerprint"),
        previous=_parse_previous(fields),
        log_files=tuple(_parse_entry(entry) for entry in fields.items("logFiles")),
        extra=fields.rest(),
    )


def _time_or_null(seconds: int | None) -> str | None:
    return None if seconds is None else format_time(seconds)


def _entry_fields(entry: LogFileEntry) -> dict[str, Any]:
    return {
        "s3Bucket": entry.s3_bucket,
        "s3Object": entry.s3_object,
        "hashValue": entry.hash_value,
        "hashAlgorithm": HASH_ALGORITHM,
        "newestEventTime": _time_or_null(entry.newest_event_time),
        "oldestEventTime": _time_or_null(entry.oldest_event_time),
        **({} if entry.record_count is None else {"recordCount": entry.record_count}),
        **({} if entry.records_root is None else {"recordsMerkleRoot": entry.records_root}),
        **entry.extra,
    }


def _parse_entry(value: Any) -> LogFileEntry:
    fields = _Fields(value)
    fields.constant("hashAlgorithm", HASH_ALGORITHM)
    return LogFileEntry(
        s3_bucket=fields.text("s3Bucket"),
        s3_object=fields.text("s3Object"),
        hash_value=fields.text("hashValue", _HASH),
        oldest_event_time=fields.optional_time("oldestEventTime"),
        newest_event_time=fields.optional_time("newestEventTime"),
        record_count=fields.optional_count("recordCount"),
        records_root=None if fields.all_null(("recordsMerkleRoot",)) else fields.text("recordsMerkleRoot", _HASH),
        extra=fields.rest(),
    )


def _parse_previous(fields: _Fields) -> PreviousDigest | None:
    """The link: all of it, or nothing of it."""
    fields.constant("previousDigestHashAlgorithm", HASH_ALGORITHM)
    names = ("previousDigestS3Bucket", "previousDigestS3Object", "previousDigestHashValue", "previousDigestSignature")
    if fields.all_null(names):
        return None
    bucket, key, hash_value, signature = names
    return PreviousDigest(
        fields.text(bucket), fields.text(key), fields.text(hash_value, _HASH), fields.text(signature, _HEX)
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


class _Fields:
    """Takes the fields of a JSON object one by one; what is left over is the rest."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict):
            raise MalformedDigest("not a JSON object")
        self._left: dict[str, Any] = dict(value)

    def text(self, name: str, form: re.Pattern[str] | None = None) -> str:
        value = self._left.pop(name, None)
        # A lone surrogate is no text: it has no bytes to sign or print.
        if not isinstance(value, str) or not (value.isascii() or not _SURROGATE.search(value)):
            raise MalformedDigest(f"{name} is not a text")
        if form is not None and not form.fullmatch(value):
            raise MalformedDigest(f"{name} has not the form that it must have")
        return value

    def time(self, name: str) -> int:
        try:
            return parse_time(self.text(name))
        except MalformedTime as error:
            raise MalformedDigest(f"{name}: {error}") from None

    def optional_time(self, name: str) -> int | None:
        return None if self.all_null((name,)) else self.time(name)

    def optional_count(self, name: str) -> int | None:
        value = self._left.pop(name, None)
        if value is not None and (type(value) is not int or value < 0):
            raise MalformedDigest(f"{name} is not a count")
        return value

    def constant(self, name: str, expected: str) -> None:
        if not self.all_null((name,)) and self.text(name) != expected:
            raise MalformedDigest(f"{name} is not {expected}")

    def items(self, name: str) -> list[Any]:
        if name not in self._left:
            raise MalformedDigest(f"{name} is missing")
        value = self._left.pop(name)
        if value is not None and not isinstance(value, list):
            raise MalformedDigest(f"{name} is not a list")
        return value or []

    def all_null(self, names: Sequence[str]) -> bool:
        """Whether all of the fields are null or missing; they are then taken."""
        if any(self._left.get(name) is not None for name in names):
            return False
        for name in names:
            self._left.pop(name, None)
        return True

    def rest(self) -> Mapping[str, Any]:
        return self._left

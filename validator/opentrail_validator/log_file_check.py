"""Checks one log file against what its digest recorded of it. Pure: bytes in, a kind of finding out.

The order is the AWS CLI's: what is wrong with the gzip member first, then the hash; only then the records.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from opentrail.evidence.digest import LogFileEntry
from opentrail_validator.findings import Kind
from opentrail_validator.gzip_member import MAX_LOG_FILE_BYTES, Member, hash_at_once, inflate, inflate_at_once
from opentrail_validator.record_check import check_records


class LogFileCheck(NamedTuple):
    """What is known of a log file: `events` and `size` (uncompressed bytes) as far as they are."""

    kind: Kind
    detail: str = ""
    events: int | None = None
    size: int | None = None


def check_log_file(body: bytes, entry: LogFileEntry, account_id: str, region: str, *, records: bool) -> LogFileCheck:
    """VALID if `body` is exactly one gzip member whose content has the recorded SHA-256, and its records belong there.

    `account_id` and `region` are those of the chain; `records`: whether the records are looked at. Until the hash is
    known to be right, memory is bounded, however much the body inflates to.
    """
    if not records and (hashed := hash_at_once(body, MAX_LOG_FILE_BYTES)) and hashed[0] == entry.hash_value:
        return LogFileCheck(Kind.VALID, "", entry.record_count, hashed[1])
    content = inflate_at_once(body, MAX_LOG_FILE_BYTES)
    if content is None or hashlib.sha256(content).hexdigest() != entry.hash_value:
        checked = _check_in_pieces(body, entry)
        if checked.kind is not Kind.VALID:
            return checked
        content = inflate(body, MAX_LOG_FILE_BYTES).data if records else b""
        size = checked.size
    else:
        size = len(content)
    if not records:
        return LogFileCheck(Kind.VALID, "", entry.record_count, size)
    kind, detail, events = check_records(content, entry, account_id, region)
    return LogFileCheck(kind, detail, events, size)


def _check_in_pieces(body: bytes, entry: LogFileEntry) -> LogFileCheck:
    """For a member of an unusual form or size, and to say what is wrong with it."""
    member = Member(body, MAX_LOG_FILE_BYTES)
    sha256 = hashlib.sha256()
    for piece in member.pieces():
        sha256.update(piece)
    kind, detail, size = member.kind, member.detail, member.size if member.is_whole else None
    if kind is Kind.VALID and sha256.hexdigest() != entry.hash_value:
        kind, detail = Kind.HASH_MISMATCH, f"its SHA-256 is {sha256.hexdigest()}"
    return LogFileCheck(kind, detail, entry.record_count, size)

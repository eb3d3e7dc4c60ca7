"""Checks a log file's records: are they where they belong, and those that the digest counted? Pure.

The file's hash has been checked before: what is found here is a fault of whoever wrote it, or a forgery by the signer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from opentrail.evidence.digest import LogFileEntry
from opentrail.evidence.records_tree import leaf_hash, tree_root
from opentrail.evidence.times import MalformedTime, format_time, parse_time
from opentrail_validator.findings import Kind


class RecordsCheck(NamedTuple):
    """What is known of a log file's records."""

    kind: Kind
    detail: str = ""
    events: int | None = None


def check_records(content: bytes, entry: LogFileEntry, account_id: str, region: str) -> RecordsCheck:
    """Checks the uncompressed content of the log file that `entry` lists, of this account and region."""
    try:
        records = _read(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return RecordsCheck(Kind.MALFORMED, f"the records cannot be read: {error}", entry.record_count)
    if defect := _differs_from_the_tree(content, entry, len(records)):
        return RecordsCheck(Kind.ROOT_MISMATCH, defect, len(records))
    if defect := _misplaced(records, entry, account_id, region):
        return RecordsCheck(Kind.MISPLACED_RECORD, defect, len(records))
    return RecordsCheck(Kind.VALID, "", len(records))


class _Record(
    msgspec.Struct,
    gc=False,
    rename={
        "account_id": "recipientAccountId",
        "region": "awsRegion",
        "time": "eventTime",
        "event_id": "eventID",
        "source": "eventSource",
    },
):
    """What a record says of where it belongs. Not every kind of record has all of it."""

    account_id: str | None = None
    region: str | None = None
    time: str | None = None
    event_id: str | None = None
    source: str | None = None


class _File(msgspec.Struct, rename={"records": "Records"}):
    records: list[_Record]


class _RawFile(msgspec.Struct, rename={"records": "Records"}):
    records: list[msgspec.Raw]


# Aggregated events have been seen in a bare list.
_FILE: Final = msgspec.json.Decoder(_File | list[_Record])
_RAW_FILE: Final = msgspec.json.Decoder(_RawFile | list[msgspec.Raw])


def _read(content: bytes) -> list[_Record]:
    file = _FILE.decode(content)
    return file.records if isinstance(file, _File) else file


def _differs_from_the_tree(content: bytes, entry: LogFileEntry, count: int) -> str:
    """In what the records are not those that the digest counted; empty: in nothing, or the digest did not count."""
    if entry.record_count is not None and entry.record_count != count:
        return f"{count} records, and not {entry.record_count}"
    if entry.records_root is None:
        return ""
    file = _RAW_FILE.decode(content)
    records = file.records if isinstance(file, _RawFile) else file
    leaves = [leaf_hash(record) for record in records]
    return "" if tree_root(leaves).hex() == entry.records_root else "their Merkle root is another"


def _misplaced(records: Sequence[_Record], entry: LogFileEntry, account_id: str, region: str) -> str:
    """Which records do not belong here. All at once first: they hardly ever do not."""
    if (
        {record.account_id for record in records} <= {account_id, None}
        and {record.region for record in records} <= {region, None}
        and _all_within(records, entry)
    ):
        return ""
    wrong = [(record, reason) for record in records if (reason := _reason(record, entry, account_id, region))]
    if not wrong:
        return ""
    first, reason = wrong[0]
    return f"{len(wrong)} of {len(records)} records, first event {first.event_id}: {reason}"


def _all_within(records: Sequence[_Record], entry: LogFileEntry) -> bool:
    if not records:
        return True
    times = [record.time or "" for record in records]
    oldest, newest = entry.oldest_event_time, entry.newest_event_time
    return (oldest is None or format_time(oldest) <= min(times)) and (
        newest is None or max(times) <= format_time(newest)
    )


# CloudTrail has delivered records of global services, which name the region that leads their partition, to the folder
# of any region (its documentation on global service events).
_LEADING_REGIONS: Final = frozenset({"us-east-1", "us-west-2", "us-east-2", "us-gov-west-1", "cn-north-1"})
_GLOBAL_SERVICES: Final = frozenset(
    f"{service}.amazonaws.com"
    for service in (
        "access-analyzer",
        "account",
        "budgets",
        "ce",
        "cloudfront",
        "globalaccelerator",
        "health",
        "iam",
        "networkmanager",
        "organizations",
        "route53",
        "route53domains",
        "shield",
        "signin",
        "sso",
        "sts",
        "support",
        "trustedadvisor",
        "waf",
    )
)


def _reason(record: _Record, entry: LogFileEntry, account_id: str, region: str) -> str:
    """Why a record does not belong into the file; empty: it does."""
    if record.account_id not in {account_id, None}:
        return f"it is of account {record.account_id}"
    is_global = record.region in _LEADING_REGIONS and record.source in _GLOBAL_SERVICES
    if record.region not in {region, None} and not is_global:
        return f"it is of region {record.region}"
    oldest, newest = entry.oldest_event_time, entry.newest_event_time
    try:
        time = parse_time(record.time or "")
    except MalformedTime:
        return ""  # It has no time that could be compared.
    if (oldest is not None and time < oldest) or (newest is not None and time > newest):
        return f"it is of {record.time}"
    return ""

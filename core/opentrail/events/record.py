"""What the service asks of one record: JSON bytes in, the same bytes with its own members filled in out (design §2.2).

Which members must be there, and of what type, follows CloudTrail's record contents (reference §1.2) and what
Amazon's own reader of log files fails on (§1.4). Members that nobody here reads may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from msgspec import UNSET, Struct

from opentrail.events.classification import classify, remember_class, remembered_class
from opentrail.events.event_time import parse_event_time
from opentrail.events.json_text import check_encoding_and_depth
from opentrail.events.record_fields import RecordFields, read_fields
from opentrail.events.rejection import Rejected, Rejection, RejectionCode, invalid_field, missing_field
from opentrail.events.selector_class import EventAttributes, SelectorClass
from opentrail.evidence.times import MalformedTime, format_time

__all__ = ["CheckedRecord", "Rejection", "RejectionCode", "check_record", "check_records"]

MAX_EVENT_BYTES = 262_144
"""CloudTrail's limit of an event for trails, 256 KB. It holds for what is sent, before members are filled in."""
MAX_AHEAD = 15 * 60
"""Seconds that an `eventTime` may lie in the future: clocks differ."""
EVENT_VERSION = "1.11"
"""The `eventVersion` of records that name none: the newest that CloudTrail documents."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")


class CheckedRecord(Struct, frozen=True, gc=False):
    """An accepted record."""

    raw: bytes
    """The bytes that came in, with missing service-owned members spliced in before the closing brace."""
    event_id: str
    region: str
    event_time: int
    """Seconds since the epoch."""
    selector_class: SelectorClass
    attributes: EventAttributes | None
    """None for events whose selectors ask for nothing but the class."""


def check_record(
    raw: bytes,
    *,
    account_id: str,
    regions: Collection[str],
    default_region: str,
    now: int,
    new_event_id: Callable[[], str],
) -> CheckedRecord | Rejection:
    """The record as it goes to the bus, or why it does not.

    Args:
        raw: one JSON object in UTF-8.
        account_id: the caller's account, the only one that the record may name as recipient.
        regions: the regions there are.
        default_region: recorded the event if it names no region; empty if each record must.
        now: seconds since the epoch.
        new_event_id: gives the `eventID` of a record that has none.
    """
    try:
        return _checked(raw, account_id, regions, default_region, now, lambda _position: new_event_id(), 0)
    except Rejected as rejected:
        return rejected.rejection


def check_records(
    records: Sequence[bytes],
    *,
    account_id: str,
    regions: Collection[str],
    default_region: str,
    now: int,
    new_event_id: Callable[[int], str],
) -> list[CheckedRecord | Rejection]:
    """`check_record` for each record of a batch, in order; `new_event_id` is given the record's position in it."""
    results: list[CheckedRecord | Rejection] = []
    for position, raw in enumerate(records):
        try:
            results.append(_checked(raw, account_id, regions, default_region, now, new_event_id, position))
        except Rejected as rejected:
            results.append(rejected.rejection)
    return results


def _checked(
    raw: bytes,
    account_id: str,
    regions: Collection[str],
    default_region: str,
    now: int,
    new_event_id: Callable[[int], str],
    position: int,
) -> CheckedRecord:
    if len(raw) > MAX_EVENT_BYTES:
        raise Rejected(
            RejectionCode.EVENT_TOO_LARGE, f"The record has {len(raw)} bytes; at most {MAX_EVENT_BYTES} are accepted."
        )
    check_encoding_and_depth(raw)
    fields = read_fields(raw)
    usual = _usual(raw, fields, account_id, regions, now)
    if usual is not None:
        return usual
    missing: list[str] = []
    event_id = _event_id(fields, new_event_id, position, missing)
    event_time = _event_time(fields, now, missing)
    region = _region(fields, regions, default_region, missing)
    _check_recipient(fields, account_id, missing)
    _check_version(fields, missing)
    selector_class, attributes = classify(fields, missing)
    if missing:
        end = raw.rindex(b"}")
        raw = b"".join((raw[:end], b",", ",".join(missing).encode(), raw[end:]))
    else:
        remember_class(fields, selector_class)
    return CheckedRecord(raw, event_id, region, event_time, selector_class, attributes)


def _usual(
    raw: bytes, fields: RecordFields, account_id: str, regions: Collection[str], now: int
) -> CheckedRecord | None:
    """A record that lacks nothing and is of a class that was checked before, at a third of the cost.

    None leaves it to the checks one by one, which alone reject: what is accepted here, they accept alike.
    """
    region, event_id, event_time = fields.awsRegion, fields.eventID, fields.eventTime
    if (
        fields.recipientAccountId != account_id
        or region is UNSET
        or region not in regions
        or event_id is UNSET
        or not _UUID.fullmatch(event_id)
        or event_time is UNSET
    ):
        return None
    known = remembered_class(fields)
    if known is None:
        return None
    try:
        seconds = parse_event_time(event_time)
    except MalformedTime:
        return None
    if seconds > now + MAX_AHEAD:
        return None
    selector_class, attributes = known
    return CheckedRecord(raw, event_id, region, seconds, selector_class, attributes)


# Each of the following checks one member that the service owns and adds it to `missing` if the record lacks it. A null
# in its place is refused like any wrong type: the bytes that came in are not changed.


def _event_id(fields: RecordFields, new_event_id: Callable[[int], str], position: int, missing: list[str]) -> str:
    event_id = fields.eventID
    if event_id is UNSET:
        event_id = new_event_id(position)
        missing.append(f'"eventID":"{event_id}"')
    elif not _UUID.fullmatch(event_id):
        invalid_field("eventID", "a UUID")
    return event_id


def _event_time(fields: RecordFields, now: int, missing: list[str]) -> int:
    if fields.eventTime is UNSET:
        missing.append(f'"eventTime":"{format_time(now)}"')
        return now
    try:
        event_time = parse_event_time(fields.eventTime)
    except MalformedTime:
        message = "eventTime is not YYYY-MM-DDTHH:MM:SSZ: UTC, whole seconds, a date that exists."
        raise Rejected(RejectionCode.INVALID_EVENT_TIME, message) from None
    if event_time > now + MAX_AHEAD:
        message = f"eventTime is more than {MAX_AHEAD // 60} minutes in the future."
        raise Rejected(RejectionCode.INVALID_EVENT_TIME, message)
    return event_time


def _region(fields: RecordFields, regions: Collection[str], default_region: str, missing: list[str]) -> str:
    region = fields.awsRegion
    if region is UNSET:
        if not default_region:
            missing_field("awsRegion, and the request names no region")
        region = default_region
        missing.append(f'"awsRegion":"{region}"')
    if region not in regions:
        raise Rejected(RejectionCode.UNKNOWN_REGION, f"There is no region {region[:100]!r} here.")
    return region


def _check_recipient(fields: RecordFields, account_id: str, missing: list[str]) -> None:
    if fields.recipientAccountId is UNSET:
        missing.append(f'"recipientAccountId":"{account_id}"')
    elif fields.recipientAccountId != account_id:
        raise Rejected(
            RejectionCode.ACCOUNT_MISMATCH, "recipientAccountId is another account than the caller's; leave it out."
        )


def _check_version(fields: RecordFields, missing: list[str]) -> None:
    if fields.eventVersion is UNSET:
        missing.append(f'"eventVersion":"{EVENT_VERSION}"')
    elif not _VERSION.fullmatch(fields.eventVersion):
        invalid_field("eventVersion", "two numbers with a dot between, as 1.11")

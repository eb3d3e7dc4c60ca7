"""What the service asks of one record: JSON bytes in, the same bytes with its own members filled in out (design §2.2).

Which members must be there, and of what type, follows CloudTrail's record contents (reference §1.2) and what
Amazon's own reader of log files fails on (§1.4). Members that nobody here reads may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, NoReturn

from msgspec import UNSET

from opentrail.events.category import CATEGORIES, EventCategory, category_of
from opentrail.events.json_text import check_encoding_and_depth
from opentrail.events.record_fields import (
    ABSENT,
    RecordFields,
    ResourceFields,
    UserIdentity,
    is_object_or_null,
    read_fields,
    read_user_identity,
)
from opentrail.events.rejection import Rejected, Rejection, RejectionCode
from opentrail.events.selector_class import EventAttributes, SelectorClass
from opentrail.evidence.times import MalformedTime, format_time, parse_time

__all__ = ["CheckedRecord", "Rejection", "RejectionCode", "check_record", "check_records"]

MAX_EVENT_BYTES = 262_144
"""CloudTrail's limit of an event for trails, 256 KB. It holds for what is sent, before members are filled in."""
MAX_AHEAD = 15 * 60
"""Seconds that an `eventTime` may lie in the future: clocks differ."""
EVENT_VERSION = "1.11"
"""The `eventVersion` of records that name none: the newest that CloudTrail documents."""

_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}")
_OWN_WRITES = frozenset({("s3.amazonaws.com", "PutObject"), ("logs.amazonaws.com", "PutLogEvents")})
_CLOUDTRAIL = "cloudtrail.amazonaws.com"
_MANAGEMENT, _DATA = EventCategory.MANAGEMENT.value, EventCategory.DATA.value
_NETWORK_ACTIVITY, _INSIGHT = EventCategory.NETWORK_ACTIVITY.value, EventCategory.INSIGHT.value
# Many events share a second.
_parse_time = lru_cache(maxsize=4096)(parse_time)


class CheckedRecord(NamedTuple):
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
        return _checked(raw, account_id, regions, default_region, now, new_event_id)
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
    for index, raw in enumerate(records):
        try:
            results.append(_checked(raw, account_id, regions, default_region, now, partial(new_event_id, index)))
        except Rejected as rejected:
            results.append(rejected.rejection)
    return results


def _checked(
    raw: bytes,
    account_id: str,
    regions: Collection[str],
    default_region: str,
    now: int,
    new_event_id: Callable[[], str],
) -> CheckedRecord:
    if len(raw) > MAX_EVENT_BYTES:
        raise Rejected(
            RejectionCode.EVENT_TOO_LARGE, f"The record has {len(raw)} bytes; at most {MAX_EVENT_BYTES} are accepted."
        )
    check_encoding_and_depth(raw)
    fields = read_fields(raw)
    missing: list[str] = []
    event_id = _event_id(fields, new_event_id, missing)
    event_time = _event_time(fields, now, missing)
    region = _region(fields, regions, default_region, missing)
    _check_recipient(fields, account_id, missing)
    _check_version(fields, missing)
    selector_class, attributes = _selected_by(fields, missing)
    if missing:
        end = raw.rindex(b"}")
        raw = b"".join((raw[:end], b",", ",".join(missing).encode(), raw[end:]))
    return CheckedRecord(raw, event_id, region, event_time, selector_class, attributes)


# Each of the following checks one member that the service owns and adds it to `missing` if the record lacks it. A null
# in its place is refused like any wrong type: the bytes that came in are not changed.


def _event_id(fields: RecordFields, new_event_id: Callable[[], str], missing: list[str]) -> str:
    event_id = fields.eventID
    if event_id is UNSET:
        event_id = new_event_id()
        missing.append(f'"eventID":"{event_id}"')
    elif not _UUID.fullmatch(event_id):
        _invalid("eventID", "a UUID")
    return event_id


def _event_time(fields: RecordFields, now: int, missing: list[str]) -> int:
    if fields.eventTime is UNSET:
        missing.append(f'"eventTime":"{format_time(now)}"')
        return now
    try:
        event_time = _parse_time(fields.eventTime)
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
            _missing("awsRegion, and the request names no region")
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
        _invalid("eventVersion", "two numbers with a dot between, as 1.11")


def _category(fields: RecordFields, event_type: str, resource_types: Sequence[str], missing: list[str]) -> str:
    category = fields.eventCategory
    if category is UNSET:
        category = category_of(
            event_type=event_type,
            management_event=None if fields.managementEvent is UNSET else fields.managementEvent,
            event_source=fields.eventSource or "",
            event_name=fields.eventName or "",
            resource_types=resource_types,
        )
        missing.append(f'"eventCategory":"{category}"')
    elif category not in CATEGORIES:
        _invalid("eventCategory", "Management, Data, NetworkActivity or Insight")
    # Records of the other categories have no `managementEvent`.
    if fields.managementEvent is UNSET and category in {_MANAGEMENT, _DATA}:
        missing.append(f'"managementEvent":{"true" if category == _MANAGEMENT else "false"}')
    return category


def _selected_by(fields: RecordFields, missing: list[str]) -> tuple[SelectorClass, EventAttributes | None]:
    """What selectors look at, after the checks of the members that it is made of."""
    event_type = fields.eventType
    if event_type is UNSET:
        _missing("eventType")
    resources = fields.resources or ()
    resource_types = tuple(sorted({r.type for r in resources if r.type is not None})) if resources else ()
    category = _category(fields, event_type, resource_types, missing)
    event_source, event_name, identity = _who_and_what(fields, category)
    _check_objects(fields)
    network = category == _NETWORK_ACTIVITY
    selector_class = SelectorClass(
        category,
        event_source,
        event_name,
        event_type,
        fields.readOnly,
        resource_types,
        # CloudTrail writes the string; records that went through other tools have the boolean.
        fields.sessionCredentialFromConsole in ("true", True),
        identity.invoked_by == _CLOUDTRAIL and (event_source, event_name) in _OWN_WRITES,
        fields.errorCode if network else None,
        fields.vpcEndpointId if network else None,
    )
    if category == _DATA or network:
        return selector_class, EventAttributes(tuple(map(_resource, resources)), identity.arn)
    return selector_class, None


def _who_and_what(fields: RecordFields, category: str) -> tuple[str, str, UserIdentity]:
    """Source, name and user of the event. An Insights event names its source and API in insightDetails (§8)."""
    event_source, event_name = fields.eventSource, fields.eventName
    if category == _INSIGHT:
        return event_source or "", event_name or "", UserIdentity()
    if event_source is UNSET:
        _missing("eventSource")
    if event_name is UNSET:
        _missing("eventName")
    if fields.userIdentity is ABSENT:
        _missing("userIdentity")
    return event_source, event_name, read_user_identity(bytes(fields.userIdentity))


def _resource(resource: ResourceFields) -> tuple[str | None, str | None]:
    """(type, ARN); S3 names the objects that were listed by `ARNPrefix`."""
    return resource.type, resource.ARN if resource.ARN is not None else resource.ARNPrefix


def _check_objects(fields: RecordFields) -> None:
    """Amazon's reader of log files fails where one of these is neither an object nor null (reference §1.4)."""
    if fields.tlsDetails is not ABSENT and not is_object_or_null(fields.tlsDetails):
        _invalid("tlsDetails", "an object")
    if fields.addendum is not ABSENT and not is_object_or_null(fields.addendum):
        _invalid("addendum", "an object")
    if fields.edgeDeviceDetails is not ABSENT and not is_object_or_null(fields.edgeDeviceDetails):
        _invalid("edgeDeviceDetails", "an object")
    if fields.insightDetails is not ABSENT and not is_object_or_null(fields.insightDetails):
        _invalid("insightDetails", "an object")


def _missing(field: str) -> NoReturn:
    raise Rejected(RejectionCode.MISSING_FIELD, f"The record has no {field}.")


def _invalid(field: str, right: str) -> NoReturn:
    raise Rejected(RejectionCode.INVALID_FIELD, f"{field} is not {right}.")

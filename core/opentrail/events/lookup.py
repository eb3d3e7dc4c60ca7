"""What LookupEvents shows of an event, and by what it is found (reference: CloudTrail §7).

A record is looked at, not checked: whatever is in a member's place, that member is only left out. Members are kept as
raw JSON until they are asked for, so that neither a wrong type nor a megabyte in one of them costs the others.
"""
# ruff: noqa: N815 - members are spelled as in the record

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw, Struct

from opentrail.events.lookup_resources import LookupResource, resources_of
from opentrail.events.lookup_values import ABSENT, UNREADABLE, members_of, text_of

RETENTION_SECONDS = 90 * 24 * 3600
"""How long an event can be looked up, counted from its `eventTime`."""

_REMEMBERED_BYTES = 4096
"""Longest `userIdentity` whose reading is remembered."""
_FLAGS = {b"true": "true", b"false": "false"}


class LookupKey(StrEnum):
    """The keys of lookup attributes, as the API spells them."""

    ACCESS_KEY_ID = "AccessKeyId"
    EVENT_ID = "EventId"
    EVENT_NAME = "EventName"
    EVENT_SOURCE = "EventSource"
    READ_ONLY = "ReadOnly"
    RESOURCE_NAME = "ResourceName"
    RESOURCE_TYPE = "ResourceType"
    USERNAME = "Username"


INSIGHT_KEYS = frozenset({LookupKey.EVENT_ID, LookupKey.EVENT_NAME, LookupKey.EVENT_SOURCE})
"""The keys by which Insights events are found."""

# Plain texts: a member of an enum takes as long to tell its value as the rest of an attribute takes to be made.
_SINGLE = ("EventId", "EventName", "EventSource", "ReadOnly", "AccessKeyId", "Username")
"""The keys of the first members of LookupFields, in their order."""
_NAME, _TYPE = "ResourceName", "ResourceType"


class UnreadableRecord(ValueError):
    """The bytes are no JSON object in UTF-8 with an `eventID`."""


class LookupFields(NamedTuple):
    """What a record tells event history. A member is None where the record lacks it, or has something else there."""

    event_id: str
    event_name: str | None
    event_source: str | None
    read_only: str | None
    """`true` or `false`."""
    access_key_id: str | None
    username: str | None
    resources: Sequence[LookupResource]


class _Identity(NamedTuple):
    """What a `userIdentity` tells."""

    access_key_id: str | None = None
    username: str | None = None


class _Record(Struct, gc=False):
    """The members of a record that count here."""

    eventID: Raw = ABSENT
    eventName: Raw = ABSENT
    eventSource: Raw = ABSENT
    readOnly: Raw = ABSENT
    userIdentity: Raw = ABSENT
    resources: Raw = ABSENT
    requestParameters: Raw = ABSENT
    responseElements: Raw = ABSENT
    insightDetails: Raw = ABSENT


_record = msgspec.json.Decoder(_Record)


def lookup_fields(record: bytes) -> LookupFields:
    """Reads a record. An Insights event names its source and API in `insightDetails` (§8). Raises UnreadableRecord."""
    try:
        if not record.isascii():
            record.decode()  # msgspec passes over strings that nobody asks for without reading their UTF-8
        members = _record.decode(record)
    except UNREADABLE as error:
        raise UnreadableRecord(f"the record cannot be read: {error}") from None
    event_id = text_of(members.eventID)
    if event_id is None:
        raise UnreadableRecord("the record has no eventID")
    event_name, event_source = text_of(members.eventName), text_of(members.eventSource)
    if members.insightDetails is not ABSENT:
        details = members_of(members.insightDetails)
        event_name = event_name or text_of(details.get("eventName", ABSENT))
        event_source = event_source or text_of(details.get("eventSource", ABSENT))
    identity = _identity_of(members.userIdentity)
    return LookupFields(
        event_id,
        event_name,
        event_source,
        _FLAGS.get(bytes(members.readOnly)[:6]),
        identity.access_key_id,
        identity.username,
        resources_of(event_source, members.resources, members.requestParameters, members.responseElements),
    )


def lookup_attributes(fields: LookupFields) -> list[tuple[str, str]]:
    """(key, value) of each lookup attribute of an event, each once: at most six, and two for each resource."""
    attributes = [(key, value) for key, value in zip(_SINGLE, fields[:-1], strict=True) if value is not None]
    if fields.resources:
        names = dict.fromkeys([resource.name for resource in fields.resources])
        types = dict.fromkeys([resource.type for resource in fields.resources])
        attributes += [(_NAME, name) for name in names if name is not None]
        attributes += [(_TYPE, type_) for type_ in types if type_ is not None]
    return attributes


def api_event(record: bytes, event_time: int) -> dict[str, Any]:
    """The members of the API's `Event`; what the record lacks is None. Raises UnreadableRecord.

    Args:
        record: the complete record.
        event_time: its `eventTime`, in seconds since the epoch.
    """
    fields = lookup_fields(record)
    return {
        "EventId": fields.event_id,
        "EventName": fields.event_name,
        "ReadOnly": fields.read_only,
        "AccessKeyId": fields.access_key_id,
        "EventTime": datetime.fromtimestamp(event_time, UTC),
        "EventSource": fields.event_source,
        "Username": fields.username,
        "Resources": [{"ResourceType": one.type, "ResourceName": one.name} for one in fields.resources],
        "CloudTrailEvent": _without_event_context(record).decode(),
    }


def _without_event_context(record: bytes) -> bytes:
    """`eventContext` is shown in event data stores only (§1.2)."""
    if b'"eventContext"' not in record:
        return record
    members = members_of(Raw(record.strip()))  # a producer may have sent space around it
    members.pop("eventContext", None)
    return msgspec.json.encode(members)


def _identity_of(raw: Raw) -> _Identity:
    """Remembers what it read: the sessions of an account send many events each, with the same identity."""
    identity = bytes(raw)
    return _remembered_identity(identity) if len(identity) <= _REMEMBERED_BYTES else _read_identity(identity)


def _read_identity(raw: bytes) -> _Identity:
    members = members_of(Raw(raw))
    return _Identity(text_of(members.get("accessKeyId", ABSENT)), _username(members))


_remembered_identity = lru_cache(maxsize=4096)(_read_identity)


def _username(members: dict[str, Raw]) -> str | None:
    """`root`, the user's name, the name of the role session, or the service that acted (§7; services UNVERIFIED)."""
    kind, name = text_of(members.get("type", ABSENT)), text_of(members.get("userName", ABSENT))
    if kind == "Root":
        return "root"
    if name is None and kind in {"AssumedRole", "FederatedUser", "IAMUser"}:
        name = _name_in_ids(members)
    return name or text_of(members.get("invokedBy", ABSENT))


def _name_in_ids(members: dict[str, Raw]) -> str | None:
    """What stands at the end of a session's or user's ids: `AROA…:name` (§1.3), `arn:…:assumed-role/role/name`."""
    principal_id, arn = (text_of(members.get(member, ABSENT)) or "" for member in ("principalId", "arn"))
    return principal_id.partition(":")[2] or (arn.rpartition("/")[2] if "/" in arn else None) or None

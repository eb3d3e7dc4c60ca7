"""An event from outside AWS, as PutAuditEvents takes it, made into a CloudTrail record (reference: CloudTrail §11.1).

What the event says is kept byte by byte. The record is one that trails and event history take: a management event of
the type ActivityLog (docs/adr/0015-channels-lead-to-the-event-bus.md).
"""

from __future__ import annotations

import base64
import ipaddress
import uuid
from collections.abc import Iterable, Mapping
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple, NoReturn

import msgspec
from msgspec import Raw

from opentrail.events.category import EventCategory
from opentrail.events.event_time import parse_event_time
from opentrail.events.json_text import check_encoding_and_depth, unique_members
from opentrail.events.record import EVENT_VERSION
from opentrail.events.rejection import Rejected, RejectionCode
from opentrail.evidence.times import MalformedTime, format_time

ACTIVITY_LOG = "ActivityLog"
"""`eventType` of events from outside AWS."""
AUDIT_EVENTS = uuid.UUID("3a2de236-d12b-45a4-98eb-b448d1a0c63a")
"""Namespace of their ids (RFC 9562, section 5.5). Fixed for ever: another one would give other ids."""

_KILOBYTE = 1024
_TEXTS = {
    "version": 256,
    "eventSource": 1024,
    "eventName": 1024,
    "eventTime": 32,
    "UID": 1024,
    "recipientAccountId": 1024,
    "userAgent": 1024,
    "errorCode": 256,
    "errorMessage": 256,
    "sourceIPAddress": 64,
}
"""The greatest length of each in characters."""
_OBJECTS = {
    "requestParameters": 100 * _KILOBYTE,
    "responseElements": 100 * _KILOBYTE,
    "additionalEventData": 28 * _KILOBYTE,
}
"""The greatest size of each in bytes, as it stands in the event."""
_REQUIRED = ("version", "userIdentity", "eventSource", "eventName", "eventTime", "UID", "recipientAccountId")
_MEMBERS = frozenset({*_TEXTS, *_OBJECTS, "userIdentity"})
_IDENTITY_TEXTS = {"type": 128, "principalId": 1024}
_IDENTITY_MEMBERS = frozenset({*_IDENTITY_TEXTS, "details"})

_NULL = Raw(b"null")


class AuditEventError(StrEnum):
    """Why an event is not taken: CloudTrail's error codes."""

    FIELD_NOT_FOUND = "FieldNotFound"
    FIELD_TOO_LONG = "FieldTooLong"
    INVALID_CHECKSUM = "InvalidChecksum"
    INVALID_DATA = "InvalidData"
    INVALID_EVENT_SOURCE = "InvalidEventSource"
    INVALID_RECIPIENT = "InvalidRecipient"


class InvalidAuditEvent(Exception):
    """An event that is not taken."""

    def __init__(self, code: AuditEventError, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Ingestion(NamedTuple):
    """Where and when an event comes in."""

    account_id: str
    """The channel's owner: the one that receives the event."""
    region: str
    channel_arn: str
    now: int
    """Seconds since the epoch."""


def record_of(audit_event: Mapping[str, str], ingestion: Ingestion) -> bytes:
    """The record of an event.

    Args:
        audit_event: `id`, `eventData` and maybe `eventDataChecksum`, as PutAuditEvents has them.
        ingestion: where it comes in.

    Raises:
        InvalidAuditEvent: CloudTrail would not take it.
    """
    data = audit_event["eventData"].encode()
    checksum = audit_event.get("eventDataChecksum")
    digest = sha256(data).digest()
    if checksum is not None and checksum != base64.b64encode(digest).decode("ascii"):
        raise InvalidAuditEvent(AuditEventError.INVALID_CHECKSUM, "eventDataChecksum is not that of eventData.")
    members = _members(data, ingestion.account_id)
    event_id = uuid.uuid5(AUDIT_EVENTS, f"{ingestion.channel_arn}/{audit_event['id']}/{digest.hex()}")
    return msgspec.json.encode(_record(members, ingestion, str(event_id)))


def failure_of(rejection: RejectionCode) -> AuditEventError:
    """The error code for a record that the producer's own checks reject."""
    match rejection:
        case RejectionCode.MISSING_FIELD:
            return AuditEventError.FIELD_NOT_FOUND
        case RejectionCode.EVENT_TOO_LARGE:
            return AuditEventError.FIELD_TOO_LONG
        case RejectionCode.ACCOUNT_MISMATCH:
            return AuditEventError.INVALID_RECIPIENT
        case _:
            return AuditEventError.INVALID_DATA


def is_aws_service(source: str) -> bool:
    """Whether a source is named as AWS names its own services, for example `s3.amazonaws.com`."""
    host = source.strip().rstrip(".").lower().removesuffix(".cn")
    return host == "amazonaws.com" or host.endswith(".amazonaws.com")


def _record(members: Mapping[str, Any], ingestion: Ingestion, event_id: str) -> dict[str, Any]:
    """The record's members, in the order in which CloudTrail's samples have them."""
    optional = ("userAgent", "errorCode", "errorMessage")
    return {
        "eventVersion": EVENT_VERSION,
        "userIdentity": members["userIdentity"],
        "eventTime": format_time(members["eventTime"]),
        "eventSource": members["eventSource"],
        "eventName": members["eventName"],
        "awsRegion": ingestion.region,
        "sourceIPAddress": members.get("sourceIPAddress"),
        **{name: members[name] for name in optional if name in members},
        "requestParameters": members.get("requestParameters"),
        "responseElements": members.get("responseElements"),
        **{name: members[name] for name in ("additionalEventData",) if name in members},
        "eventID": event_id,
        "eventType": ACTIVITY_LOG,
        "managementEvent": True,
        "recipientAccountId": ingestion.account_id,
        "eventCategory": EventCategory.MANAGEMENT,
        # What a record of a trail has no other place for lies where event data stores have it.
        "eventData": {"version": members["version"], "UID": members["UID"]},
        "metadata": {"ingestionTime": format_time(ingestion.now), "channelARN": ingestion.channel_arn},
    }


def _members(data: bytes, account_id: str) -> Mapping[str, Any]:
    """The event's members after their checks: texts, the time in epoch seconds, objects as they stand there."""
    raw = _object(data, "eventData")
    _refuse_unknown(raw, _MEMBERS, "eventData", "additionalEventData")
    _require(raw, _REQUIRED, "eventData")
    members: dict[str, Any] = {name: _text(raw[name], name, most) for name, most in _TEXTS.items() if name in raw}
    for name, most in _OBJECTS.items():
        if name in raw:
            members[name] = _bounded_object(raw[name], name, most)
    _check_identity(raw["userIdentity"])
    if members["recipientAccountId"] != account_id:
        message = "recipientAccountId is not the account that owns the channel."
        raise InvalidAuditEvent(AuditEventError.INVALID_RECIPIENT, message)
    if is_aws_service(members["eventSource"]):
        message = "eventSource is an AWS service; a channel is for events from outside AWS."
        raise InvalidAuditEvent(AuditEventError.INVALID_EVENT_SOURCE, message)
    _check_address(members.get("sourceIPAddress"))
    return {**members, "userIdentity": raw["userIdentity"], "eventTime": _time(members["eventTime"])}


def _check_identity(raw: Raw) -> None:
    identity = _object(bytes(raw), "userIdentity")
    _refuse_unknown(identity, _IDENTITY_MEMBERS, "userIdentity", "userIdentity.details")
    _require(identity, _IDENTITY_TEXTS, "userIdentity")
    for name, most in _IDENTITY_TEXTS.items():
        _text(identity[name], f"userIdentity.{name}", most)
    if "details" in identity:
        _object(bytes(identity["details"]), "userIdentity.details")


def _check_address(address: str | None) -> None:
    try:
        if address is not None:
            ipaddress.ip_address(address)
    except ValueError:
        _invalid("sourceIPAddress is no IPv4 or IPv6 address.")


def _time(text: str) -> int:
    """Epoch seconds. CloudTrail documents the form without a zone, and its samples have the Z of UTC."""
    try:
        return parse_event_time(text if text.endswith("Z") else f"{text}Z")
    except MalformedTime:
        _invalid("eventTime is not yyyy-MM-DDTHH:mm:ss in UTC, or no such time.")


def _object(raw: bytes, place: str) -> dict[str, Raw]:
    """The members of a JSON object that are not null."""
    try:
        check_encoding_and_depth(raw)
        members = unique_members(raw)
    except (msgspec.MsgspecError, RecursionError):
        _invalid(f"{place} is not a JSON object.")
    except Rejected as rejected:
        _invalid(f"{place}: {rejected.rejection.message}")
    return {name: value for name, value in members.items() if value != _NULL}


def _bounded_object(raw: Raw, place: str, most: int) -> Raw:
    if len(bytes(raw)) > most:
        message = f"{place} has {len(bytes(raw))} bytes; at most {most} are taken."
        raise InvalidAuditEvent(AuditEventError.FIELD_TOO_LONG, message)
    _object(bytes(raw), place)
    return raw


def _text(raw: Raw, place: str, most: int) -> str:
    try:
        text = msgspec.json.decode(raw, type=str)
    except msgspec.MsgspecError:
        _invalid(f"{place} is not a string.")
    if len(text) > most:
        message = f"{place} has {len(text)} characters; at most {most} are taken."
        raise InvalidAuditEvent(AuditEventError.FIELD_TOO_LONG, message)
    return text


def _require(members: Mapping[str, Raw], names: Iterable[str], place: str) -> None:
    for name in names:
        if bytes(members.get(name, _NULL)) in {b"null", b'""'}:
            raise InvalidAuditEvent(AuditEventError.FIELD_NOT_FOUND, f"{place} has no {name}, or an empty one.")


def _refuse_unknown(members: Mapping[str, Raw], known: frozenset[str], place: str, free_place: str) -> None:
    """What would be left out of the record is refused, so that nothing is lost without a word."""
    unknown = sorted(members.keys() - known)
    if unknown:
        _invalid(f"{place} has no field {unknown[0][:100]!r}; what is your own belongs into {free_place}.")


def _invalid(message: str) -> NoReturn:
    raise InvalidAuditEvent(AuditEventError.INVALID_DATA, message)

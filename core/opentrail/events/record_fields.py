"""The members of a record (reference: CloudTrail §1.2, §1.3), decoded only as far as the checks and selectors need.

The other known members are kept as raw JSON, so that the whole, encoded again, is as long as the record: that is how
a repeated key is noticed at next to no cost.
"""
# ruff: noqa: N815 - members are spelled as in the record

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from opentrail.events.json_text import reject_unreadable, unique_members
from opentrail.events.rejection import Rejected, RejectionCode

ABSENT = Raw(b"")
"""The value of a raw member that the record lacks."""

_REMEMBERED_BYTES = 4096
"""Longest `userIdentity` whose reading is remembered."""


class ResourceFields(Struct, gc=False, omit_defaults=True):
    """An element of `resources`."""

    type: str | None = None
    ARN: str | None = None
    accountId: Raw = ABSENT
    ARNPrefix: str | None = None


class RecordFields(Struct, gc=False, omit_defaults=True):
    """The members of a record at its top."""

    eventVersion: str | UnsetType = UNSET
    userIdentity: Raw = ABSENT
    eventTime: str | UnsetType = UNSET
    eventSource: str | UnsetType = UNSET
    eventName: str | UnsetType = UNSET
    awsRegion: str | UnsetType = UNSET
    sourceIPAddress: Raw = ABSENT
    userAgent: Raw = ABSENT
    errorCode: str | None = None
    errorMessage: Raw = ABSENT
    requestParameters: Raw = ABSENT
    responseElements: Raw = ABSENT
    additionalEventData: Raw = ABSENT
    requestID: Raw = ABSENT
    eventID: str | UnsetType = UNSET
    readOnly: bool | None = None
    resources: list[ResourceFields] | None = None
    eventType: str | UnsetType = UNSET
    apiVersion: Raw = ABSENT
    managementEvent: bool | UnsetType = UNSET
    recipientAccountId: str | UnsetType = UNSET
    sharedEventID: Raw = ABSENT
    serviceEventDetails: Raw = ABSENT
    vpcEndpointId: str | None = None
    vpcEndpointAccountId: Raw = ABSENT
    eventCategory: str | UnsetType = UNSET
    addendum: Raw = ABSENT
    sessionCredentialFromConsole: str | bool | None = None
    edgeDeviceDetails: Raw = ABSENT
    tlsDetails: Raw = ABSENT
    insightDetails: Raw = ABSENT


class UserIdentity(NamedTuple):
    """What selectors look at in `userIdentity`."""

    arn: str | None = None
    invoked_by: str | None = None


class _Object(Struct, gc=False):
    """A JSON object, whatever is in it."""


class _SessionContext(Struct, gc=False):
    """Amazon's own reader of log files fails on a null in place of one of these objects (reference: §1.4)."""

    attributes: _Object | UnsetType = UNSET
    sessionIssuer: _Object | UnsetType = UNSET
    webIdFederationData: _Object | UnsetType = UNSET


class _UserIdentityFields(Struct, gc=False):
    arn: str | None = None
    invokedBy: str | None = None
    sessionContext: _SessionContext | UnsetType = UNSET
    onBehalfOf: _Object | UnsetType = UNSET
    invokedByDelegate: _Object | UnsetType = UNSET
    inScopeOf: _Object | None = None


_record_decoder = msgspec.json.Decoder(RecordFields)
_record_encoder = msgspec.json.Encoder()
_identity_decoder = msgspec.json.Decoder(_UserIdentityFields | None)
_elements_decoder = msgspec.json.Decoder(list[Raw] | None)


def read_fields(raw: bytes) -> RecordFields:
    """The members of a record whose encoding and depth have been checked. Raises Rejected."""
    try:
        fields = _record_decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        reject_unreadable(raw, error)
    # Compact JSON with known members and no key twice has exactly this length; anything else is longer.
    if len(_record_encoder.encode(fields)) != len(raw):
        _check_duplicates(raw)
    return fields


def read_user_identity(raw: bytes) -> UserIdentity:
    """What selectors look at in the member `userIdentity` of a checked record. Raises Rejected."""
    return _remembered_identity(raw) if len(raw) <= _REMEMBERED_BYTES else _read_identity(raw)


def is_object_or_null(raw: Raw) -> bool:
    """Whether a raw member is an object, null, or absent. It is known to be JSON."""
    return bytes(raw)[:1] in b"{n"


def _read_identity(raw: bytes) -> UserIdentity:
    try:
        identity = _identity_decoder.decode(raw)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`$", "`userIdentity")
        raise Rejected(RejectionCode.INVALID_FIELD, f"userIdentity is not as CloudTrail has it: {reason}.") from None
    if identity is None:
        return UserIdentity()
    unique_members(raw)
    return UserIdentity(identity.arn, identity.invokedBy)


# The sessions of an account send many events each, with the same identity byte for byte.
_remembered_identity = lru_cache(maxsize=4096)(_read_identity)


def _check_duplicates(raw: bytes) -> None:
    """The exact check of the record's top and of each of its resources."""
    resources = unique_members(raw).get("resources")
    for element in (_elements_decoder.decode(resources) or ()) if resources is not None else ():
        unique_members(bytes(element))

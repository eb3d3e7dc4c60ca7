"""What a record is to event selectors: its category, its selector class, and its attributes.

Classes are few and records many. The class of a record that lacks nothing is remembered by the members that it is
made of, so that most records cost one look into a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from opentrail.events.category import CATEGORIES, EventCategory, category_of
from opentrail.events.record_fields import (
    ABSENT,
    RecordFields,
    ResourceFields,
    UserIdentity,
    is_object_or_null,
    read_user_identity,
)
from opentrail.events.rejection import invalid_field, missing_field
from opentrail.events.selector_class import EventAttributes, SelectorClass

_OWN_WRITES = frozenset({("s3.amazonaws.com", "PutObject"), ("logs.amazonaws.com", "PutLogEvents")})
_OBJECT_OR_NULL = b"{n"
"""What a JSON value that is one of them, or that is absent, begins with."""
_CLOUDTRAIL = "cloudtrail.amazonaws.com"
_MANAGEMENT, _DATA = EventCategory.MANAGEMENT.value, EventCategory.DATA.value
_NETWORK_ACTIVITY, _INSIGHT = EventCategory.NETWORK_ACTIVITY.value, EventCategory.INSIGHT.value

_MOST_REMEMBERED = 4096
_LONGEST_REMEMBERED = 1024
_classes: dict[tuple[Any, ...], SelectorClass] = {}
"""By the members that decide about them. Its bounds keep clients from filling the memory with odd names."""


def remembered_class(fields: RecordFields) -> tuple[SelectorClass, EventAttributes | None] | None:
    """What `classify` gives for a record that lacks nothing, if it was remembered and the record passes its checks."""
    if (
        fields.userIdentity is ABSENT
        or fields.addendum is not ABSENT
        or fields.edgeDeviceDetails is not ABSENT
        or fields.insightDetails is not ABSENT
        or bytes(fields.tlsDetails)[:1] not in _OBJECT_OR_NULL
    ):
        return None
    identity = read_user_identity(bytes(fields.userIdentity))
    selector_class = _classes.get(_key(fields, identity))
    if selector_class is None:
        return None
    if selector_class.event_category == _DATA:
        resources = fields.resources
        return selector_class, _attributes(resources, identity) if resources else EventAttributes((), identity.arn)
    return selector_class, None


def remember_class(fields: RecordFields, selector_class: SelectorClass) -> None:
    """Remembers what `classify` gave for a record that passed all checks and lacks nothing."""
    if selector_class.event_category not in {_MANAGEMENT, _DATA}:
        return  # rare, and made of more members
    key = _key(fields, read_user_identity(bytes(fields.userIdentity)))
    if len(repr(key)) <= _LONGEST_REMEMBERED:
        if len(_classes) >= _MOST_REMEMBERED:
            _classes.clear()
        _classes[key] = selector_class


def _key(fields: RecordFields, identity: UserIdentity) -> tuple[Any, ...]:
    """The members that decide whether `classify` accepts a management or data event, and what it gives."""
    return (
        fields.eventVersion,
        fields.eventCategory,
        fields.managementEvent,
        fields.eventType,
        fields.eventSource,
        fields.eventName,
        fields.readOnly,
        tuple([one.type for one in fields.resources]) if fields.resources else None,
        fields.sessionCredentialFromConsole,
        identity.invoked_by == _CLOUDTRAIL,
    )


def classify(fields: RecordFields, missing: list[str]) -> tuple[SelectorClass, EventAttributes | None]:
    """What selectors look at, after the checks of the members that it is made of. Raises Rejected.

    Members that the service owns and that the record lacks are added to `missing`.
    """
    event_type = fields.eventType
    if event_type is UNSET:
        missing_field("eventType")
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
    return selector_class, _attributes(resources, identity) if category == _DATA or network else None


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
        invalid_field("eventCategory", "Management, Data, NetworkActivity or Insight")
    # Records of the other categories have no `managementEvent`.
    if fields.managementEvent is UNSET and category in {_MANAGEMENT, _DATA}:
        missing.append(f'"managementEvent":{"true" if category == _MANAGEMENT else "false"}')
    return category


def _who_and_what(fields: RecordFields, category: str) -> tuple[str, str, UserIdentity]:
    """Source, name and user of the event. An Insights event names its source and API in insightDetails (§8)."""
    event_source, event_name = fields.eventSource, fields.eventName
    if category == _INSIGHT:
        return event_source or "", event_name or "", UserIdentity()
    if event_source is UNSET:
        missing_field("eventSource")
    if event_name is UNSET:
        missing_field("eventName")
    if fields.userIdentity is ABSENT:
        missing_field("userIdentity")
    return event_source, event_name, read_user_identity(bytes(fields.userIdentity))


def _attributes(resources: Sequence[ResourceFields], identity: UserIdentity) -> EventAttributes:
    """Resources as (type, ARN); S3 names the objects that were listed by `ARNPrefix`."""
    return EventAttributes(
        tuple([(one.type, one.ARN if one.ARN is not None else one.ARNPrefix) for one in resources]), identity.arn
    )


def _check_objects(fields: RecordFields) -> None:
    """Amazon's reader of log files fails where one of these is neither an object nor null (reference §1.4)."""
    if fields.tlsDetails is not ABSENT and not is_object_or_null(fields.tlsDetails):
        invalid_field("tlsDetails", "an object")
    if fields.addendum is not ABSENT and not is_object_or_null(fields.addendum):
        invalid_field("addendum", "an object")
    if fields.edgeDeviceDetails is not ABSENT and not is_object_or_null(fields.edgeDeviceDetails):
        invalid_field("edgeDeviceDetails", "an object")
    if fields.insightDetails is not ABSENT and not is_object_or_null(fields.insightDetails):
        invalid_field("insightDetails", "an object")

"""Entities as the JSON objects of changes, and back.

A body that an older release wrote is read too: what it does not say has the default. Keys that this release does not
know are passed over; a selector's must all be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from opentrail.trails.channel import Channel, ResourcePolicy
from opentrail.trails.entities import Account, Kind, Organization
from opentrail.trails.trail import Trail

_Entity = TypeVar("_Entity", Trail, Organization, Account, Channel, ResourcePolicy)


def trail_body(trail: Trail) -> dict[str, Any]:
    """The trail as the JSON object of a change; its id is the trail's incarnation."""
    return _body(trail, "incarnation")


def trail_from_body(id: str, body: Mapping[str, Any]) -> Trail:  # noqa: A002 - the change's own term
    """The trail of a change. Raises ValueError."""
    return _entity(Trail, {**body, "incarnation": id})


def organization_body(organization: Organization) -> dict[str, Any]:
    """The organization as the JSON object of a change."""
    return _body(organization, "id")


def organization_from_body(id: str, body: Mapping[str, Any]) -> Organization:  # noqa: A002 - as above
    """The organization of a change. Raises ValueError."""
    return _entity(Organization, {**body, "id": id})


def account_body(account: Account) -> dict[str, Any]:
    """The account as the JSON object of a change."""
    return _body(account, "id")


def account_from_body(id: str, body: Mapping[str, Any]) -> Account:  # noqa: A002 - as above
    """The account of a change. Raises ValueError."""
    return _entity(Account, {**body, "id": id})


def channel_body(channel: Channel) -> dict[str, Any]:
    """The channel as the JSON object of a change."""
    return _body(channel, "id")


def channel_from_body(id: str, body: Mapping[str, Any]) -> Channel:  # noqa: A002 - as above
    """The channel of a change. Raises ValueError."""
    return _entity(Channel, {**body, "id": id})


def resource_policy_body(policy: ResourcePolicy) -> dict[str, Any]:
    """The resource policy as the JSON object of a change; its id is the resource's ARN."""
    return _body(policy, "id")


def resource_policy_from_body(id: str, body: Mapping[str, Any]) -> ResourcePolicy:  # noqa: A002 - as above
    """The resource policy of a change. Raises ValueError."""
    return _entity(ResourcePolicy, {**body, "id": id})


READERS = {
    Kind.TRAIL: trail_from_body,
    Kind.ORGANIZATION: organization_from_body,
    Kind.ACCOUNT: account_from_body,
    Kind.CHANNEL: channel_from_body,
    Kind.RESOURCE_POLICY: resource_policy_from_body,
}
"""How the body of each kind of change is read; each raises ValueError."""


def _body(entity: Trail | Organization | Account | Channel | ResourcePolicy, id_field: str) -> dict[str, Any]:
    """Plain JSON values, in a fixed order, so that equal entities have equal bodies."""
    body: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(entity, order="deterministic"))
    del body[id_field]
    return body


def _entity(kind: type[_Entity], body: Mapping[str, Any]) -> _Entity:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"not a {kind.__name__.lower()}: {error}") from error

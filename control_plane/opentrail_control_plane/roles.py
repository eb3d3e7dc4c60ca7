"""What an access key may do: everything, or only read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentrail.trails.caller import Caller
from opentrail_control_plane.caller_identity import identity_arn
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.operations.context import Identity

ADMIN, READ_ONLY = "admin", "read-only"
"""A key of any other role may only read, too."""

_READS = ("Describe", "Get", "List", "Lookup", "Search")
_NAMES = ("Name", "TrailName", "ResourceId", "ResourceArn", "Channel", "EventDataStore", "DashboardId", "channelArn")
"""The members that name what an operation is about."""


def is_read(operation: str) -> bool:
    """Whether an operation changes nothing: its name says so, in all services that are answered here."""
    return operation.startswith(_READS)


def authorize(service: str, operation: str, members: Mapping[str, Any], caller: Caller, identity: Identity) -> None:
    """Raises ApiError, AccessDeniedException, if the key's role does not allow the operation."""
    if identity.role == ADMIN or is_read(operation):
        return
    action = f"{service}:{operation}"
    raise ApiError(
        "AccessDeniedException",
        f"User: {identity_arn(caller.account_id, identity.user_name)} is not authorized to perform: {action} on "
        f"resource: {_resource(members, caller)} because no identity-based policy allows the {action} action",
        403,
    )


def _resource(members: Mapping[str, Any], caller: Caller) -> str:
    name = next((members[key] for key in _NAMES if members.get(key)), None)
    if not isinstance(name, str):
        return "*"
    if name.startswith("arn:"):
        return name[:256]
    return f"arn:aws:cloudtrail:{caller.region}:{caller.account_id}:trail/{name[:128]}"

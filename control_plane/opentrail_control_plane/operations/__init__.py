"""Which operations are answered, and by which function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentrail_control_plane.operations.context import Context
from opentrail_control_plane.operations.organizations import describe_organization
from opentrail_control_plane.operations.public_keys import list_public_keys
from opentrail_control_plane.operations.trail_status import get_trail_status
from opentrail_control_plane.operations.trails import describe_trails, get_event_selectors, get_trail, list_trails

Operation = Callable[[Context, dict[str, Any]], dict[str, Any]]

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("cloudtrail", "DescribeTrails"): describe_trails,
    ("cloudtrail", "GetTrail"): get_trail,
    ("cloudtrail", "ListTrails"): list_trails,
    ("cloudtrail", "GetTrailStatus"): get_trail_status,
    ("cloudtrail", "GetEventSelectors"): get_event_selectors,
    ("cloudtrail", "ListPublicKeys"): list_public_keys,
    ("organizations", "DescribeOrganization"): describe_organization,
}

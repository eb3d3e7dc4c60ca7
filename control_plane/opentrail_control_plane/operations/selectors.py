"""What a trail takes, and how: event selectors, insight selectors and the event configuration, put and read."""

from __future__ import annotations

from typing import Any

from opentrail.trails.event_configuration import event_configuration_of, with_event_configuration
from opentrail.trails.event_selector_requests import with_event_selectors
from opentrail.trails.insight_selectors import insight_selectors_of, with_insight_selectors
from opentrail.trails.trail import Trail
from opentrail.trails.visibility import asked_trail, find_trail, writable_trail
from opentrail_control_plane.operations.context import Context, Reply
from opentrail_control_plane.operations.trail_changes import changes_of


def put_event_selectors(context: Context, members: dict[str, Any]) -> Reply:
    """PutEventSelectors: replaces all that the trail had.

    Raises Refused, as `writable_trail` and `with_event_selectors` do.
    """
    before = writable_trail(context.configuration, context.caller, members["TrailName"])
    trail = with_event_selectors(before, members)
    return Reply({"TrailARN": trail.arn, **trail.event_selectors.to_api()}, changes_of(trail, before))


def get_event_selectors(context: Context, members: dict[str, Any]) -> Reply:
    """GetEventSelectors: basic or advanced ones, as they were put. Raises Refused, as `find_trail`."""
    trail = find_trail(context.configuration, context.caller, members["TrailName"])
    return Reply({"TrailARN": trail.arn, **trail.event_selectors.to_api()})


def put_insight_selectors(context: Context, members: dict[str, Any]) -> Reply:
    """PutInsightSelectors: replaces all that the trail had; an empty list switches Insights off.

    Raises Refused, as `asked_trail`, `writable_trail` and `with_insight_selectors` do, and as `Targets` where they are
    switched on: Insights events go to the trail's bucket.
    """
    before = writable_trail(context.configuration, context.caller, asked_trail(members))
    trail = with_insight_selectors(before, members)
    if trail.has_insight_selectors:
        _check_bucket(context, trail)
    shown = insight_selectors_of(trail) if trail.has_insight_selectors else []
    return Reply({"TrailARN": trail.arn, "InsightSelectors": shown}, changes_of(trail, before))


def get_insight_selectors(context: Context, members: dict[str, Any]) -> Reply:
    """GetInsightSelectors. Raises Refused, as `asked_trail`, `find_trail` and `insight_selectors_of` do."""
    trail = find_trail(context.configuration, context.caller, asked_trail(members))
    return Reply({"TrailARN": trail.arn, "InsightSelectors": insight_selectors_of(trail)})


def put_event_configuration(context: Context, members: dict[str, Any]) -> Reply:
    """PutEventConfiguration: a trail's aggregations. Raises Refused, as `asked_trail`, `with_event_configuration`."""
    before = writable_trail(context.configuration, context.caller, asked_trail(members))
    trail = with_event_configuration(before, members)
    return Reply({"TrailARN": trail.arn, **event_configuration_of(trail)}, changes_of(trail, before))


def get_event_configuration(context: Context, members: dict[str, Any]) -> Reply:
    """GetEventConfiguration of a trail. Raises Refused, as `asked_trail`, `find_trail`."""
    trail = find_trail(context.configuration, context.caller, asked_trail(members))
    return Reply({"TrailARN": trail.arn, **event_configuration_of(trail)})


def _check_bucket(context: Context, trail: Trail) -> None:
    targets = context.ports.targets
    if targets is not None:
        targets.check_bucket(trail, context.configuration)
        if trail.kms_key_id is not None:
            targets.check_kms_key(trail, trail.kms_key_id)

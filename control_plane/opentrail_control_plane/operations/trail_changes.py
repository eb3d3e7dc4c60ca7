"""Changing trails: CreateTrail, UpdateTrail, DeleteTrail, StartLogging, StopLogging."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

from opentrail.trails.configuration import Kind, trail_body
from opentrail.trails.logging_sessions import started, stopped
from opentrail.trails.trail import Trail
from opentrail.trails.trail_requests import created_trail, updated_trail
from opentrail.trails.visibility import writable_trail
from opentrail_backends.state.port import NewChange
from opentrail_control_plane.operations.context import Context, Reply
from opentrail_control_plane.operations.trails import trail_settings


def create_trail(context: Context, members: dict[str, Any]) -> Reply:
    """CreateTrail: the caller's region is the trail's home. It logs once StartLogging says so.

    Raises Refused, as `created_trail` and `Targets` do.
    """
    regions = context.ports.regions
    trail = created_trail(context.configuration, context.caller, members, incarnation=str(uuid4()), regions=regions)
    trail = with_checked_targets(context, trail, None)
    return Reply(trail_settings(trail), changes_of(trail, None))


def update_trail(context: Context, members: dict[str, Any]) -> Reply:
    """UpdateTrail: what is given replaces what the trail has, and an empty text clears it.

    Raises Refused, as `writable_trail`, `updated_trail` and `Targets` do.
    """
    configuration, caller = context.configuration, context.caller
    before = writable_trail(configuration, caller, members["Name"])
    trail = updated_trail(
        configuration, caller, before, members, regions=context.ports.regions, now_ms=context.state.configuration.now()
    )
    trail = with_checked_targets(context, trail, before)
    return Reply(trail_settings(trail), changes_of(trail, before))


def delete_trail(context: Context, members: dict[str, Any]) -> Reply:
    """DeleteTrail: bucket, files, topic and key stay. Raises Refused, as `writable_trail`."""
    trail = writable_trail(context.configuration, context.caller, members["Name"])
    return Reply({}, [NewChange(Kind.TRAIL, trail.incarnation, None)])


def start_logging(context: Context, members: dict[str, Any]) -> Reply:
    """StartLogging; a trail that logs already goes on. Raises Refused, as `writable_trail`."""
    return _switched(context, members, started)


def stop_logging(context: Context, members: dict[str, Any]) -> Reply:
    """StopLogging; of a trail that does not log nothing changes. Raises Refused, as `writable_trail`."""
    return _switched(context, members, stopped)


def changes_of(trail: Trail, before: Trail | None) -> list[NewChange]:
    """The change that makes the trail what it is to be; none if it is so already."""
    return [] if trail == before else [NewChange(Kind.TRAIL, trail.incarnation, trail_body(trail))]


def with_checked_targets(context: Context, trail: Trail, before: Trail | None) -> Trail:
    """The trail with the full ARNs of its key and topic, once its bucket, key and topic have been found good.

    Only what differs from `before` is looked up and asked. Raises Refused and ApiError, as `Targets` does.
    """
    targets, caller = context.ports.targets, context.caller
    if targets is None:
        return trail
    if trail.kms_key_id is not None and (before is None or trail.kms_key_id != before.kms_key_id):
        trail = replace(trail, kms_key_id=targets.resolve_kms_key(trail.kms_key_id, caller))
    if trail.sns_topic_arn is not None and (before is None or trail.sns_topic_arn != before.sns_topic_arn):
        trail = replace(trail, sns_topic_arn=targets.resolve_topic(trail.sns_topic_arn, caller))
    targets.check_trail(trail, before, context.configuration)
    return trail


def _switched(context: Context, members: dict[str, Any], switch: Callable[[Trail, int], Trail]) -> Reply:
    # By the state store's clock: the start of logging anchors the digest chains, whose times are the store's.
    trail = writable_trail(context.configuration, context.caller, members["Name"])
    return Reply({}, changes_of(switch(trail, context.state.configuration.now()), trail))

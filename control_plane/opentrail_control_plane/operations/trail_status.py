"""GetTrailStatus: whether a trail logs, since when, what it delivered last in the caller's region, and what fails."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opentrail.trails.configuration import ConfigurationHistory
from opentrail.trails.trail import Trail
from opentrail_control_plane.operations.context import Context
from opentrail_control_plane.operations.visible_trails import the_trail

_NOT_ANSWERED = frozenset({"OutcomeUnknown", "RequestTimeout"})
"""CloudTrail shows no error for requests that time out."""


def get_trail_status(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """Times as numbers, and those that CloudTrail still gives as texts too (empty if there is none).

    An error is S3's own code, there while files or digests wait because of it. The newest attempt is then one that
    failed, so it lies after the newest that succeeded.
    """
    trail = the_trail(context, members["Name"])
    delivered = context.state.trail_status(trail.incarnation, context.region)
    delivery = _time(delivered.get("delivered_at"))
    attempts = [at for at in (delivered.get("delivered_at"), delivered.get("failing_since")) if at is not None]
    started = _time(trail.started_logging_at or None)
    stopped = _time(_stopped_at(context.history, trail))
    return {
        "IsLogging": trail.is_logging,
        "LatestDeliveryError": _shown(delivered.get("delivery_error")),
        "LatestDeliveryTime": delivery,
        "LatestDigestDeliveryError": _shown(delivered.get("digest_error")),
        "LatestDigestDeliveryTime": _time(delivered.get("digest_delivered_at")),
        "StartLoggingTime": started,
        "StopLoggingTime": stopped,
        "LatestDeliveryAttemptTime": _text(_time(max(attempts, default=None))),
        "LatestDeliveryAttemptSucceeded": _text(delivery),
        "LatestNotificationAttemptTime": "",
        "LatestNotificationAttemptSucceeded": "",
        "TimeLoggingStarted": _text(started),
        "TimeLoggingStopped": _text(stopped),
    }


def _stopped_at(history: ConfigurationHistory, trail: Trail) -> int | None:
    """When this trail last went from logging to not logging: the time of that revision (ms)."""
    stopped, was_logging = None, False
    for configuration in history.known:
        known = configuration.trails.get(trail.incarnation)
        is_logging = known is not None and known.is_logging
        if was_logging and not is_logging:
            stopped = configuration.effective_at
        was_logging = is_logging
    return stopped


def _shown(error: str | None) -> str | None:
    return None if error in _NOT_ANSWERED else error


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _text(time: datetime | None) -> str:
    return "" if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")

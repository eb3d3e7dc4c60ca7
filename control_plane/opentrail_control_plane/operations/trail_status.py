"""GetTrailStatus: whether a trail logs, since when, what it delivered last in the caller's region, what fails."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from opentrail.trails.configuration import ConfigurationHistory
from opentrail.trails.trail import Trail
from opentrail.trails.visibility import find_trail
from opentrail_control_plane.operations.context import Context, Reply

_NOT_ANSWERED = frozenset({"OutcomeUnknown", "RequestTimeout"})
"""CloudTrail shows no error for requests that time out."""


def get_trail_status(context: Context, members: dict[str, Any]) -> Reply:
    """Times as numbers, and those that CloudTrail still gives as texts too (empty if there is none).

    An error is S3's or SNS's own code, there while files, digests or notifications wait because of it. The newest
    attempt is then one that failed, so it lies after the newest that succeeded. Raises Refused, as `find_trail`.
    """
    trail = find_trail(context.configuration, context.caller, members["Name"])
    done = context.state.trail_status(trail.incarnation, context.region)
    delivered, notified = _time(done.get("delivered_at")), _time(done.get("notified_at"))
    started = _time(trail.started_logging_at or None)
    stopped = _time(_stopped_at(context.history, trail))
    return Reply(
        {
            "IsLogging": trail.is_logging,
            "LatestDeliveryError": _shown(done.get("delivery_error")),
            "LatestNotificationError": _shown(done.get("notification_error")),
            "LatestDeliveryTime": delivered,
            "LatestNotificationTime": notified,
            "StartLoggingTime": started,
            "StopLoggingTime": stopped,
            "LatestDigestDeliveryTime": _time(done.get("digest_delivered_at")),
            "LatestDigestDeliveryError": _shown(done.get("digest_error")),
            "LatestDeliveryAttemptTime": _text(_latest(delivered, _time(done.get("failing_since")))),
            "LatestDeliveryAttemptSucceeded": _text(delivered),
            "LatestNotificationAttemptTime": _text(_latest(notified, _time(done.get("notification_failing_since")))),
            "LatestNotificationAttemptSucceeded": _text(notified),
            "TimeLoggingStarted": _text(started),
            "TimeLoggingStopped": _text(stopped),
        }
    )


def _stopped_at(history: ConfigurationHistory, trail: Trail) -> int | None:
    """When this trail last went from logging to not logging (ms)."""
    return trail.stopped_logging_at or _stopped_before_it_was_kept(history, trail)


def _stopped_before_it_was_kept(history: ConfigurationHistory, trail: Trail) -> int | None:
    """The same of a trail that was last stopped by a release that did not keep the time: that of the revision."""
    forms = list(history.forms_of(trail.incarnation))
    if not any(before.is_logging and not after.is_logging for after, before in pairwise(forms)):
        return None
    stopped, was_logging = None, False
    for configuration in history.known:
        known = configuration.trails.get(trail.incarnation)
        is_logging = known is not None and known.is_logging
        if was_logging and not is_logging:
            stopped = configuration.effective_at
        was_logging = is_logging
    return stopped


def _latest(*times: datetime | None) -> datetime | None:
    return max((time for time in times if time is not None), default=None)


def _shown(error: str | None) -> str | None:
    return None if error in _NOT_ANSWERED else error


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _text(time: datetime | None) -> str:
    return "" if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")

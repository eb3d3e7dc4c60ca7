"""When a trail logs: StartLogging, StopLogging, and the sessions that digest chains belong to (design, §3 Chains)."""

from __future__ import annotations

from dataclasses import replace

from opentrail.trails.trail import Trail


def started(trail: Trail, now_ms: int) -> Trail:
    """The trail after StartLogging at `now_ms` (epoch milliseconds): unchanged if it logs already."""
    return with_session(replace(trail, is_logging=True), trail, now_ms)


def stopped(trail: Trail, now_ms: int) -> Trail:
    """The trail after StopLogging at `now_ms` (epoch milliseconds): unchanged if it does not log."""
    return with_session(replace(trail, is_logging=False), trail, now_ms)


def with_session(trail: Trail, before: Trail | None, now_ms: int) -> Trail:
    """The trail with the logging session that follows from what it was before (None: it is new).

    Switching logging on begins a session, with digest chains of its own; so does switching validation on while the
    trail logs, since no digest covers what was delivered before. `now_ms`: epoch milliseconds.
    """
    logged_before = before is not None and before.is_logging
    if logged_before and not trail.is_logging:
        return replace(trail, stopped_logging_at=now_ms)
    validated_before = before is not None and before.log_file_validation_enabled
    validation_begins = trail.log_file_validation_enabled and not validated_before
    if trail.is_logging and (validation_begins or not logged_before):
        return replace(trail, logging_session=trail.logging_session + 1, started_logging_at=now_ms)
    return trail

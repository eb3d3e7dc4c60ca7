"""A page of the event history: what LookupEvents and ListInsightsData have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from opentrail.events.lookup import api_event
from opentrail.trails.refused import Refused
from opentrail_backends.state.port import HistoryCursor, HistoryQuery
from opentrail_control_plane import paging
from opentrail_control_plane.operations.context import Context, Reply

EVENTS_PER_PAGE = 50
"""The most, and what is meant if nothing is said (CloudTrail)."""

_TO_THE_NEWEST = 86_400
"""Seconds from now: events may come from clocks that are ahead."""


def range_of(context: Context, members: Mapping[str, Any], refused: Callable[[str], Refused]) -> tuple[int, int]:
    """The first and the last second asked for, all that is kept if nothing is said. Event times are whole seconds.

    Raises what `refused` makes of a sentence.
    """
    start, end = members.get("StartTime"), members.get("EndTime")
    if start is not None and end is not None and start > end:
        raise refused("The start time must not be later than the end time.")
    return (
        0 if start is None else math.ceil(start.timestamp()),
        context.now + _TO_THE_NEWEST if end is None else math.floor(end.timestamp()),
    )


def cursor_of(
    context: Context, asked: Mapping[str, Any], members: Mapping[str, Any], refused: Callable[[str], Refused]
) -> HistoryCursor | None:
    """Where the page begins, by the `NextToken`, which is bound to what was `asked`; None: at the newest event.

    Raises what `refused` makes of a sentence.
    """
    if "NextToken" not in members:
        return None
    place = paging.opened(context.ports.token_key, asked, members["NextToken"])
    if place is None:
        raise refused(
            "The token is not one of this query: it is only valid with the parameters of the call that gave it."
        )
    event_time, sequence = place
    return HistoryCursor(event_time, sequence)


def page_of(
    context: Context, query: HistoryQuery, limit: int, asked: Mapping[str, Any], after: HistoryCursor | None
) -> Reply:
    """The page, and the token of the next one if there is one."""
    found = context.state.history.lookup(query, limit + 1, after)
    page = found[:limit]
    return Reply(
        {
            "Events": [api_event(event.record, event.cursor.event_time) for event in page],
            "NextToken": paging.seal(context.ports.token_key, asked, page[-1].cursor) if len(found) > limit else None,
        }
    )

"""LookupEvents: the caller's own events of the last 90 days in its region, newest first (reference: CloudTrail §7).

Every account has them, without any trail, and whatever its trails select.
"""

from __future__ import annotations

import math
from typing import Any

from opentrail.events.lookup import INSIGHT_KEYS, LookupKey, api_event
from opentrail.events.lookup_values import MAX_VALUE
from opentrail.trails.refused import Refused
from opentrail_backends.state.port import HistoryCategory, HistoryCursor, HistoryQuery
from opentrail_control_plane import paging
from opentrail_control_plane.operations.context import Context, Reply

EVENTS_PER_PAGE = 50
"""The most, and what is meant if nothing is said."""

_COUNT_TWICE = ("_", " ", ",", "\n")
_TO_THE_NEWEST = 86_400
"""Seconds from now: events may come from clocks that are ahead."""


def lookup_events(context: Context, members: dict[str, Any]) -> Reply:
    """LookupEvents: management events, or Insights events if `EventCategory` says so; never both.

    Raises Refused: InvalidLookupAttributesException, InvalidTimeRangeException, InvalidMaxResultsException,
    InvalidNextTokenException.
    """
    category = HistoryCategory.INSIGHT if members.get("EventCategory") else HistoryCategory.MANAGEMENT
    start, end = _seconds(context, members)
    query = HistoryQuery(
        account_id=context.account_id,
        region=context.region,
        category=category,
        attribute=_attribute(members.get("LookupAttributes") or [], category),
        start=start,
        end=end,
    )
    limit = members.get("MaxResults", EVENTS_PER_PAGE)
    if not 1 <= limit <= EVENTS_PER_PAGE:
        raise Refused("InvalidMaxResultsException", f"MaxResults is 1 to {EVENTS_PER_PAGE}.")
    asked = _asked(context, members)
    after = _opened(context, asked, members["NextToken"]) if "NextToken" in members else None
    found = context.state.history.lookup(query, limit + 1, after)
    page = found[:limit]
    return Reply(
        {
            "Events": [api_event(event.record, event.cursor.event_time) for event in page],
            "NextToken": paging.seal(context.ports.token_key, asked, page[-1].cursor) if len(found) > limit else None,
        }
    )


def _attribute(attributes: list[dict[str, str]], category: HistoryCategory) -> tuple[str, str] | None:
    """The one attribute that may be asked for. Keys and values are compared as they are written."""
    if not attributes:
        return None
    if len(attributes) > 1:
        raise _invalid("At most one lookup attribute may be given.")
    key, value = attributes[0]["AttributeKey"], attributes[0]["AttributeValue"]
    if key not in (INSIGHT_KEYS if category is HistoryCategory.INSIGHT else frozenset(LookupKey)):
        raise _invalid(f"{category.value} events cannot be looked up by {key}.")
    if not 1 <= len(value) + sum(map(value.count, _COUNT_TWICE)) <= MAX_VALUE:
        message = f"AttributeValue has 1 to {MAX_VALUE} characters; each _, space, comma and newline counts as two."
        raise _invalid(message)
    if key == LookupKey.READ_ONLY and value not in {"true", "false"}:
        raise _invalid("The value of ReadOnly is true or false.")
    return key, value


def _seconds(context: Context, members: dict[str, Any]) -> tuple[int, int]:
    """The first and the last second of the range. Event times are whole seconds."""
    start, end = members.get("StartTime"), members.get("EndTime")
    if start is not None and end is not None and start > end:
        raise Refused("InvalidTimeRangeException", "The start time must not be later than the end time.")
    return (
        0 if start is None else math.ceil(start.timestamp()),
        context.now + _TO_THE_NEWEST if end is None else math.floor(end.timestamp()),
    )


def _asked(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """What a token is bound to: everything but the token itself."""
    own = {"operation": "LookupEvents", "account": context.account_id, "region": context.region}
    times = {name: str(members.get(name)) for name in ("StartTime", "EndTime")}
    other = {name: members.get(name) for name in ("LookupAttributes", "EventCategory", "MaxResults")}
    return {**own, **times, **other}


def _opened(context: Context, asked: dict[str, Any], token: str) -> HistoryCursor:
    place = paging.opened(context.ports.token_key, asked, token)
    if place is None:
        message = "The token is not one of this query: it is only valid with the parameters of the call that gave it."
        raise Refused("InvalidNextTokenException", message)
    event_time, sequence = place
    return HistoryCursor(event_time, sequence)


def _invalid(message: str) -> Refused:
    return Refused("InvalidLookupAttributesException", message)

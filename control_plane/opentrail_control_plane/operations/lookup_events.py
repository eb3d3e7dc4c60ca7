"""LookupEvents: the caller's own events of the last 90 days in its region, newest first (reference: CloudTrail §7).

Every account has them, without any trail, and whatever its trails select.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from opentrail.events.lookup import INSIGHT_KEYS, LookupKey
from opentrail.events.lookup_values import MAX_VALUE
from opentrail.trails.refused import Refused
from opentrail_backends.state.port import HistoryCategory, HistoryQuery
from opentrail_control_plane.operations.context import Context, Reply
from opentrail_control_plane.operations.history_pages import EVENTS_PER_PAGE, cursor_of, page_of, range_of

_COUNT_TWICE = ("_", " ", ",", "\n")


def lookup_events(context: Context, members: dict[str, Any]) -> Reply:
    """LookupEvents: management events, or Insights events if `EventCategory` says so; never both.

    Raises Refused: InvalidLookupAttributesException, InvalidTimeRangeException, InvalidMaxResultsException,
    InvalidNextTokenException.
    """
    category = HistoryCategory.INSIGHT if members.get("EventCategory") else HistoryCategory.MANAGEMENT
    start, end = range_of(context, members, partial(Refused, "InvalidTimeRangeException"))
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
    after = cursor_of(context, asked, members, partial(Refused, "InvalidNextTokenException"))
    return page_of(context, query, limit, asked, after)


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


def _asked(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """What a token is bound to: everything but the token itself."""
    own = {"operation": "LookupEvents", "account": context.account_id, "region": context.region}
    times = {name: str(members.get(name)) for name in ("StartTime", "EndTime")}
    other = {name: members.get(name) for name in ("LookupAttributes", "EventCategory", "MaxResults")}
    return {**own, **times, **other}


def _invalid(message: str) -> Refused:
    return Refused("InvalidLookupAttributesException", message)

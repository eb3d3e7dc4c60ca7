"""Insights as the API lists them: ListInsightsData, ListInsightsMetricData."""

from __future__ import annotations

from math import ceil, floor
from typing import Any, NoReturn

from opentrail.events.lookup import api_event
from opentrail.trails.refused import Refused
from opentrail.trails.trail import Trail
from opentrail.trails.visibility import find_trail, may_change
from opentrail_backends.state.port import HistoryCategory, HistoryCursor, HistoryQuery
from opentrail_control_plane import paging
from opentrail_control_plane.operations.context import Context, Reply

EVENTS_PER_PAGE = 50
"""The most, and what is meant if nothing is said (CloudTrail)."""

_TO_THE_NEWEST = 86_400
"""Seconds from now: events may come from clocks that are ahead."""
_PERIODS = (60, 300, 3600)


def list_insights_data(context: Context, members: dict[str, Any]) -> Reply:
    """ListInsightsData: the Insights events of the caller's account in its region, newest first, a page at a time.

    Of an organization's trail, too, each account sees its own only, and members may not ask (reference §5.2).

    Raises Refused: InvalidParameterException, OperationNotPermittedException.
    """
    trail = _insight_source(context, members["InsightSource"])
    start, end = _seconds(context, members)
    query = HistoryQuery(
        account_id=context.account_id,
        region=context.region,
        category=HistoryCategory.INSIGHT,
        attribute=next(iter(members.get("Dimensions", {}).items()), None),
        start=start,
        end=end,
    )
    limit = members.get("MaxResults", EVENTS_PER_PAGE)
    asked = _asked(context, members)
    after = _opened(context, asked, members["NextToken"]) if "NextToken" in members else None
    found = context.state.history.lookup(query, limit + 1, after) if trail.is_in(context.region) else []
    page = found[:limit]
    return Reply(
        {
            "Events": [api_event(event.record, event.cursor.event_time) for event in page],
            "NextToken": paging.seal(context.ports.token_key, asked, page[-1].cursor) if len(found) > limit else None,
        }
    )


def list_insights_metric_data(context: Context, members: dict[str, Any]) -> NoReturn:
    """ListInsightsMetricData: the input is checked; there are no such data yet.

    Raises Refused: InvalidParameterException, InvalidTrailNameException and those of `find_trail`, else
    UnsupportedOperationException.
    """
    if members.get("TrailName"):
        find_trail(context.configuration, context.caller, members["TrailName"])
    if members["InsightType"] == "ApiErrorRateInsight" and not members.get("ErrorCode"):
        raise _invalid("ApiErrorRateInsight needs an ErrorCode.")
    if members.get("Period", _PERIODS[-1]) not in _PERIODS:
        raise _invalid("Period is 60, 300 or 3600 seconds.")
    start, end = members.get("StartTime"), members.get("EndTime")
    if start is not None and end is not None and start > end:
        raise _invalid("The start time must not be later than the end time.")
    raise Refused("UnsupportedOperationException", "OpenTrail keeps no metrics of Insights; it lists their events.")


def _insight_source(context: Context, arn: str) -> Trail:
    seen = context.configuration.trails_seen_by(context.account_id)
    trail = next((trail for trail in seen if trail.arn == arn), None)
    if trail is None:
        raise _invalid(f"InsightSource {arn} is not the ARN of a trail of yours.")
    if not may_change(context.configuration, context.account_id, trail):
        message = "Members of an organization cannot list the Insights data of its trails."
        raise Refused("OperationNotPermittedException", message)
    return trail


def _seconds(context: Context, members: dict[str, Any]) -> tuple[int, int]:
    """The first and the last second asked for: all that is kept, if nothing is said."""
    start, end = members.get("StartTime"), members.get("EndTime")
    if start is not None and end is not None and start > end:
        raise _invalid("The start time must not be later than the end time.")
    return (
        0 if start is None else ceil(start.timestamp()),
        context.now + _TO_THE_NEWEST if end is None else floor(end.timestamp()),
    )


def _asked(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """What a token is bound to."""
    bound = {name: str(members.get(name)) for name in ("InsightSource", "DataType", "StartTime", "EndTime")}
    own = {"operation": "ListInsightsData", "account": context.account_id, "region": context.region}
    return {**own, **bound, "Dimensions": members.get("Dimensions")}


def _opened(context: Context, asked: dict[str, Any], token: str) -> HistoryCursor:
    place = paging.opened(context.ports.token_key, asked, token)
    if place is None:
        raise _invalid("The token is not one of this query.")
    event_time, sequence = place
    return HistoryCursor(event_time, sequence)


def _invalid(message: str) -> Refused:
    return Refused("InvalidParameterException", message)

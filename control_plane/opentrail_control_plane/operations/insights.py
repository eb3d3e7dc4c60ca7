"""Insights as the API lists them: ListInsightsData, ListInsightsMetricData."""

from __future__ import annotations

from typing import Any, NoReturn

from opentrail.trails.refused import Refused
from opentrail.trails.trail import Trail
from opentrail.trails.visibility import find_trail, may_change
from opentrail_backends.state.port import HistoryCategory, HistoryQuery
from opentrail_control_plane.operations.context import Context, Reply
from opentrail_control_plane.operations.history_pages import EVENTS_PER_PAGE, cursor_of, page_of, range_of

_PERIODS = (60, 300, 3600)


def list_insights_data(context: Context, members: dict[str, Any]) -> Reply:
    """ListInsightsData: the Insights events of the caller's account in its region, newest first, a page at a time.

    Of an organization's trail, too, each account sees its own only, and members may not ask (reference §5.2).

    Raises Refused: InvalidParameterException, OperationNotPermittedException.
    """
    trail = _insight_source(context, members["InsightSource"])
    start, end = range_of(context, members, _invalid)
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
    after = cursor_of(context, asked, members, _invalid)
    if not trail.is_in(context.region):
        return Reply({"Events": []})
    return page_of(context, query, limit, asked, after)


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
    range_of(context, members, _invalid)
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


def _asked(context: Context, members: dict[str, Any]) -> dict[str, Any]:
    """What a token is bound to."""
    bound = {name: str(members.get(name)) for name in ("InsightSource", "DataType", "StartTime", "EndTime")}
    own = {"operation": "ListInsightsData", "account": context.account_id, "region": context.region}
    return {**own, **bound, "Dimensions": members.get("Dimensions")}


def _invalid(message: str) -> Refused:
    return Refused("InvalidParameterException", message)

"""Insights of a trail: PutInsightSelectors, GetInsightSelectors (reference: CloudTrail §5.5, §8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from opentrail.trails.event_selectors import EventSelectors
from opentrail.trails.refused import Refused
from opentrail.trails.selectors import as_api
from opentrail.trails.trail import InsightSelector, Trail


def with_insight_selectors(trail: Trail, members: Mapping[str, Any]) -> Trail:
    """The trail with the request's Insights in place of all that it had; an empty list switches them off.

    Insights need the events that they watch: the call rate of management events the writes, everything else any event
    of its category. A trail that does not log those is refused, rather than left to wait for what cannot come.

    Raises:
        Refused: InvalidInsightSelectorsException.
    """
    try:
        selectors = msgspec.convert(members["InsightSelectors"], tuple[InsightSelector, ...])
    except msgspec.ValidationError as error:
        raise _invalid(f"The Insights selectors are not valid: {error}") from error
    types = [selector.insight_type for selector in selectors]
    for insight_type in types:
        if types.count(insight_type) > 1:
            raise _invalid(f"{insight_type} is given twice.")
    for selector in selectors:
        for category in selector.categories:
            _check_logged(trail, selector.insight_type, category)
    return replace(trail, insight_selectors=selectors)


def insight_selectors_of(trail: Trail) -> list[dict[str, Any]]:
    """The API's `InsightSelectors` of a trail, as they were put.

    Raises:
        Refused: InsightNotEnabledException.
    """
    if not trail.insight_selectors:
        raise Refused(
            "InsightNotEnabledException",
            f"Trail {trail.arn} does not have Insights enabled. Edit the trail settings to enable Insights, and then "
            "try the operation again.",
        )
    return as_api(trail.insight_selectors)


def _check_logged(trail: Trail, insight_type: str, category: str) -> None:
    writes_only = insight_type == "ApiCallRateInsight" and category == "Management"
    if not _logs(trail.event_selectors, category, writes_only=writes_only):
        events = f"{'write ' if writes_only else ''}{category.lower()} events"
        raise _invalid(f"{insight_type} needs a trail that logs {events}; {trail.arn} does not.")


def _logs(selectors: EventSelectors, category: str, *, writes_only: bool) -> bool:
    """Whether any selector takes events of a category; with `writes_only`, events that are no reads."""
    for selector in selectors.compiled:
        fields = {field.field: field.equals for field in selector.field_selectors}
        only_reads = set(fields.get("readOnly", ())) == {"true"}
        if category in fields.get("eventCategory", ()) and not (writes_only and only_reads):
            return True
    return False


def _invalid(message: str) -> Refused:
    return Refused("InvalidInsightSelectorsException", message)

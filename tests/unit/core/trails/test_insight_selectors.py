from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.trails.event_selectors import EventSelectors
from opentrail.trails.insight_selectors import insight_selectors_of, with_insight_selectors
from opentrail.trails.trail import InsightSelector
from tests.unit.core.trails.selector_samples import advanced, basic, data, field, objects
from tests.unit.core.trails.trail_samples import refusal, trail

RATE, ERRORS = {"InsightType": "ApiCallRateInsight"}, {"InsightType": "ApiErrorRateInsight"}
OF_DATA = {"EventCategories": ["Data"]}


def put(*selectors: dict, of: EventSelectors | None = None):
    return with_insight_selectors(trail(event_selectors=of or EventSelectors()), {"InsightSelectors": list(selectors)})


def test_what_was_put_comes_back_as_it_was_put():
    both = trail(event_selectors=objects("arn:aws:s3"))
    given = [RATE, {**ERRORS, "EventCategories": ["Management", "Data"]}]
    changed = with_insight_selectors(both, {"InsightSelectors": given})
    assert changed.has_insight_selectors
    assert insight_selectors_of(changed) == given
    assert [selector.categories for selector in changed.insight_selectors] == [("Management",), ("Management", "Data")]


def test_a_request_replaces_all_and_an_empty_list_switches_off():
    changed = with_insight_selectors(put(RATE, ERRORS), {"InsightSelectors": [ERRORS]})
    assert changed.insight_selectors == (InsightSelector("ApiErrorRateInsight"),)
    off = with_insight_selectors(changed, {"InsightSelectors": []})
    assert off == trail()
    assert not off.has_insight_selectors


def test_a_trail_without_insights_says_so_in_cloudtrails_words():
    expected = (
        f"Trail {trail().arn} does not have Insights enabled. Edit the trail settings to enable Insights, and then "
        "try the operation again."
    )
    assert refusal(insight_selectors_of, trail()) == ("InsightNotEnabled", expected)


@pytest.mark.parametrize(
    "selectors",
    [
        [{"InsightType": "ApiCallRate"}],
        [{}],
        [{**RATE, "EventCategories": ["NetworkActivity"]}],
        [{**RATE, "Unknown": 1}],
        [RATE, RATE],
        ["ApiCallRateInsight"],
    ],
)
def test_what_is_refused(selectors):
    assert refusal(put, *selectors)[0] == "InvalidInsightSelectors"


MANAGEMENT_READS = basic(ReadWriteType="ReadOnly")
MANAGEMENT_WRITES = advanced(field("eventCategory", Equals=["Management"]), field("readOnly", Equals=["false"]))
DATA_READS = data(field("readOnly", Equals=["true"]))
ONLY_OBJECTS = objects("arn:aws:s3:::b/", IncludeManagementEvents=False)
NO_OBJECTS = basic(DataResources=[{"Type": "AWS::S3::Object", "Values": []}])


@pytest.mark.parametrize(
    ("of", "selector", "taken"),
    [
        (EventSelectors(), RATE, True),
        (EventSelectors(), ERRORS, True),
        (EventSelectors(), {**RATE, **OF_DATA}, False),
        (EventSelectors(), {**ERRORS, **OF_DATA}, False),
        (MANAGEMENT_READS, RATE, False),
        (MANAGEMENT_READS, ERRORS, True),
        (MANAGEMENT_WRITES, RATE, True),
        (DATA_READS, RATE, False),
        (DATA_READS, ERRORS, False),
        (DATA_READS, {**RATE, **OF_DATA}, True),
        (DATA_READS, {**ERRORS, **OF_DATA}, True),
        (ONLY_OBJECTS, {**RATE, **OF_DATA}, True),
        (ONLY_OBJECTS, {**RATE, "EventCategories": ["Data", "Management"]}, False),
        (NO_OBJECTS, {**RATE, **OF_DATA}, False),
    ],
)
def test_insights_need_the_events_that_they_watch(of, selector, taken):
    if taken:
        assert put(selector, of=of).has_insight_selectors
    else:
        code, message = refusal(put, selector, of=of)
        assert code == "InvalidInsightSelectors"
        assert selector["InsightType"] in message


def test_selectors_that_are_put_later_leave_insights_as_they_are():
    changed = replace(put(RATE), event_selectors=MANAGEMENT_READS)
    assert insight_selectors_of(changed) == [RATE]

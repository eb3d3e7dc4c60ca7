"""ListInsightsData and ListInsightsMetricData."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opentrail_backends.state.port import HistoryCategory, HistoryEvent, StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, STRANGER, TRAILS, Api

BY_NAME = {trail.name: trail for trail in TRAILS}
SOURCE = BY_NAME["everywhere"].arn
NOW = 1_767_225_600
"""By the state store's clock."""
DAYS = 86_400
ASKED = {"InsightSource": SOURCE, "DataType": "InsightsEvents", "StartTime": NOW - 60 * DAYS}
TOPIC = "topic-id"
METRICS = {"EventSource": "s3.amazonaws.com", "EventName": "PutObject", "InsightType": "ApiCallRateInsight"}


def insight(number: int, at: int, *, name: str = "PutObject", **members: Any) -> HistoryEvent:
    event_id = f"00000000-0000-0000-0000-{number:012}"
    details = {"state": "Start", "eventSource": "s3.amazonaws.com", "eventName": name}
    record = {"eventID": event_id, "eventCategory": "Insight", "insightDetails": details}
    attributes = [("EventId", event_id), ("EventName", name), ("EventSource", "s3.amazonaws.com")]
    defaults = {"account_id": MANAGEMENT, "region": "us-east-1", "category": HistoryCategory.INSIGHT}
    return HistoryEvent(
        event_id=event_id,
        event_time=at,
        attributes=attributes,
        record=json.dumps(record).encode(),
        **(defaults | members),
    )


@pytest.fixture(autouse=True)
def _events(state: StateStore) -> None:
    """Five Insights events an hour apart, the newest a minute ago, one more, and some that others may see."""
    events = [
        *(insight(number, NOW - 60 - 3600 * (4 - number)) for number in range(5)),
        insight(10, NOW - 60, name="GetObject"),
        insight(11, NOW - 60, account_id=MEMBER),
        insight(12, NOW - 60, region="eu-central-1"),
        insight(13, NOW - 60, category=HistoryCategory.MANAGEMENT),
        insight(14, NOW - 89 * DAYS),
    ]
    for region in ("us-east-1", "eu-central-1"):
        of_region = [event for event in events if event.region == region]
        state.history.add(region, 0, TOPIC, (None, len(of_region)), of_region)


def numbers(answer: dict[str, Any]) -> list[int]:
    return [int(event["EventId"][-12:]) for event in answer["Events"]]


def test_the_accounts_insights_events_of_the_region_newest_first(api: Api) -> None:
    answer = api("ListInsightsData", ASKED)
    assert sorted(numbers(answer)[:2]) == [4, 10]
    assert numbers(answer)[2:] == [3, 2, 1, 0]
    assert "NextToken" not in answer
    (event,) = api("ListInsightsData", {**ASKED, "Dimensions": {"EventName": "GetObject"}})["Events"]
    assert (event["EventSource"], event["EventTime"]) == ("s3.amazonaws.com", NOW - 60)
    assert json.loads(event["CloudTrailEvent"])["eventCategory"] == "Insight"
    assert numbers(api("ListInsightsData", ASKED, region="eu-central-1")) == [12]


def test_a_range_has_both_its_ends(api: Api) -> None:
    third, second = NOW - 60 - 3600, NOW - 60 - 2 * 3600
    assert numbers(api("ListInsightsData", {**ASKED, "StartTime": second, "EndTime": third})) == [3, 2]
    assert numbers(api("ListInsightsData", {**ASKED, "StartTime": second, "EndTime": second})) == [2]
    assert numbers(api("ListInsightsData", {**ASKED, "EndTime": second})) == [2, 1, 0]


def test_without_a_range_all_that_is_kept(api: Api) -> None:
    assert numbers(api("ListInsightsData", {"InsightSource": SOURCE, "DataType": "InsightsEvents"}))[-2:] == [0, 14]


@pytest.mark.parametrize("size", [1, 2, 5, 6, 50])
def test_pages_together_are_the_whole(api: Api, size: int) -> None:
    whole = numbers(api("ListInsightsData", ASKED))
    pages = [api("ListInsightsData", {**ASKED, "MaxResults": size})]
    while "NextToken" in pages[-1]:
        members = {**ASKED, "MaxResults": size, "NextToken": pages[-1]["NextToken"]}
        pages.append(api("ListInsightsData", members))
    assert [number for page in pages for number in numbers(page)] == whole
    assert len(pages) == -(-len(whole) // size)


def test_what_comes_while_pages_are_read_is_on_none_of_them(api: Api, state: StateStore) -> None:
    first = api("ListInsightsData", {**ASKED, "MaxResults": 2})
    position = state.history.position("us-east-1", 0, TOPIC)
    assert position is not None
    state.history.add("us-east-1", 0, TOPIC, (position, position + 1), [insight(20, NOW - 61)])
    rest = api("ListInsightsData", {**ASKED, "NextToken": first["NextToken"]})
    assert numbers(rest)[-4:] == [3, 2, 1, 0]


def test_a_token_is_good_for_its_query_only(api: Api) -> None:
    token = {"NextToken": api("ListInsightsData", {**ASKED, "MaxResults": 1})["NextToken"]}
    others: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({**ASKED, "Dimensions": {"EventName": "PutObject"}}, {}),
        ({**ASKED, "EndTime": NOW}, {}),
        ({**ASKED, "InsightSource": BY_NAME["for-all"].arn}, {}),
        (ASKED, {"region": "eu-central-1"}),
    ]
    for members, options in others:
        refusal = api.refused("ListInsightsData", {**members, **token}, **options)
        assert refusal[:2] == (400, "InvalidParameterException")


def test_a_token_of_another_account_is_none(api: Api) -> None:
    api("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": MEMBER})
    asked = {**ASKED, "InsightSource": BY_NAME["for-all"].arn}
    token = {"NextToken": api("ListInsightsData", {**asked, "MaxResults": 1})["NextToken"]}
    refusal = api.refused("ListInsightsData", {**asked, **token}, account_id=MEMBER)
    assert refusal[:2] == (400, "InvalidParameterException")


@pytest.mark.parametrize(
    "members",
    [
        {"InsightSource": BY_NAME["strangers"].arn},
        {"InsightSource": "arn:aws:s3:::bucket"},
        {"InsightSource": "everywhere"},
        {"StartTime": 5, "EndTime": 4},
        {"NextToken": "made-up"},
    ],
)
def test_what_cannot_be_asked(api: Api, members: dict[str, Any]) -> None:
    assert api.refused("ListInsightsData", {**ASKED, **members})[:2] == (400, "InvalidParameterException")


def test_members_do_not_ask_about_the_organizations_trail(api: Api) -> None:
    asked = {**ASKED, "InsightSource": BY_NAME["for-all"].arn}
    assert api.refused("ListInsightsData", asked, account_id=MEMBER)[:2] == (400, "OperationNotPermittedException")
    assert api.refused("ListInsightsData", asked, account_id=STRANGER)[:2] == (400, "InvalidParameterException")
    api("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": MEMBER})
    assert numbers(api("ListInsightsData", asked, account_id=MEMBER)) == [11]


def test_a_trail_of_one_region_has_no_insights_in_another(api: Api) -> None:
    asked = {**ASKED, "InsightSource": BY_NAME["in-europe"].arn}
    assert numbers(api("ListInsightsData", asked)) == []
    assert numbers(api("ListInsightsData", asked, region="eu-central-1")) == [12]


# --- metrics --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "UnsupportedOperationException"),
        ({"TrailName": "home-only", "Period": 60}, "UnsupportedOperationException"),
        ({"InsightType": "ApiErrorRateInsight", "ErrorCode": "AccessDenied"}, "UnsupportedOperationException"),
        ({"InsightType": "ApiErrorRateInsight"}, "InvalidParameterException"),
        ({"Period": 61}, "InvalidParameterException"),
        ({"StartTime": 5, "EndTime": 4}, "InvalidParameterException"),
        ({"TrailName": "ab"}, "InvalidTrailNameException"),
    ],
)
def test_metrics_are_not_kept_and_the_question_is_checked(api: Api, members: dict[str, Any], code: str) -> None:
    assert api.refused("ListInsightsMetricData", {**METRICS, **members})[:2] == (400, code)

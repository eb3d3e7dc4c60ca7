"""LookupEvents, as a client sees it: what is found, in which order and pages, and what is refused."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from opentrail.events.lookup import lookup_attributes, lookup_fields
from opentrail_backends.state.port import HistoryCategory, HistoryEvent, StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, STRANGER, Api

NOW = 1_767_225_600
"""By the state store's clock."""
DAY = 86_400
INSIGHTS = {"EventCategory": "insight"}
KEYS = ["EventId", "EventName", "EventSource", "ReadOnly", "Username", "AccessKeyId", "ResourceName", "ResourceType"]


def event(number: int, at: int, account_id: str = MANAGEMENT, region: str = "us-east-1", **members: Any) -> Any:
    """A management event, or an Insights event if it has such details."""
    record = {
        "eventID": event_id(number),
        "eventName": "GetUser",
        "eventSource": "iam.amazonaws.com",
        "readOnly": True,
        "userIdentity": {"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIAALICE"},
        "requestParameters": {"userName": f"user-{number}"},
        **members,
    }
    if "insightDetails" in members:
        record = {"eventID": event_id(number), **members}
    raw = json.dumps(record).encode()
    return HistoryEvent(
        account_id=account_id,
        region=region,
        category=HistoryCategory.INSIGHT if "insightDetails" in members else HistoryCategory.MANAGEMENT,
        event_id=event_id(number),
        event_time=at,
        attributes=lookup_attributes(lookup_fields(raw)),
        record=raw,
    )


def event_id(number: int) -> str:
    return f"00000000-0000-0000-0000-{number:012}"


@pytest.fixture(autouse=True)
def _events(state: StateStore) -> None:
    """Five events an hour apart, the newest now; one of ninety days ago; and what others or Insights have."""
    insight = {"eventSource": "ssm.amazonaws.com", "eventName": "PutParameter", "state": "Start"}
    add(
        state,
        *(event(number, NOW - 3600 * (5 - number)) for number in range(1, 6)),
        event(6, NOW - 90 * DAY, eventName="CreateUser", readOnly=False, userIdentity={"type": "Root"}),
        event(7, NOW, insightDetails=insight),
        event(8, NOW, MEMBER),
        event(9, NOW, region="eu-central-1"),
    )


def add(state: StateStore, *events: HistoryEvent) -> None:
    position = state.history.position("us-east-1", 0, "topic")
    state.history.add("us-east-1", 0, "topic", (position, (position or 0) + 1), events)


def by(key: str, value: str, **more: Any) -> dict[str, Any]:
    return {"LookupAttributes": [{"AttributeKey": key, "AttributeValue": value}], **more}


def numbers(answer: dict[str, Any]) -> list[int]:
    return [int(found["EventId"][-12:]) for found in answer["Events"]]


def found(api: Api, members: dict[str, Any], **options: Any) -> list[int]:
    return numbers(api("LookupEvents", members, **options))


# --- What is found


def test_an_event_has_the_members_of_the_api(api: Api) -> None:
    answer = api("LookupEvents", by("EventId", event_id(5)))
    (shown,) = answer.pop("Events")
    assert answer == {}
    assert json.loads(shown.pop("CloudTrailEvent"))["requestParameters"] == {"userName": "user-5"}
    assert shown == {
        "EventId": event_id(5),
        "EventName": "GetUser",
        "EventSource": "iam.amazonaws.com",
        "EventTime": NOW,
        "ReadOnly": "true",
        "AccessKeyId": "AKIAALICE",
        "Username": "alice",
        "Resources": [{"ResourceType": "AWS::IAM::User", "ResourceName": "user-5"}],
    }


def test_all_events_of_the_account_and_region_come_newest_first(api: Api) -> None:
    assert found(api, {}) == [5, 4, 3, 2, 1, 6]
    assert found(api, {"LookupAttributes": []}) == [5, 4, 3, 2, 1, 6]
    assert found(api, {}, region="eu-central-1") == [9]
    assert found(api, {}, account_id=STRANGER) == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("EventId", event_id(3), [3]),
        ("EventName", "CreateUser", [6]),
        ("EventName", "createuser", []),
        ("EventSource", "iam.amazonaws.com", [5, 4, 3, 2, 1, 6]),
        ("ReadOnly", "true", [5, 4, 3, 2, 1]),
        ("ReadOnly", "false", [6]),
        ("Username", "root", [6]),
        ("AccessKeyId", "AKIAALICE", [5, 4, 3, 2, 1]),
        ("ResourceName", "user-2", [2]),
        ("ResourceName", "user-", []),
        ("ResourceType", "AWS::IAM::User", [5, 4, 3, 2, 1, 6]),
    ],
)
def test_an_attribute_is_compared_as_it_is_written(api: Api, key: str, value: str, expected: list[int]) -> None:
    assert found(api, by(key, value)) == expected


def test_another_accounts_events_are_never_seen_not_even_by_the_organizations_management(api: Api) -> None:
    assert found(api, by("EventId", event_id(8))) == []
    assert found(api, by("EventId", event_id(8)), account_id=MEMBER) == [8]
    assert found(api, by("EventId", event_id(1)), account_id=MEMBER) == []


def test_insights_are_another_category_never_both(api: Api) -> None:
    (shown,) = api("LookupEvents", INSIGHTS)["Events"]
    assert (shown["EventName"], shown["EventSource"]) == ("PutParameter", "ssm.amazonaws.com")
    assert shown["EventId"] == event_id(7)
    assert "ReadOnly" not in shown
    for key, value in (
        ("EventId", event_id(7)),
        ("EventName", "PutParameter"),
        ("EventSource", "ssm.amazonaws.com"),
    ):
        assert found(api, by(key, value, **INSIGHTS)) == [7]
    assert found(api, by("EventId", event_id(7))) == []
    assert found(api, by("EventId", event_id(5), **INSIGHTS)) == []


def test_events_of_clocks_that_are_ahead_are_found_too(api: Api, state: StateStore, clock: SimpleNamespace) -> None:
    clock.offset = ahead = NOW - time.time()
    add(state, event(10, NOW + 900))
    assert found(api, {}, ahead=ahead)[0] == 10
    assert found(api, {"EndTime": NOW}, ahead=ahead)[0] == 5


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (NOW - 7200, NOW - 3600, [4, 3]),
        (NOW - 7199.5, NOW - 3600.5, []),
        (NOW - 7200.5, NOW - 7199.5, [3]),
        (NOW - 3600, None, [5, 4]),
        (None, NOW - 4 * 3600, [1, 6]),
        (NOW - 1000 * DAY, NOW - 90 * DAY, [6]),
        (0, 10, []),
        (NOW + 10 * DAY, None, []),
        (NOW, NOW, [5]),
    ],
)
def test_a_range_of_times_has_both_its_ends(
    api: Api, start: float | None, end: float | None, expected: list[int]
) -> None:
    members = {name: value for name, value in (("StartTime", start), ("EndTime", end)) if value is not None}
    assert found(api, members) == expected


# --- Pages


@pytest.mark.parametrize(
    ("size", "expected"), [(1, [1, 1, 1, 1, 1, 1]), (2, [2, 2, 2]), (4, [4, 2]), (6, [6]), (50, [6])]
)
def test_pages_have_as_many_events_as_asked_for(api: Api, size: int, expected: list[int]) -> None:
    pages = list(all_pages(api, {"MaxResults": size}))
    assert [len(page) for page in pages] == expected
    assert [number for page in pages for number in page] == [5, 4, 3, 2, 1, 6]


def test_a_page_holds_fifty_if_nothing_is_said(api: Api, state: StateStore) -> None:
    add(state, *(event(number, NOW - DAY) for number in range(100, 200)))
    assert [len(page) for page in all_pages(api, {})] == [50, 50, 6]


def test_events_that_come_meanwhile_move_no_page(api: Api, state: StateStore) -> None:
    first = api("LookupEvents", {"MaxResults": 3})
    add(state, event(20, NOW), event(21, NOW - 7200), event(22, NOW - 8000))
    assert numbers(first) == [5, 4, 3]
    assert found(api, {"MaxResults": 3, "NextToken": first["NextToken"]}) == [22, 2, 1]


def all_pages(api: Api, members: dict[str, Any]) -> Any:
    answer = api("LookupEvents", members)
    yield numbers(answer)
    while "NextToken" in answer:
        answer = api("LookupEvents", {**members, "NextToken": answer["NextToken"]})
        yield numbers(answer)


@pytest.mark.parametrize(
    "changed",
    [
        {"MaxResults": 3},
        {"StartTime": NOW - DAY + 1},
        {"EndTime": NOW - 1},
        {"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": "bob"}]},
        {"LookupAttributes": [{"AttributeKey": "AccessKeyId", "AttributeValue": "alice"}]},
        {"LookupAttributes": []},
        {"EventCategory": "insight", "LookupAttributes": []},
        {"NextToken": "AAAA"},
        {"NextToken": "not one of ours: ü"},
        {"NextToken": ""},
    ],
)
def test_a_token_is_good_for_its_own_query_only(api: Api, changed: dict[str, Any]) -> None:
    asked = by("Username", "alice", MaxResults=2, StartTime=NOW - DAY, EndTime=NOW)
    token = api("LookupEvents", asked)["NextToken"]
    assert found(api, {**asked, "NextToken": token}) == [3, 2]
    refused = api.refused("LookupEvents", {**asked, "NextToken": token, **changed})
    assert refused[:2] == (400, "InvalidNextTokenException")


def test_a_token_is_good_for_its_own_account_region_and_operation_only(api: Api) -> None:
    token = api("LookupEvents", {"MaxResults": 2})["NextToken"]
    again = {"MaxResults": 2, "NextToken": token}
    assert api.refused("LookupEvents", again, account_id=MEMBER)[1] == "InvalidNextTokenException"
    assert api.refused("LookupEvents", again, region="eu-central-1")[1] == "InvalidNextTokenException"
    assert api.refused("ListPublicKeys", {"NextToken": token})[1] == "InvalidTokenException"


# --- What is refused


@pytest.mark.parametrize("members", [INSIGHTS, {}])
@pytest.mark.parametrize("key", [*KEYS, "eventName", "SourceIPAddress", ""])
def test_only_the_keys_of_the_category_are_known(api: Api, key: str, members: dict[str, Any]) -> None:
    known = {"EventId", "EventName", "EventSource"} if members else set(KEYS)
    asked = by(key, "true", **members)
    if key in known:
        assert found(api, asked) in ([], [5, 4, 3, 2, 1])
    else:
        assert api.refused("LookupEvents", asked)[:2] == (400, "InvalidLookupAttributesException")


@pytest.mark.parametrize(
    ("value", "is_allowed"),
    [
        ("x" * 2_000, True),
        ("x" * 2_001, False),
        ("é" * 2_000, True),
        *((sign * 1_000, True) for sign in "_ ,\n"),
        *((sign * 1_000 + "x", False) for sign in "_ ,\n"),
        ("", False),
    ],
)
def test_a_value_has_up_to_2000_characters_some_of_which_count_twice(api: Api, value: str, is_allowed: bool) -> None:
    asked = by("ResourceName", value)
    if is_allowed:
        assert found(api, asked) == []
    else:
        assert api.refused("LookupEvents", asked)[:2] == (400, "InvalidLookupAttributesException")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        (by("ReadOnly", "True"), "InvalidLookupAttributesException"),
        (by("ReadOnly", "yes"), "InvalidLookupAttributesException"),
        (
            {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name} for name in "ab"]},
            "InvalidLookupAttributesException",
        ),
        ({"LookupAttributes": [{"AttributeKey": "EventName"}]}, "ValidationException"),
        ({"StartTime": NOW, "EndTime": NOW - 1}, "InvalidTimeRangeException"),
        ({"MaxResults": 0}, "InvalidMaxResultsException"),
        ({"MaxResults": 51}, "InvalidMaxResultsException"),
        ({"EventCategory": "management"}, "InvalidEventCategoryException"),
        ({"EventCategory": "Insight"}, "InvalidEventCategoryException"),
    ],
)
def test_what_is_refused_and_why(api: Api, members: dict[str, Any], code: str) -> None:
    status, refused, message = api.refused("LookupEvents", members)
    assert (status, refused) == (400, code)
    assert message

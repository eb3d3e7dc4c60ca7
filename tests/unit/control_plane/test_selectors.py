"""Event selectors, insight selectors and the event configuration of a trail: put and read as a client does."""

from __future__ import annotations

from typing import Any

import pytest

from opentrail_backends.state.port import StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, STRANGER, TRAILS, Api

BY_NAME = {trail.name: trail for trail in TRAILS}
ARN = BY_NAME["home-only"].arn
DEFAULT = {
    "ReadWriteType": "All",
    "IncludeManagementEvents": True,
    "DataResources": [],
    "ExcludeManagementEventSources": [],
}
OBJECTS = {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::records/"]}
DATA = {
    "Name": "objects of one bucket",
    "FieldSelectors": [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
        {"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::records/"], "NotEndsWith": [".tmp"]},
    ],
}
CALL_RATE, ERROR_RATE = ({"InsightType": kind} for kind in ("ApiCallRateInsight", "ApiErrorRateInsight"))
AGGREGATION = {"Templates": ["API_ACTIVITY", "USER_ACTIONS"], "EventCategory": "Data"}


def trail(api: Api, name: str = "home-only") -> dict[str, Any]:
    found: dict[str, Any] = api("GetTrail", {"Name": name})["Trail"]
    return found


# --- event selectors ------------------------------------------------------------------------------


def test_basic_selectors_are_answered_and_read_with_their_defaults(api: Api) -> None:
    put = [
        {"ReadWriteType": "WriteOnly", "DataResources": [OBJECTS]},
        {"ExcludeManagementEventSources": ["kms.amazonaws.com"]},
    ]
    shown = [DEFAULT | put[0], DEFAULT | put[1]]
    assert api("PutEventSelectors", {"TrailName": "home-only", "EventSelectors": put}) == {
        "TrailARN": ARN,
        "EventSelectors": shown,
    }
    assert api("GetEventSelectors", {"TrailName": ARN}) == {"TrailARN": ARN, "EventSelectors": shown}


def test_advanced_selectors_replace_basic_ones_and_the_other_way_round(api: Api) -> None:
    answer = {"TrailARN": ARN, "AdvancedEventSelectors": [DATA]}
    assert api("PutEventSelectors", {"TrailName": "home-only", "AdvancedEventSelectors": [DATA]}) == answer
    assert api("GetEventSelectors", {"TrailName": "home-only"}) == answer
    api("PutEventSelectors", {"TrailName": "home-only", "EventSelectors": [{}]})
    assert api("GetEventSelectors", {"TrailName": "home-only"}) == {"TrailARN": ARN, "EventSelectors": [DEFAULT]}


def test_a_trail_has_custom_selectors_until_they_are_put_back(api: Api) -> None:
    """Terraform puts back the default where a configuration names no selectors any more, and reads none then."""
    assert trail(api)["HasCustomEventSelectors"] is False
    api("PutEventSelectors", {"TrailName": "home-only", "EventSelectors": [{"ReadWriteType": "ReadOnly"}]})
    assert trail(api)["HasCustomEventSelectors"] is True
    removal = {"ReadWriteType": "All", "IncludeManagementEvents": True, "DataResources": []}
    api("PutEventSelectors", {"TrailName": "home-only", "EventSelectors": [removal]})
    assert trail(api)["HasCustomEventSelectors"] is False


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"EventSelectors": []},
        {"AdvancedEventSelectors": []},
        {"EventSelectors": [{}], "AdvancedEventSelectors": [DATA]},
        {"EventSelectors": [{"ReadWriteType": "read-only"}]},
        {"EventSelectors": [{"IncludeManagementEvents": False}]},
        {"EventSelectors": [{"ExcludeManagementEventSources": ["s3.amazonaws.com"]}]},
        {"EventSelectors": [{"DataResources": [{"Type": "AWS::EC2::Instance", "Values": ["arn:aws:ec2"]}]}]},
        {"EventSelectors": [{"DataResources": [OBJECTS | {"Values": ["arn:aws:s3:::records"]}]}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventName", "Equals": ["PutObject"]}]}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "StartsWith": ["Data"]}]}]},
        {"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Insight"]}]}]},
    ],
)
def test_selectors_that_cannot_be(api: Api, members: dict[str, Any]) -> None:
    refusal = api.refused("PutEventSelectors", {"TrailName": "home-only", **members})
    assert refusal[:2] == (400, "InvalidEventSelectorsException")
    assert api("GetEventSelectors", {"TrailName": "home-only"})["EventSelectors"] == [DEFAULT]


def test_messages_that_clients_know(api: Api) -> None:
    def message(selector: dict[str, Any]) -> str:
        return api.refused("PutEventSelectors", {"TrailName": "home-only", "EventSelectors": [selector]})[2]

    wrong = OBJECTS | {"Values": ["arn:aws:s3:::*"]}
    assert message({"DataResources": [wrong]}) == "Value arn:aws:s3:::* for DataResources.Values is invalid."
    assert message({"IncludeManagementEvents": False}) == (
        "Invalid combination of parameters in EventSelectors. "
        "When includeManagementEvents is false, DataResources must not be empty."
    )


# --- insight selectors ----------------------------------------------------------------------------


def test_insights_are_switched_on_read_and_off(api: Api) -> None:
    put = [CALL_RATE, {**ERROR_RATE, "EventCategories": ["Management"]}]
    answer = {"TrailARN": ARN, "InsightSelectors": put}
    assert api("PutInsightSelectors", {"TrailName": "home-only", "InsightSelectors": put}) == answer
    assert api("GetInsightSelectors", {"TrailName": ARN}) == answer
    assert trail(api)["HasInsightSelectors"] is True
    off = api("PutInsightSelectors", {"TrailName": "home-only", "InsightSelectors": []})
    assert off == {"TrailARN": ARN, "InsightSelectors": []}
    assert trail(api)["HasInsightSelectors"] is False
    status, code, message = api.refused("GetInsightSelectors", {"TrailName": "home-only"})
    assert (status, code) == (400, "InsightNotEnabledException")
    assert message == (
        f"Trail {ARN} does not have Insights enabled. Edit the trail settings to enable Insights, and then try the "
        "operation again."
    )


@pytest.mark.parametrize(
    "selectors",
    [
        [{"InsightType": "NoSuchInsight"}],
        [{"InsightType": "ApiCallRateInsight", "EventCategories": ["NetworkActivity"]}],
        [CALL_RATE, CALL_RATE],
        [{"InsightType": "ApiCallRateInsight", "EventCategories": ["Data"]}],
    ],
)
def test_insights_that_cannot_be(api: Api, selectors: list[Any]) -> None:
    refusal = api.refused("PutInsightSelectors", {"TrailName": "home-only", "InsightSelectors": selectors})
    assert refusal[:2] == (400, "InvalidInsightSelectorsException")
    assert trail(api)["HasInsightSelectors"] is False


# --- event configuration --------------------------------------------------------------------------


def test_the_event_configuration_is_put_read_and_removed(api: Api) -> None:
    none = {"TrailARN": ARN, "AggregationConfigurations": []}
    assert api("GetEventConfiguration", {"TrailName": "home-only"}) == none
    some = {"TrailARN": ARN, "AggregationConfigurations": [AGGREGATION]}
    put = {"TrailName": "home-only", "AggregationConfigurations": [AGGREGATION]}
    assert api("PutEventConfiguration", put) == some
    assert api("GetEventConfiguration", {"TrailName": ARN}) == some
    assert api("PutEventConfiguration", {**put, "AggregationConfigurations": []}) == none
    assert api("GetEventConfiguration", {"TrailName": ARN}) == none


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({}, "InvalidParameterException"),
        ({"MaxEventSize": "Large"}, "InvalidParameterCombinationException"),
        (
            {"ContextKeySelectors": [{"Type": "TagContext", "Equals": ["team"]}]},
            "InvalidParameterCombinationException",
        ),
        (
            {"AggregationConfigurations": [AGGREGATION | {"Templates": ["API_ACTIVITY", "API_ACTIVITY"]}]},
            "InvalidParameterException",
        ),
    ],
)
def test_an_event_configuration_that_a_trail_cannot_have(api: Api, members: dict[str, Any], code: str) -> None:
    assert api.refused("PutEventConfiguration", {"TrailName": "home-only", **members})[:2] == (400, code)


# --- all of them ----------------------------------------------------------------------------------

PUTS: list[tuple[str, dict[str, Any]]] = [
    ("PutEventSelectors", {"EventSelectors": [{"ReadWriteType": "ReadOnly"}]}),
    ("PutInsightSelectors", {"InsightSelectors": [CALL_RATE]}),
    ("PutEventConfiguration", {"AggregationConfigurations": [AGGREGATION]}),
]
GETS = ["GetEventSelectors", "GetInsightSelectors", "GetEventConfiguration"]


@pytest.mark.parametrize(("operation", "members"), PUTS)
def test_they_are_put_by_who_may_change_the_trail_in_its_home_region(
    api: Api, state: StateStore, operation: str, members: dict[str, Any]
) -> None:
    before = state.configuration.changes_after(0)[-1].revision
    everywhere, for_all = ({"TrailName": BY_NAME[name].arn, **members} for name in ("everywhere", "for-all"))
    assert api.refused(operation, everywhere, region="eu-central-1")[:2] == (400, "InvalidHomeRegionException")
    member = api.refused(operation, for_all, account_id=MEMBER)
    assert member[:2] == (400, "NotOrganizationMasterAccountException")
    stranger = api.refused(operation, for_all, account_id=STRANGER)
    assert stranger[1:] == ("TrailNotFoundException", f"Unknown trail: {for_all['TrailName']} for the user: {STRANGER}")
    assert state.configuration.changes_after(0)[-1].revision == before
    api(operation, everywhere)
    api(operation, everywhere)
    assert state.configuration.changes_after(0)[-1].revision == before + 1


@pytest.mark.parametrize("operation", GETS)
def test_they_are_read_from_every_region_and_by_members_with_the_arn(api: Api, operation: str) -> None:
    arn = BY_NAME["for-all"].arn
    api("PutInsightSelectors", {"TrailName": arn, "InsightSelectors": [CALL_RATE]})
    at_home = api(operation, {"TrailName": "for-all"})
    assert api(operation, {"TrailName": arn}, account_id=MEMBER, region="eu-central-1") == at_home
    assert api.refused(operation, {"TrailName": "for-all"}, account_id=MEMBER)[1] == "TrailNotFoundException"


@pytest.mark.parametrize(
    ("operation", "members"), [*PUTS, *((operation, {}) for operation in GETS)], ids=lambda value: str(value)[:24]
)
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ab", "InvalidTrailNameException"),
        (f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:channel/home-only", "CloudTrailARNInvalidException"),
        ("not-there", "TrailNotFoundException"),
    ],
)
def test_a_name_that_means_no_trail(api: Api, operation: str, members: dict[str, Any], name: str, code: str) -> None:
    assert api.refused(operation, {"TrailName": name, **members})[:2] == (400, code)


@pytest.mark.parametrize(("operation", "members"), [*PUTS[1:], *((operation, {}) for operation in GETS[1:])])
def test_there_are_no_event_data_stores(api: Api, operation: str, members: dict[str, Any]) -> None:
    assert api.refused(operation, members)[:2] == (400, "InvalidParameterException")
    store = {"EventDataStore": "EXAMPLE-f852-4e8f-8bd1-bcf6cEXAMPLE", **members}
    assert api.refused(operation, store)[:2] == (400, "UnsupportedOperationException")
    both = api.refused(operation, {"TrailName": "home-only", **store})
    assert both[:2] == (400, "InvalidParameterCombinationException")

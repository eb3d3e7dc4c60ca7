"""The life of a trail, of one region, of all, and of an organization, through unmodified boto3 and AWS CLI.

Each client goes through the same life. What it reads is compared as a whole, so that a member too many shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conformance.trail_api import (
    ADMINISTRATOR,
    ELSEWHERE,
    HOME,
    MANAGEMENT,
    MEMBER,
    STRANGER,
    Boto3,
    Cli,
    Client,
    Life,
    TrailApi,
    trail_api,
    trail_arn,
)
from tests.servers.aws_cli import AwsCli

NAME = "audit"
ARN = trail_arn(NAME)
KINDS: dict[str, dict[str, bool]] = {
    "single-region": {},
    "multi-region": {"IsMultiRegionTrail": True},
    "organization": {"IsMultiRegionTrail": True, "IsOrganizationTrail": True},
}
RELEASES = {"single-region": 0, "multi-region": 1, "organization": 0}
"""Which release of the AWS CLI leads which life: each call is a process, so one release has to do for each."""

BASIC = {
    "ReadWriteType": "WriteOnly",
    "IncludeManagementEvents": True,
    "DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::records/"]}],
    "ExcludeManagementEventSources": ["kms.amazonaws.com"],
}
DEFAULT = {
    "ReadWriteType": "All",
    "IncludeManagementEvents": True,
    "DataResources": [],
    "ExcludeManagementEventSources": [],
}
ADVANCED = [
    {"Name": "all writes", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]},
    {
        "FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::Lambda::Function"]},
        ]
    },
]
INSIGHTS = [{"InsightType": "ApiCallRateInsight"}, {"InsightType": "ApiErrorRateInsight"}]
AGGREGATIONS = [{"Templates": ["API_ACTIVITY"], "EventCategory": "Data"}]
TAGS = [{"Key": "cost", "Value": "7"}, {"Key": "team", "Value": "audit"}]

WRITES: list[tuple[str, dict[str, Any]]] = [
    ("UpdateTrail", {"Name": ARN, "EnableLogFileValidation": False}),
    ("StartLogging", {"Name": ARN}),
    ("StopLogging", {"Name": ARN}),
    ("DeleteTrail", {"Name": ARN}),
    ("PutEventSelectors", {"TrailName": ARN, "EventSelectors": [{"ReadWriteType": "ReadOnly"}]}),
    ("PutInsightSelectors", {"TrailName": ARN, "InsightSelectors": []}),
    ("PutEventConfiguration", {"TrailName": ARN, "AggregationConfigurations": []}),
]
TAGGINGS: list[tuple[str, dict[str, Any]]] = [
    ("AddTags", {"ResourceId": ARN, "TagsList": TAGS}),
    ("RemoveTags", {"ResourceId": ARN, "TagsList": TAGS}),
]
"""Tags tell a wrong region or account by CloudTrailARNInvalidException."""


@pytest.fixture(scope="module")
def api(moto_endpoint: str) -> Iterator[TrailApi]:
    with trail_api(moto_endpoint) as served:
        yield served


@pytest.fixture(
    params=[(client, kind) for client in ("boto3", "aws-cli") for kind in KINDS],
    ids=" ".join,
)
def life(request: pytest.FixtureRequest, api: TrailApi) -> Iterator[Life]:
    client, kind = request.param
    if client == "boto3":
        call: Client = Boto3(api)
    else:
        releases: list[AwsCli] = request.getfixturevalue("aws_cli")
        call = Cli(api, releases[RELEASES[kind]])
    yield Life(call, api, KINDS[kind])
    boto3 = api.boto3()
    for trail in boto3.describe_trails(includeShadowTrails=False)["trailList"]:
        boto3.delete_trail(Name=trail["TrailARN"])


@pytest.mark.timeout(900)  # through the AWS CLI each of eighty calls is a process
def test_the_whole_life(life: Life) -> None:
    settings = create(life)
    see_it_from_everywhere(life, settings)
    start_and_stop(life)
    put_selectors(life)
    put_tags(life)
    refuse_others(life)
    update_and_clear(life, settings)
    delete(life)


def create(life: Life) -> dict[str, Any]:
    """Creates the trail with all that it can have; returns its settings."""
    key, alias = life.api.new_key()
    topic = life.api.new_topic(ARN)
    bucket = life.api.new_bucket(ARN, prefixes=("first/", "second/", ""))
    answer = life.call(
        "CreateTrail",
        Name=NAME,
        S3BucketName=bucket,
        S3KeyPrefix="first",
        SnsTopicName=topic.arn.rpartition(":")[2],
        EnableLogFileValidation=True,
        KmsKeyId=alias,
        TagsList=TAGS,
        **life.kind,
    )
    assert answer == {
        "Name": NAME,
        "S3BucketName": bucket,
        "S3KeyPrefix": "first",
        "SnsTopicName": topic.arn.rpartition(":")[2],
        "SnsTopicARN": topic.arn,
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": life.is_multi_region,
        "TrailARN": ARN,
        "LogFileValidationEnabled": True,
        "KmsKeyId": key,
        "IsOrganizationTrail": life.is_the_organizations,
        **({"RecursiveLogging": True} if isinstance(life.call, Boto3) else {}),  # the CLI's model is older
    }
    assert topic.messages() == ["CloudTrail validation message."]
    assert life.refused("CreateTrail", Name=NAME, S3BucketName=bucket) == "TrailAlreadyExistsException"
    own = {"HomeRegion": HOME, "HasCustomEventSelectors": False, "HasInsightSelectors": False}
    settings: dict[str, Any] = {**answer, **own}
    return settings


def see_it_from_everywhere(life: Life, settings: dict[str, Any]) -> None:
    """Shadow trails, name and ARN (reference §5.4, §10)."""
    listed = [{"TrailARN": ARN, "Name": NAME, "HomeRegion": HOME}]
    assert life.described() == life.described(trailNameList=[NAME]) == [settings]
    assert life.described(includeShadowTrails=False) == [settings]
    assert (
        life.call("GetTrail", Name=NAME)["Trail"]
        == life.call("GetTrail", MANAGEMENT, ELSEWHERE, Name=ARN)["Trail"]
        == settings
    )
    assert life.call("ListTrails", MANAGEMENT, ELSEWHERE)["Trails"] == listed
    assert life.described(region=ELSEWHERE) == ([settings] if life.is_multi_region else [])
    assert life.described(region=ELSEWHERE, trailNameList=[ARN, "not-there"]) == [settings]
    assert life.described(region=ELSEWHERE, trailNameList=[NAME]) == []
    assert life.described(region=ELSEWHERE, includeShadowTrails=False) == []
    assert life.refused("GetTrail", region=ELSEWHERE, Name=NAME) == "TrailNotFoundException"
    assert life.described(STRANGER, trailNameList=[ARN]) == []
    assert life.refused("GetTrail", STRANGER, Name=ARN) == "TrailNotFoundException"
    seen = [settings] if life.is_the_organizations else []
    for region in (HOME, ELSEWHERE):
        assert life.described(MEMBER, region) == life.described(MEMBER, region, trailNameList=[ARN]) == seen
    assert life.described(MEMBER, includeShadowTrails=False) == []
    assert life.call("ListTrails", MEMBER)["Trails"] == (listed if seen else [])
    assert life.refused("GetTrail", MEMBER, Name=NAME) == "TrailNotFoundException"


def start_and_stop(life: Life) -> None:
    """A trail does not log until it is told to; each region and member tells the same about it."""
    assert life.call("GetTrailStatus", Name=NAME)["IsLogging"] is False
    assert life.call("StartLogging", Name=NAME) == life.call("StartLogging", Name=ARN) == {}
    started = life.call("GetTrailStatus", MANAGEMENT, ELSEWHERE, Name=ARN)
    assert started["IsLogging"] is True
    assert started["TimeLoggingStarted"]
    assert started["TimeLoggingStopped"] == ""
    if life.is_the_organizations:
        assert life.call("GetTrailStatus", MEMBER, Name=ARN) == started
    life.call("StopLogging", Name=NAME)
    stopped = life.call("GetTrailStatus", Name=NAME)
    assert (stopped["IsLogging"], stopped["StartLoggingTime"]) == (False, started["StartLoggingTime"])
    assert stopped["StopLoggingTime"] >= stopped["StartLoggingTime"]
    life.call("StartLogging", Name=NAME)


def put_selectors(life: Life) -> None:
    """Each kind of selectors replaces the other; Insights are read only while they are on."""
    assert life.call("GetEventSelectors", TrailName=NAME) == {"TrailARN": ARN, "EventSelectors": [DEFAULT]}
    basic = {"TrailARN": ARN, "EventSelectors": [BASIC]}
    assert life.call("PutEventSelectors", TrailName=NAME, EventSelectors=[BASIC]) == basic
    assert life.call("GetEventSelectors", MANAGEMENT, ELSEWHERE, TrailName=ARN) == basic
    advanced = {"TrailARN": ARN, "AdvancedEventSelectors": ADVANCED}
    assert life.call("PutEventSelectors", TrailName=ARN, AdvancedEventSelectors=ADVANCED) == advanced
    assert life.call("GetEventSelectors", TrailName=NAME) == advanced

    assert life.refused("GetInsightSelectors", TrailName=NAME) == "InsightNotEnabledException"
    insights = {"TrailARN": ARN, "InsightSelectors": INSIGHTS}
    assert life.call("PutInsightSelectors", TrailName=NAME, InsightSelectors=INSIGHTS) == insights
    assert life.call("GetInsightSelectors", TrailName=ARN) == insights
    aggregated = {"TrailARN": ARN, "AggregationConfigurations": AGGREGATIONS}
    put = life.call("PutEventConfiguration", TrailName=NAME, AggregationConfigurations=AGGREGATIONS)
    assert put == life.call("GetEventConfiguration", TrailName=NAME) == aggregated
    trail = life.call("GetTrail", Name=NAME)["Trail"]
    assert (trail["HasCustomEventSelectors"], trail["HasInsightSelectors"]) == (True, True)


def put_tags(life: Life) -> None:
    """Those of the creation, one more, one fewer."""

    def tags() -> list[dict[str, str]]:
        (found,) = life.call("ListTags", ResourceIdList=[ARN])["ResourceTagList"]
        assert found["ResourceId"] == ARN
        listed: list[dict[str, str]] = found["TagsList"]
        return listed

    assert tags() == TAGS
    assert life.call("AddTags", ResourceId=ARN, TagsList=[{"Key": "bare"}, {"Key": "cost", "Value": "8"}]) == {}
    assert tags() == [{"Key": "bare"}, {"Key": "cost", "Value": "8"}, TAGS[1]]
    assert life.call("RemoveTags", ResourceId=ARN, TagsList=[{"Key": "bare"}, {"Key": "cost"}]) == {}
    assert tags() == [TAGS[1]]


def refuse_others(life: Life) -> None:
    """A member of the organization, and the owner from another region: neither changes anything."""
    before = (
        life.call("GetTrail", Name=NAME)["Trail"],
        life.call("GetTrailStatus", Name=NAME),
        life.call("GetEventSelectors", TrailName=NAME),
    )
    of_member = "NotOrganizationMasterAccountException" if life.is_the_organizations else "TrailNotFoundException"
    for operation, members in WRITES:
        assert life.refused(operation, MEMBER, **members) == of_member, operation
        assert life.refused(operation, region=ELSEWHERE, **members) == "InvalidHomeRegionException", operation
    for operation, members in TAGGINGS:
        expected = of_member if life.is_the_organizations else "CloudTrailARNInvalidException"
        assert life.refused(operation, MEMBER, **members) == expected, operation
        assert life.refused(operation, region=ELSEWHERE, **members) == "CloudTrailARNInvalidException", operation
    after = (
        life.call("GetTrail", Name=NAME)["Trail"],
        life.call("GetTrailStatus", Name=NAME),
        life.call("GetEventSelectors", TrailName=NAME),
    )
    assert after == before
    if life.is_the_organizations:
        refuse_a_conversion(life)


def refuse_a_conversion(life: Life) -> None:
    """A delegated administrator changes the trail, but does not take it from the organization."""
    for validated in (False, True):
        updated = life.call("UpdateTrail", ADMINISTRATOR, Name=ARN, EnableLogFileValidation=validated)
        assert updated["LogFileValidationEnabled"] is validated
    to_account = life.refused("UpdateTrail", ADMINISTRATOR, Name=ARN, IsOrganizationTrail=False)
    assert to_account == "NotOrganizationMasterAccountException"


def update_and_clear(life: Life, settings: dict[str, Any]) -> None:
    """What is not named stays, an empty text clears."""
    moved = life.call("UpdateTrail", Name=NAME, S3KeyPrefix="second")
    not_answered = {"HomeRegion", "HasCustomEventSelectors", "HasInsightSelectors"}
    answered = {name: value for name, value in settings.items() if name not in not_answered}
    assert moved == {**answered, "S3KeyPrefix": "second"}
    cleared = life.call("UpdateTrail", Name=ARN, S3KeyPrefix="", KmsKeyId="", SnsTopicName="")
    left = {"S3KeyPrefix", "KmsKeyId", "SnsTopicName", "SnsTopicARN"}
    assert cleared == {name: value for name, value in answered.items() if name not in left}
    life.call("PutEventSelectors", TrailName=NAME, EventSelectors=[DEFAULT])
    life.call("PutInsightSelectors", TrailName=NAME, InsightSelectors=[])
    own = {"HomeRegion": HOME, "HasCustomEventSelectors": False, "HasInsightSelectors": False}
    assert life.call("GetTrail", Name=NAME)["Trail"] == {**cleared, **own}
    assert life.refused("GetInsightSelectors", TrailName=NAME) == "InsightNotEnabledException"


def delete(life: Life) -> None:
    """It is gone from everywhere, and its name is free."""
    assert life.call("DeleteTrail", Name=ARN) == {}
    assert life.refused("DeleteTrail", Name=ARN) == "TrailNotFoundException"
    assert life.refused("GetTrailStatus", Name=NAME) == "TrailNotFoundException"
    assert life.described() == life.described(MEMBER) == life.described(trailNameList=[ARN]) == []
    assert life.refused("ListTags", ResourceIdList=[ARN]) == "ResourceNotFoundException"
    bucket = life.api.new_bucket(ARN)
    again = life.call("CreateTrail", Name=NAME, S3BucketName=bucket, **life.kind)
    assert again["TrailARN"] == ARN
    assert life.call("GetTrail", Name=NAME)["Trail"]["LogFileValidationEnabled"] is False

from __future__ import annotations

from collections.abc import Callable

import pytest

from opentrail_backends.state.port import PublicKey, StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, STRANGER, TRAILS, Api

BY_NAME = {trail.name: trail for trail in TRAILS}


def names(answer: dict, key: str = "trailList") -> set[str]:
    return {trail["Name"] for trail in answer[key]}


@pytest.mark.parametrize(
    ("account", "region", "seen"),
    [
        (MANAGEMENT, "us-east-1", {"home-only", "everywhere", "for-all"}),
        (MANAGEMENT, "eu-central-1", {"in-europe", "everywhere", "for-all"}),
        (MANAGEMENT, "ap-south-1", {"everywhere", "for-all"}),
        (MEMBER, "us-east-1", {"members-own", "for-all"}),
        (MEMBER, "eu-central-1", {"for-all"}),
        (STRANGER, "us-east-1", {"strangers"}),
        (STRANGER, "eu-central-1", set()),
    ],
)
def test_an_account_sees_its_own_and_its_organizations_trails(
    api: Api, account: str, region: str, seen: set[str]
) -> None:
    assert names(api("DescribeTrails", account_id=account, region=region)) == seen


@pytest.mark.parametrize(
    ("account", "region", "seen"),
    [
        (MANAGEMENT, "us-east-1", {"home-only", "everywhere", "for-all"}),
        (MANAGEMENT, "eu-central-1", {"in-europe"}),
        (MEMBER, "us-east-1", {"members-own"}),
    ],
)
def test_shadow_trails_can_be_left_out(api: Api, account: str, region: str, seen: set[str]) -> None:
    answer = api("DescribeTrails", {"includeShadowTrails": False}, account_id=account, region=region)
    assert names(answer) == seen


def test_a_name_means_a_trail_at_home_here_and_an_arn_reaches_further(api: Api) -> None:
    arn = BY_NAME["in-europe"].arn
    assert names(api("DescribeTrails", {"trailNameList": ["in-europe", "home-only"]})) == {"home-only"}
    assert names(api("DescribeTrails", {"trailNameList": [arn, "nothing-there"]})) == {"in-europe"}
    assert api("GetTrail", {"Name": arn})["Trail"]["HomeRegion"] == "eu-central-1"
    assert api("DescribeTrails", {"trailNameList": ["strangers", BY_NAME["strangers"].arn]}) == {"trailList": []}


def test_a_member_names_the_organizations_trail_by_its_arn_only(api: Api) -> None:
    trail = BY_NAME["for-all"]
    assert api("GetTrail", {"Name": trail.arn}, account_id=MEMBER)["Trail"]["IsOrganizationTrail"] is True
    refusal = api.refused("GetTrail", {"Name": "for-all"}, account_id=MEMBER)
    assert refusal == (400, "TrailNotFoundException", f"Unknown trail: for-all for the user: {MEMBER}")
    refusal = api.refused("GetTrail", {"Name": trail.arn}, account_id=STRANGER)
    assert refusal[1] == "TrailNotFoundException"


def test_a_trail_has_its_members_and_leaves_out_what_is_not_set(api: Api) -> None:
    trail = api("GetTrail", {"Name": "everywhere"})["Trail"]
    assert trail == {
        "Name": "everywhere",
        "S3BucketName": "example-trail-logs",
        "SnsTopicName": "told",
        "SnsTopicARN": "arn:aws:sns:us-east-1:111122223333:told",
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": True,
        "HomeRegion": "us-east-1",
        "TrailARN": f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:trail/everywhere",
        "LogFileValidationEnabled": True,
        "HasCustomEventSelectors": False,
        "HasInsightSelectors": False,
        "IsOrganizationTrail": False,
        "RecursiveLogging": True,
    }


def test_list_trails_names_those_of_all_regions(api: Api) -> None:
    answer = api("ListTrails", region="eu-west-1")
    assert names(answer, "Trails") == {"home-only", "everywhere", "for-all", "in-europe"}
    assert set(answer["Trails"][0]) == {"TrailARN", "Name", "HomeRegion"}
    assert api.refused("ListTrails", {"NextToken": "x"})[1] == "InvalidTokenException"


def test_an_invalid_arn_is_told_from_an_unknown_trail(api: Api) -> None:
    assert api.refused("GetTrail", {"Name": "arn:aws:s3:::bucket"})[:2] == (400, "CloudTrailARNInvalidException")


def test_event_selectors_come_as_they_were_put(api: Api) -> None:
    answer = api("GetEventSelectors", {"TrailName": "home-only"})
    assert answer["TrailARN"] == BY_NAME["home-only"].arn
    assert answer["EventSelectors"] == [
        {
            "ReadWriteType": "All",
            "IncludeManagementEvents": True,
            "DataResources": [],
            "ExcludeManagementEventSources": [],
        }
    ]


def test_status_of_a_trail_that_never_logged(api: Api) -> None:
    status = api("GetTrailStatus", {"Name": "home-only"})
    assert status["IsLogging"] is False
    assert status["TimeLoggingStarted"] == status["TimeLoggingStopped"] == ""
    assert not {"StartLoggingTime", "StopLoggingTime", "LatestDeliveryTime"} & set(status)


def test_status_tells_when_logging_started_and_stopped(api: Api, change: Callable[..., None]) -> None:
    trail = BY_NAME["home-only"]
    change(trail, is_logging=True, started_logging_at=1_767_000_000_000)
    status = api("GetTrailStatus", {"Name": trail.arn}, region="eu-central-1")
    assert (status["IsLogging"], status["StartLoggingTime"]) == (True, 1_767_000_000)
    assert status["TimeLoggingStarted"] == "2025-12-29T09:20:00Z"
    assert "StopLoggingTime" not in status
    change(trail, is_logging=False, started_logging_at=1_767_000_000_000)
    status = api("GetTrailStatus", {"Name": "home-only"})
    assert status["IsLogging"] is False
    assert 1_767_225_600 <= status["StopLoggingTime"] < 1_767_225_601


def test_public_keys_of_a_range_in_the_region_of_the_caller(api: Api, state: StateStore) -> None:
    key = PublicKey(
        region="us-east-1",
        fingerprint="ab" * 16,
        der=b"\x30\x82\x01\x0a",
        valid_from=1000,
        valid_until=2000,
        reference="k",
    )
    state.public_keys.add(key)
    assert api("ListPublicKeys", {"StartTime": 1500, "EndTime": 1600})["PublicKeyList"] == [
        {"Value": "MIIBCg==", "ValidityStartTime": 1000, "ValidityEndTime": 2000, "Fingerprint": "ab" * 16}
    ]
    assert api("ListPublicKeys", {"StartTime": 2001, "EndTime": 3000})["PublicKeyList"] == []
    assert api("ListPublicKeys", {"StartTime": 1500, "EndTime": 1600}, region="eu-central-1")["PublicKeyList"] == []
    assert api("ListPublicKeys")["PublicKeyList"] == []
    assert api.refused("ListPublicKeys", {"StartTime": 5, "EndTime": 4})[1] == "InvalidTimeRangeException"
    assert api.refused("ListPublicKeys", {"NextToken": "x"})[1] == "InvalidTokenException"


def test_a_member_learns_its_organization_and_a_stranger_that_there_is_none(api: Api) -> None:
    answer = api("DescribeOrganization", service="organizations", account_id=MEMBER)
    assert answer["Organization"]["Id"] == "o-exampleorgid"
    assert answer["Organization"]["MasterAccountId"] == MANAGEMENT
    refusal = api.refused("DescribeOrganization", service="organizations", account_id=STRANGER)
    assert refusal[:2] == (400, "AWSOrganizationsNotInUseException")


def test_a_change_is_seen_by_the_next_call(api: Api, change: Callable[..., None]) -> None:
    assert api("GetTrail", {"Name": "home-only"})["Trail"]["S3KeyPrefix"] == "audit"
    change(BY_NAME["home-only"], s3_key_prefix=None)
    assert "S3KeyPrefix" not in api("GetTrail", {"Name": "home-only"})["Trail"]

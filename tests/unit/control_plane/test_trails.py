"""DescribeTrails, GetTrail and ListTrails: what an account sees from a region, and by which name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, STRANGER, TRAILS, Api

BY_NAME = {trail.name: trail for trail in TRAILS}


def names(answer: dict[str, Any], key: str = "trailList") -> set[str]:
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
    answer = api("ListTrails", region="ap-south-1")
    assert names(answer, "Trails") == {"home-only", "everywhere", "for-all", "in-europe"}
    assert set(answer["Trails"][0]) == {"TrailARN", "Name", "HomeRegion"}
    assert api.refused("ListTrails", {"NextToken": "x"})[:2] == (400, "ValidationException")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("arn:aws:s3:::bucket", "CloudTrailARNInvalidException"),
        (f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:trail/x", "CloudTrailARNInvalidException"),
        ("ab", "InvalidTrailNameException"),
    ],
)
def test_what_cannot_name_a_trail_is_told_from_an_unknown_one(api: Api, name: str, code: str) -> None:
    assert api.refused("GetTrail", {"Name": name})[:2] == (400, code)
    assert api.refused("DescribeTrails", {"trailNameList": ["home-only", name]})[:2] == (400, code)


def test_trails_are_listed_by_arn_each_once(api: Api) -> None:
    asked = [BY_NAME["home-only"].arn, "home-only", BY_NAME["for-all"].arn, BY_NAME["in-europe"].arn, "everywhere"]
    listed = [trail["TrailARN"] for trail in api("DescribeTrails", {"trailNameList": asked})["trailList"]]
    every = [BY_NAME[name].arn for name in ("in-europe", "everywhere", "for-all", "home-only")]
    assert listed == every
    assert [trail["TrailARN"] for trail in api("ListTrails")["Trails"]] == every


def test_shadow_trails_that_are_named_can_be_left_out_too(api: Api) -> None:
    asked = {"trailNameList": [BY_NAME["in-europe"].arn, "home-only"], "includeShadowTrails": False}
    assert names(api("DescribeTrails", asked)) == {"home-only"}


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


def test_a_change_is_seen_by_the_next_call(api: Api, change: Callable[..., None]) -> None:
    assert api("GetTrail", {"Name": "home-only"})["Trail"]["S3KeyPrefix"] == "audit"
    change(BY_NAME["home-only"], s3_key_prefix=None)
    assert "S3KeyPrefix" not in api("GetTrail", {"Name": "home-only"})["Trail"]

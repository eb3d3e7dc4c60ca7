"""CreateTrail, UpdateTrail, DeleteTrail, StartLogging and StopLogging, as a client of the account sees them."""

from __future__ import annotations

from typing import Any

import pytest

from opentrail_backends.state.port import StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, ORGANIZATION, STRANGER, TRAILS, Api

ARN = f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:trail/audit"
AUDIT = {"Name": "audit", "S3BucketName": "example-trail-logs"}
BY_NAME = {trail.name: trail for trail in TRAILS}
GROUP = f"arn:aws:logs:us-east-1:{MANAGEMENT}:log-group:trails:*"
ROLE = f"arn:aws:iam::{MANAGEMENT}:role/to-logs"
KEY = f"arn:aws:kms:us-east-1:{MANAGEMENT}:key/11111111-2222-3333-4444-555555555555"
TOPIC = f"arn:aws:sns:us-east-1:{MANAGEMENT}:told"

CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("UpdateTrail", {"S3KeyPrefix": "elsewhere"}),
    ("StartLogging", {}),
    ("StopLogging", {}),
    ("DeleteTrail", {}),
]


def revision(state: StateStore) -> int:
    return state.configuration.changes_after(0)[-1].revision


# --- what is answered -----------------------------------------------------------------------------


def test_a_new_trail_is_answered_without_what_is_not_set_and_without_its_home(api: Api) -> None:
    assert api("CreateTrail", AUDIT) == {
        **AUDIT,
        "TrailARN": ARN,
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": False,
        "LogFileValidationEnabled": False,
        "IsOrganizationTrail": False,
        "RecursiveLogging": True,
    }


def test_each_setting_of_a_new_trail_is_answered_and_read(api: Api) -> None:
    settings = {
        **AUDIT,
        "S3KeyPrefix": "audit",
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": True,
        "CloudWatchLogsLogGroupArn": GROUP,
        "CloudWatchLogsRoleArn": ROLE,
        "KmsKeyId": KEY,
        "IsOrganizationTrail": True,
        "RecursiveLogging": False,
    }
    answer = api("CreateTrail", {**settings, "SnsTopicName": TOPIC, "EnableLogFileValidation": True})
    topic = {"SnsTopicName": "told", "SnsTopicARN": TOPIC}
    assert answer == {**settings, **topic, "LogFileValidationEnabled": True, "TrailARN": ARN}
    own = {"HomeRegion": "us-east-1", "HasCustomEventSelectors": False, "HasInsightSelectors": False}
    assert api("GetTrail", {"Name": "audit"})["Trail"] == {**answer, **own}


def test_an_update_is_answered_as_a_creation_is(api: Api) -> None:
    created = api("CreateTrail", AUDIT)
    answer = api("UpdateTrail", {"Name": ARN, "S3KeyPrefix": "audit", "EnableLogFileValidation": True})
    assert answer == {**created, "S3KeyPrefix": "audit", "LogFileValidationEnabled": True}


def test_what_an_update_does_not_name_stays_and_an_empty_text_clears(api: Api) -> None:
    optional = {
        "S3KeyPrefix": "audit",
        "KmsKeyId": KEY,
        "SnsTopicName": TOPIC,
        "CloudWatchLogsLogGroupArn": GROUP,
        "CloudWatchLogsRoleArn": ROLE,
    }
    created = api("CreateTrail", {**AUDIT, **optional})
    assert api("UpdateTrail", {"Name": "audit"}) == created
    cleared = api("UpdateTrail", {"Name": "audit", **dict.fromkeys(optional, "")})
    assert cleared == {name: value for name, value in created.items() if name not in {*optional, "SnsTopicARN"}}
    assert not {*optional, "SnsTopicARN"} & set(api("GetTrail", {"Name": "audit"})["Trail"])


# --- the life of a trail --------------------------------------------------------------------------


def test_a_new_trail_does_not_log_until_it_is_told_to(api: Api) -> None:
    api("CreateTrail", AUDIT)
    assert api("GetTrailStatus", {"Name": "audit"})["IsLogging"] is False
    assert api("StartLogging", {"Name": "audit"}) == {}
    assert api("GetTrailStatus", {"Name": "audit"})["IsLogging"] is True
    assert api("StopLogging", {"Name": ARN}) == {}
    assert api("GetTrailStatus", {"Name": "audit"})["IsLogging"] is False


def test_logging_starts_by_the_clock_of_the_state_store(api: Api, state: StateStore) -> None:
    """It anchors digest chains, whose times are the store's: that of this machine may be another."""
    api("CreateTrail", AUDIT)
    before = state.configuration.now()
    api("StartLogging", {"Name": "audit"})
    started = api("GetTrailStatus", {"Name": "audit"})["StartLoggingTime"]
    assert before / 1000 <= started <= state.configuration.now() / 1000


@pytest.mark.parametrize(
    ("operation", "members"),
    [("StartLogging", {}), ("UpdateTrail", {}), ("UpdateTrail", {"S3KeyPrefix": ""}), ("StopLogging", {})],
)
def test_what_is_so_already_makes_no_revision(
    api: Api, state: StateStore, operation: str, members: dict[str, Any]
) -> None:
    api("CreateTrail", AUDIT)
    if operation == "StartLogging":
        api("StartLogging", {"Name": "audit"})
    before = revision(state)
    api(operation, {"Name": "audit", **members})
    assert revision(state) == before


def test_a_deleted_trail_is_gone_and_its_name_is_free_for_another(api: Api, state: StateStore) -> None:
    api("CreateTrail", AUDIT)
    first = state.configuration.changes_after(0)[-1]
    assert api("DeleteTrail", {"Name": ARN}) == {}
    deleted = state.configuration.changes_after(0)[-1]
    assert (deleted.kind, deleted.id, deleted.body) == (first.kind, first.id, None)
    unknown = (400, "TrailNotFoundException", f"Unknown trail: {ARN} for the user: {MANAGEMENT}")
    for operation in ("GetTrail", "GetTrailStatus", "DeleteTrail", "StartLogging", "UpdateTrail"):
        assert api.refused(operation, {"Name": ARN}) == unknown
    assert api("DescribeTrails", {"trailNameList": [ARN]}) == {"trailList": []}
    api("CreateTrail", AUDIT)
    assert state.configuration.changes_after(0)[-1].id != first.id


# --- who may change which trail from where --------------------------------------------------------


@pytest.mark.parametrize(("operation", "members"), CHANGES)
def test_a_trail_is_changed_from_its_home_region_only(api: Api, operation: str, members: dict[str, Any]) -> None:
    named = {"Name": BY_NAME["everywhere"].arn, **members}
    status, code, message = api.refused(operation, named, region="eu-central-1")
    assert (status, code) == (400, "InvalidHomeRegionException")
    assert "us-east-1" in message
    assert api(operation, named, region="us-east-1") is not None


@pytest.mark.parametrize(("operation", "members"), CHANGES)
def test_a_member_sees_the_organizations_trail_and_cannot_change_it(
    api: Api, state: StateStore, operation: str, members: dict[str, Any]
) -> None:
    arn = BY_NAME["for-all"].arn
    before = revision(state)
    for region in ("us-east-1", "eu-central-1"):
        refusal = api.refused(operation, {"Name": arn, **members}, account_id=MEMBER, region=region)
        assert refusal[:2] == (400, "NotOrganizationMasterAccountException")
    for name in ("for-all", BY_NAME["everywhere"].arn):
        refusal = api.refused(operation, {"Name": name, **members}, account_id=MEMBER)
        assert refusal == (400, "TrailNotFoundException", f"Unknown trail: {name} for the user: {MEMBER}")
    assert revision(state) == before


@pytest.mark.parametrize(("operation", "members"), CHANGES)
def test_a_stranger_does_not_even_learn_that_a_trail_exists(api: Api, operation: str, members: dict[str, Any]) -> None:
    for arn in (BY_NAME["for-all"].arn, BY_NAME["home-only"].arn):
        refusal = api.refused(operation, {"Name": arn, **members}, account_id=STRANGER)
        assert refusal == (400, "TrailNotFoundException", f"Unknown trail: {arn} for the user: {STRANGER}")


def test_a_delegated_administrator_makes_and_changes_trails_that_the_management_account_owns(api: Api) -> None:
    assert api("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": MEMBER}) == {}
    api("DeleteTrail", {"Name": "everywhere"})
    created = api("CreateTrail", {**AUDIT, "IsOrganizationTrail": True}, account_id=MEMBER)
    assert created["TrailARN"] == ARN
    for operation, members in CHANGES[:-1]:
        api(operation, {"Name": ARN, **members}, account_id=MEMBER)
    assert api("GetTrail", {"Name": "audit"})["Trail"]["S3KeyPrefix"] == "elsewhere"
    to_account = api.refused("UpdateTrail", {"Name": ARN, "IsOrganizationTrail": False}, account_id=MEMBER)
    assert to_account[1] == "NotOrganizationMasterAccountException"
    api("DeregisterOrganizationDelegatedAdmin", {"DelegatedAdminAccountId": MEMBER})
    refusal = api.refused("DeleteTrail", {"Name": ARN}, account_id=MEMBER)
    assert refusal[1] == "NotOrganizationMasterAccountException"
    assert api("DeleteTrail", {"Name": ARN}) == {}


def test_a_trail_becomes_the_organizations_and_its_accounts_again(api: Api) -> None:
    arn = BY_NAME["home-only"].arn
    assert api.refused("GetTrail", {"Name": arn}, account_id=MEMBER)[1] == "TrailNotFoundException"
    assert api("UpdateTrail", {"Name": arn, "IsOrganizationTrail": True})["IsOrganizationTrail"] is True
    assert api("GetTrail", {"Name": arn}, account_id=MEMBER)["Trail"]["IsOrganizationTrail"] is True
    assert api("UpdateTrail", {"Name": arn, "IsOrganizationTrail": False})["TrailARN"] == arn
    assert api.refused("GetTrail", {"Name": arn}, account_id=MEMBER)[1] == "TrailNotFoundException"


@pytest.mark.parametrize(
    ("account", "code"),
    [(MEMBER, "NotOrganizationMasterAccountException"), (STRANGER, "OrganizationsNotInUseException")],
)
def test_an_organization_trail_needs_who_manages_one(api: Api, account: str, code: str) -> None:
    assert api.refused("CreateTrail", {**AUDIT, "IsOrganizationTrail": True}, account_id=account)[1] == code
    api("CreateTrail", AUDIT, account_id=account)
    assert api.refused("UpdateTrail", {"Name": "audit", "IsOrganizationTrail": True}, account_id=account)[1] == code
    assert api("GetTrail", {"Name": "audit"}, account_id=account)["Trail"]["IsOrganizationTrail"] is False
    assert ORGANIZATION.id not in str(api("DescribeTrails", account_id=STRANGER))


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"Name": "ab"}, "InvalidTrailNameException"),
        ({"Name": "a" * 129}, "InvalidTrailNameException"),
        ({"Name": "-audit"}, "InvalidTrailNameException"),
        ({"Name": "audit-"}, "InvalidTrailNameException"),
        ({"Name": "audit--trail"}, "InvalidTrailNameException"),
        ({"Name": "audit trail"}, "InvalidTrailNameException"),
        ({"Name": "192.168.5.4"}, "InvalidTrailNameException"),
        ({"Name": "home-only"}, "TrailAlreadyExistsException"),
        ({"S3BucketName": "UPPER"}, "InvalidS3BucketNameException"),
        ({"S3BucketName": "no"}, "InvalidS3BucketNameException"),
        ({"S3KeyPrefix": "x" * 201}, "InvalidS3PrefixException"),
        ({"S3KeyPrefix": "/x"}, "InvalidS3PrefixException"),
        ({"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False}, "InvalidParameterCombinationException"),
        ({"CloudWatchLogsLogGroupArn": GROUP}, "InvalidParameterCombinationException"),
        ({"CloudWatchLogsRoleArn": ROLE}, "InvalidParameterCombinationException"),
        (
            {"CloudWatchLogsLogGroupArn": GROUP[:-2], "CloudWatchLogsRoleArn": ROLE},
            "InvalidCloudWatchLogsLogGroupArnException",
        ),
        (
            {"CloudWatchLogsLogGroupArn": GROUP.replace("us-east-1", "eu-central-1"), "CloudWatchLogsRoleArn": ROLE},
            "InvalidCloudWatchLogsLogGroupArnException",
        ),
        (
            {"CloudWatchLogsLogGroupArn": GROUP, "CloudWatchLogsRoleArn": "to-logs"},
            "InvalidCloudWatchLogsRoleArnException",
        ),
        ({"TagsList": [{"Key": "a"}, {"Key": "a"}]}, "InvalidTagParameterException"),
        ({"TagsList": [{"Key": "aws:a"}]}, "InvalidTagParameterException"),
    ],
)
def test_a_new_trail_that_cannot_be(api: Api, state: StateStore, members: dict[str, Any], code: str) -> None:
    before = revision(state)
    assert api.refused("CreateTrail", {**AUDIT, **members})[:2] == (400, code)
    assert revision(state) == before


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"Name": "ab"}, "InvalidTrailNameException"),
        ({"Name": "arn:aws:cloudtrail:us-east-1"}, "CloudTrailARNInvalidException"),
        ({"Name": "not-there"}, "TrailNotFoundException"),
        ({"S3BucketName": ""}, "InvalidS3BucketNameException"),
        ({"S3KeyPrefix": "x//y"}, "InvalidS3PrefixException"),
        ({"IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False}, "InvalidParameterCombinationException"),
        ({"CloudWatchLogsRoleArn": ROLE}, "InvalidParameterCombinationException"),
        (
            {"CloudWatchLogsLogGroupArn": "trails", "CloudWatchLogsRoleArn": ROLE},
            "InvalidCloudWatchLogsLogGroupArnException",
        ),
        (
            {"CloudWatchLogsLogGroupArn": GROUP, "CloudWatchLogsRoleArn": "arn:aws:iam::1:role/x"},
            "InvalidCloudWatchLogsRoleArnException",
        ),
    ],
)
def test_an_update_that_cannot_be(api: Api, state: StateStore, members: dict[str, Any], code: str) -> None:
    before = revision(state)
    assert api.refused("UpdateTrail", {"Name": "home-only", **members})[:2] == (400, code)
    assert revision(state) == before


@pytest.mark.parametrize("operation", ["DeleteTrail", "StartLogging", "StopLogging", "GetTrail", "GetTrailStatus"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("ab", "InvalidTrailNameException"),
        ("arn:aws:s3:::bucket", "CloudTrailARNInvalidException"),
        ("not-there", "TrailNotFoundException"),
    ],
)
def test_a_name_that_means_no_trail(api: Api, operation: str, name: str, code: str) -> None:
    assert api.refused(operation, {"Name": name})[:2] == (400, code)


def test_messages_that_clients_know(api: Api) -> None:
    assert api.refused("CreateTrail", {**AUDIT, "Name": "home-only"})[2] == (
        f"Trail home-only already exists for customer: {MANAGEMENT}"
    )
    multi_region = {**AUDIT, "IsMultiRegionTrail": True, "IncludeGlobalServiceEvents": False}
    assert api.refused("CreateTrail", multi_region)[2] == "Multi-Region trail must include global service events."
    assert api.refused("CreateTrail", {**AUDIT, "Name": "ab"})[2] == (
        "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 2 characters."
    )

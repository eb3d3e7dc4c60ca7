"""AddTags, RemoveTags and ListTags of trails and channels."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from opentrail.trails.channel import Channel
from opentrail.trails.configuration import Kind, channel_body
from opentrail_backends.state.port import NewChange, StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, STRANGER, TRAILS, Api

BY_NAME = {trail.name: trail for trail in TRAILS}
ARN = BY_NAME["home-only"].arn
ORGANIZATIONS = BY_NAME["for-all"].arn
CHANNEL = Channel(id=str(UUID(int=7)), account_id=MANAGEMENT, region="us-east-1", name="from-outside", source="Custom")
NEW = [{"Key": "team", "Value": "audit"}]


@pytest.fixture(autouse=True)
def _channel(state: StateStore) -> None:
    state.configuration.apply([NewChange(Kind.CHANNEL, CHANNEL.id, channel_body(CHANNEL))])


def tags(api: Api, arn: str = ARN, **caller: Any) -> list[dict[str, str]]:
    (found,) = api("ListTags", {"ResourceIdList": [arn]}, **caller)["ResourceTagList"]
    assert found["ResourceId"] == arn
    listed: list[dict[str, str]] = found["TagsList"]
    return listed


@pytest.mark.parametrize("arn", [ARN, CHANNEL.arn])
def test_tags_are_added_replaced_and_removed(api: Api, arn: str) -> None:
    assert tags(api, arn) == []
    added = [{"Key": "team", "Value": "audit"}, {"Key": "cost", "Value": "7"}, {"Key": "bare"}]
    assert api("AddTags", {"ResourceId": arn, "TagsList": added}) == {}
    assert tags(api, arn) == [{"Key": "bare"}, {"Key": "cost", "Value": "7"}, {"Key": "team", "Value": "audit"}]
    api("AddTags", {"ResourceId": arn, "TagsList": [{"Key": "team", "Value": "security"}]})
    removed = [{"Key": "cost", "Value": "another"}, {"Key": "bare"}, {"Key": "never-there"}]
    assert api("RemoveTags", {"ResourceId": arn, "TagsList": removed}) == {}
    assert tags(api, arn) == [{"Key": "team", "Value": "security"}]


@pytest.mark.parametrize("arn", [ARN, CHANNEL.arn])
def test_what_is_so_already_makes_no_revision(api: Api, state: StateStore, arn: str) -> None:
    api("AddTags", {"ResourceId": arn, "TagsList": NEW})
    before = state.configuration.changes_after(0)[-1].revision
    api("AddTags", {"ResourceId": arn, "TagsList": NEW})
    api("RemoveTags", {"ResourceId": arn, "TagsList": [{"Key": "never-there"}]})
    assert state.configuration.changes_after(0)[-1].revision == before


def test_tags_of_a_new_trail_and_of_an_updated_one(api: Api) -> None:
    created = api("CreateTrail", {"Name": "audit", "S3BucketName": "example-trail-logs", "TagsList": NEW})
    assert "TagsList" not in created
    api("UpdateTrail", {"Name": "audit", "S3KeyPrefix": "elsewhere"})
    assert tags(api, created["TrailARN"]) == NEW


def test_several_resources_are_listed_in_the_order_they_were_asked_for(api: Api) -> None:
    asked = [CHANNEL.arn, ORGANIZATIONS, ARN]
    answer = api("ListTags", {"ResourceIdList": [*asked, CHANNEL.arn]})
    assert [one["ResourceId"] for one in answer["ResourceTagList"]] == asked
    assert "NextToken" not in answer


@pytest.mark.parametrize(
    "tags_list",
    [
        [{"Key": ""}],
        [{"Key": "k" * 129}],
        [{"Key": "k", "Value": "v" * 257}],
        [{"Key": "AWS:team"}],
        [{"Key": "k"}, {"Key": "k", "Value": "v"}],
    ],
)
def test_tags_that_cannot_be(api: Api, tags_list: list[dict[str, str]]) -> None:
    refusal = api.refused("AddTags", {"ResourceId": ARN, "TagsList": tags_list})
    assert refusal[:2] == (400, "InvalidTagParameterException")
    assert tags(api) == []


# --- whose tags, and from where -------------------------------------------------------------------


def test_an_organizations_trail_is_tagged_by_who_manages_it(api: Api) -> None:
    member = {"account_id": MEMBER}
    for operation in ("AddTags", "RemoveTags"):
        refusal = api.refused(operation, {"ResourceId": ORGANIZATIONS, "TagsList": NEW}, **member)
        assert refusal[:2] == (400, "NotOrganizationMasterAccountException")
    listed = api.refused("ListTags", {"ResourceIdList": [ORGANIZATIONS]}, **member)
    assert listed[1:] == (
        "CloudTrailARNInvalidException",
        f"AccountID in ARN is wrong, you can only access resources with AccountID {MEMBER}.",
    )
    api("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": MEMBER})
    api("AddTags", {"ResourceId": ORGANIZATIONS, "TagsList": NEW}, **member)
    assert tags(api, ORGANIZATIONS, **member) == tags(api, ORGANIZATIONS) == NEW


@pytest.mark.parametrize("arn", [ARN, CHANNEL.arn, BY_NAME["everywhere"].arn])
def test_tags_are_at_home_in_one_region(api: Api, arn: str) -> None:
    message = "Region in ARN is wrong, you can only access resources in region eu-central-1."
    for operation, members in requests(arn):
        refusal = api.refused(operation, members, region="eu-central-1")
        assert refusal == (400, "CloudTrailARNInvalidException", message)


@pytest.mark.parametrize("arn", [ARN, CHANNEL.arn, ORGANIZATIONS])
def test_a_stranger_learns_nothing(api: Api, arn: str) -> None:
    message = f"AccountID in ARN is wrong, you can only access resources with AccountID {STRANGER}."
    for operation, members in requests(arn):
        refusal = api.refused(operation, members, account_id=STRANGER)
        assert refusal == (400, "CloudTrailARNInvalidException", message)
    unknown = arn.replace("for-all", "not-there").replace("home-only", "not-there")
    assert api.refused("ListTags", {"ResourceIdList": [unknown]}, account_id=STRANGER)[2] == message


def test_another_accounts_channel_is_not_had_by_its_id(api: Api) -> None:
    arn = CHANNEL.arn.replace(MANAGEMENT, STRANGER)
    for operation, members in requests(arn):
        code = "ResourceNotFoundException" if operation == "ListTags" else "ChannelNotFoundException"
        assert api.refused(operation, members, account_id=STRANGER)[:2] == (400, code)


def requests(arn: str) -> list[tuple[str, dict[str, Any]]]:
    changed: dict[str, Any] = {"ResourceId": arn, "TagsList": NEW}
    return [("AddTags", changed), ("RemoveTags", changed), ("ListTags", {"ResourceIdList": [arn]})]


OWN = f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}"


@pytest.mark.parametrize(
    ("arn", "to_change", "to_list"),
    [
        (f"{OWN}:trail/not-there", "ResourceNotFoundException", "ResourceNotFoundException"),
        (f"{OWN}:trail/not--there", "InvalidTrailNameException", "InvalidTrailNameException"),
        (f"{OWN}:channel/{UUID(int=8)}", "ChannelNotFoundException", "ResourceNotFoundException"),
        (f"{OWN}:eventdatastore/{UUID(int=8)}", "EventDataStoreNotFoundException", "EventDataStoreNotFoundException"),
        (f"{OWN}:dashboard/all", "ResourceNotFoundException", "ResourceNotFoundException"),
        (f"{OWN}:query/all", "ResourceTypeNotSupportedException", "ResourceTypeNotSupportedException"),
        ("home-only", "CloudTrailARNInvalidException", "CloudTrailARNInvalidException"),
        ("arn:aws:s3:::bucket", "CloudTrailARNInvalidException", "CloudTrailARNInvalidException"),
        (f"{ARN}/more", "CloudTrailARNInvalidException", "CloudTrailARNInvalidException"),
    ],
)
def test_what_has_no_tags(api: Api, arn: str, to_change: str, to_list: str) -> None:
    for operation, members in requests(arn):
        code = to_list if operation == "ListTags" else to_change
        assert api.refused(operation, members)[:2] == (400, code)
    assert api.refused("ListTags", {"ResourceIdList": [ARN, arn]})[:2] == (400, to_list)


def test_the_list_has_one_page_of_twenty_resources(api: Api) -> None:
    assert len(api("ListTags", {"ResourceIdList": [ARN] * 20})["ResourceTagList"]) == 1
    assert api.refused("ListTags", {"ResourceIdList": [ARN] * 21})[:2] == (400, "ValidationException")
    assert api.refused("ListTags", {"ResourceIdList": [ARN], "NextToken": "x"})[1] == "InvalidTokenException"

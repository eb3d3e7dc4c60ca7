"""Channels and their resource policies, by the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from opentrail_backends.state.port import StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, STRANGER, Api

TO_THE_BUS = [{"Type": "EVENT_DATA_STORE", "Location": "event-bus"}]


@pytest.fixture
def create(api: Api) -> Callable[..., str]:
    def created(name: str, source: str = "", **options: Any) -> str:
        members = {"Name": name, "Source": source or f"source-{name}", "Destinations": TO_THE_BUS}
        arn: str = api("CreateChannel", members, **options)["ChannelArn"]
        return arn

    return created


def policy(arn: str, account_id: str = STRANGER) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": account_id},
        "Action": "cloudtrail-data:PutAuditEvents",
        "Resource": arn,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)


def test_the_life_of_a_channel(api: Api) -> None:
    members = {"Name": "first", "Source": "Custom", "Destinations": TO_THE_BUS}
    created = api("CreateChannel", {**members, "Tags": [{"Key": "team", "Value": "audit"}]})
    arn = created["ChannelArn"]
    assert created == {**members, "ChannelArn": arn, "Tags": [{"Key": "team", "Value": "audit"}]}
    assert arn.startswith(f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:channel/")

    for name in (arn, arn.rpartition("/")[2]):
        assert api("GetChannel", {"Channel": name}) == {**members, "ChannelArn": arn}
    assert api("ListTags", {"ResourceIdList": [arn]})["ResourceTagList"][0]["TagsList"] == created["Tags"]

    renamed = api("UpdateChannel", {"Channel": arn, "Name": "second"})
    assert renamed == {**members, "ChannelArn": arn, "Name": "second"} == api("GetChannel", {"Channel": arn})
    assert api("ListChannels") == {"Channels": [{"ChannelArn": arn, "Name": "second"}]}
    assert api("ListTags", {"ResourceIdList": [arn]})["ResourceTagList"][0]["TagsList"] == created["Tags"]

    assert api("DeleteChannel", {"Channel": arn}) == {}
    assert api("ListChannels") == {"Channels": []}
    assert api.refused("GetChannel", {"Channel": arn})[1] == "ChannelNotFoundException"


def test_without_tags_the_answer_has_none(api: Api) -> None:
    assert "Tags" not in api("CreateChannel", {"Name": "one", "Source": "Custom", "Destinations": TO_THE_BUS})


@pytest.mark.parametrize("operation", ["GetChannel", "UpdateChannel", "DeleteChannel"])
@pytest.mark.parametrize("stranger", [{"account_id": STRANGER}, {"account_id": MEMBER}, {"region": "eu-central-1"}])
def test_a_channel_is_its_owners_in_its_region(
    api: Api, create: Callable[..., str], operation: str, stranger: dict[str, str]
) -> None:
    arn = create("mine")
    members = {"Channel": arn, **({"Name": "yours"} if operation == "UpdateChannel" else {})}
    assert api.refused(operation, members, **stranger)[:2] == (400, "ChannelNotFoundException")
    assert api("ListChannels", **stranger) == {"Channels": []}
    assert api("GetChannel", {"Channel": arn})["Name"] == "mine"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Source": "ec2.amazonaws.com"}, "InvalidSourceException"),
        ({"Destinations": [{"Type": "EVENT_DATA_STORE", "Location": "store"}]}, "EventDataStoreNotFoundException"),
        ({"Destinations": [{"Type": "AWS_SERVICE", "Location": "ec2"}]}, "InvalidParameterException"),
        ({"Tags": [{"Key": "aws:x"}]}, "InvalidTagParameterException"),
        ({"Name": "taken"}, "ChannelAlreadyExistsException"),
        ({"Source": "source-taken"}, "ChannelAlreadyExistsException"),
    ],
)
def test_refusals(api: Api, create: Callable[..., str], changes: dict[str, Any], code: str) -> None:
    create("taken")
    members = {"Name": "new", "Source": "Custom", "Destinations": TO_THE_BUS, **changes}
    assert api.refused("CreateChannel", members)[:2] == (400, code)
    assert len(api("ListChannels")["Channels"]) == 1


def test_the_limit_is_of_an_account_and_region(api: Api, create: Callable[..., str]) -> None:
    arns = [create(f"channel-{number}") for number in range(25)]
    one_more = {"Name": "one-more", "Source": "Custom", "Destinations": TO_THE_BUS}
    assert api.refused("CreateChannel", one_more)[1] == "ChannelMaxLimitExceededException"
    assert api("CreateChannel", one_more, region="eu-central-1")
    assert api("CreateChannel", one_more, account_id=STRANGER)
    api("DeleteChannel", {"Channel": arns[0]})
    assert api("CreateChannel", one_more)


def test_channels_are_listed_in_pages(api: Api, create: Callable[..., str]) -> None:
    arns = {create(f"channel-{number}") for number in range(5)}
    listed: list[str] = []
    query: dict[str, Any] = {"MaxResults": 2}
    sizes = []
    while True:
        page = api("ListChannels", query)
        sizes.append(len(page["Channels"]))
        listed += [channel["ChannelArn"] for channel in page["Channels"]]
        if "NextToken" not in page:
            break
        query["NextToken"] = page["NextToken"]
    assert sizes == [2, 2, 1]
    assert set(listed) == arns
    assert len(listed) == 5


def test_a_token_is_for_the_query_that_it_continues(api: Api, create: Callable[..., str]) -> None:
    for number in range(3):
        create(f"channel-{number}")
    token = api("ListChannels", {"MaxResults": 1})["NextToken"]
    for members, options in (
        ({"MaxResults": 2, "NextToken": token}, {}),
        ({"NextToken": token}, {}),
        ({"MaxResults": 1, "NextToken": token}, {"region": "eu-central-1"}),
        ({"MaxResults": 1, "NextToken": token}, {"account_id": STRANGER}),
        ({"MaxResults": 1, "NextToken": "token"}, {}),
    ):
        assert api.refused("ListChannels", members, **options)[1] == "InvalidNextTokenException"
    assert len(api("ListChannels", {"MaxResults": 1, "NextToken": token})["Channels"]) == 1


def test_the_life_of_a_resource_policy(api: Api, create: Callable[..., str]) -> None:
    arn = create("mine")
    resource = {"ResourceArn": arn}
    for operation in ("GetResourcePolicy", "DeleteResourcePolicy"):
        assert api.refused(operation, resource)[:2] == (400, "ResourcePolicyNotFoundException")
    for account_id in (MEMBER, STRANGER):
        put = {**resource, "ResourcePolicy": policy(arn, account_id)}
        assert api("PutResourcePolicy", put) == put == api("GetResourcePolicy", resource)
    assert api("DeleteResourcePolicy", resource) == {}
    assert api.refused("GetResourcePolicy", resource)[1] == "ResourcePolicyNotFoundException"


def test_a_policy_that_is_not_valid_changes_nothing(api: Api, create: Callable[..., str]) -> None:
    arn = create("mine")
    api("PutResourcePolicy", {"ResourceArn": arn, "ResourcePolicy": policy(arn)})
    for text in ("{", policy(create("other")), policy(arn).replace("PutAuditEvents", "*")):
        refused = api.refused("PutResourcePolicy", {"ResourceArn": arn, "ResourcePolicy": text})
        assert refused[:2] == (400, "ResourcePolicyNotValidException")
    assert api("GetResourcePolicy", {"ResourceArn": arn})["ResourcePolicy"] == policy(arn)


@pytest.mark.parametrize("operation", ["PutResourcePolicy", "GetResourcePolicy", "DeleteResourcePolicy"])
def test_only_a_channels_owner_sees_and_changes_its_policy(
    api: Api, create: Callable[..., str], operation: str
) -> None:
    arn = create("mine")
    members = {"ResourceArn": arn, **({"ResourcePolicy": policy(arn)} if operation == "PutResourcePolicy" else {})}
    for stranger in ({"account_id": STRANGER}, {"account_id": MEMBER}, {"region": "eu-central-1"}):
        assert api.refused(operation, members, **stranger)[:2] == (400, "ResourceNotFoundException")
    trail = {**members, "ResourceArn": arn.replace(":channel/", ":trail/")}
    assert api.refused(operation, trail)[:2] == (400, "ResourceTypeNotSupportedException")


def test_a_policy_goes_with_its_channel(api: Api, create: Callable[..., str], state: StateStore) -> None:
    arn = create("mine")
    api("PutResourcePolicy", {"ResourceArn": arn, "ResourcePolicy": policy(arn)})
    api("DeleteChannel", {"Channel": arn})
    last = state.configuration.changes_after(0)[-2:]
    assert [(change.kind, change.body) for change in last] == [("channel", None), ("resource-policy", None)]
    assert last[1].id == arn

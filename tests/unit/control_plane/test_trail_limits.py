"""How many there may be: one fewer, as many, and one more (reference §5.7)."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from opentrail.trails.configuration import Kind, trail_body
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, NewChange, StateStore
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.rates import NO_LIMITS
from tests.unit.control_plane.conftest import (
    MANAGEMENT,
    MEMBER,
    ORGANIZATION,
    PORTS,
    SECRET,
    STRANGER,
    Api,
    key_id,
    make_trail,
)

ARN = f"arn:aws:cloudtrail:us-east-1:{STRANGER}:trail/strangers"
BUCKET = {"S3BucketName": "example-trail-logs"}


def create(name: str, **members: Any) -> tuple[str, dict[str, Any]]:
    return "CreateTrail", {"Name": name, **BUCKET, **members}


def too_many(account_id: str, region: str) -> tuple[int, str, str]:
    message = f"User: {account_id} already has 5 trails in {region}."
    return 400, "MaximumNumberOfTrailsExceededException", message


# --- five trails in a region ----------------------------------------------------------------------


def test_an_account_has_five_trails_in_a_region(api: Api) -> None:
    """The stranger has one."""
    for number in range(4):
        api(*create(f"audit-{number}"), account_id=STRANGER)
    for members in ({}, {"IsMultiRegionTrail": True}):
        assert api.refused(*create("audit-5", **members), account_id=STRANGER) == too_many(STRANGER, "us-east-1")
    api(*create("audit-5"), account_id=STRANGER, region="eu-central-1")
    api("DeleteTrail", {"Name": "audit-0"}, account_id=STRANGER)
    api(*create("audit-5"), account_id=STRANGER)
    assert len(api("DescribeTrails", account_id=STRANGER)["trailList"]) == 5


def test_shadow_trails_and_organization_trails_count(api: Api) -> None:
    """The management account has a trail for all regions, one for the organization, and one of its own in each."""
    for region in ("us-east-1", "eu-central-1"):
        for number in range(2):
            api(*create(f"audit-{number}"), region=region)
        assert api.refused(*create("audit-2"), region=region) == too_many(MANAGEMENT, region)
    for number in range(3):
        api(*create(f"audit-{number}"), region="ap-south-1")
    assert api.refused(*create("audit-3"), region="ap-south-1") == too_many(MANAGEMENT, "ap-south-1")


def test_a_multi_region_trail_must_fit_in_every_region(api: Api) -> None:
    for number in range(4):
        api(*create(f"audit-{number}"), account_id=STRANGER, region="eu-central-1")
    api(*create("everywhere", IsMultiRegionTrail=True), account_id=STRANGER)
    refusal = api.refused(*create("everywhere-2", IsMultiRegionTrail=True), account_id=STRANGER)
    assert refusal == too_many(STRANGER, "eu-central-1")
    to_all_regions = {"Name": "strangers", "IsMultiRegionTrail": True}
    assert api.refused("UpdateTrail", to_all_regions, account_id=STRANGER) == too_many(STRANGER, "eu-central-1")
    api("DeleteTrail", {"Name": "audit-0"}, account_id=STRANGER, region="eu-central-1")
    assert api("UpdateTrail", to_all_regions, account_id=STRANGER)["IsMultiRegionTrail"] is True


def test_an_organization_trail_must_fit_in_every_member(api: Api, state: StateStore) -> None:
    """The member has one trail of its own there, and the organization's."""
    for number in range(3):
        api(*create(f"audit-{number}"), account_id=MEMBER)
    assert api.refused(*create("audit-3"), account_id=MEMBER) == too_many(MEMBER, "us-east-1")
    refusal = api.refused(*create("for-all-2", IsOrganizationTrail=True))
    assert refusal == too_many(MEMBER, "us-east-1")
    convert = {"Name": "home-only", "IsOrganizationTrail": True}
    assert api.refused("UpdateTrail", convert) == too_many(MEMBER, "us-east-1")
    api("DeleteTrail", {"Name": "audit-0"}, account_id=MEMBER)
    assert api("UpdateTrail", convert)["IsOrganizationTrail"] is True


def test_who_has_too_many_already_can_still_change_them(api: Api, state: StateStore) -> None:
    """A member that joined with five trails: the organization's is one too many, and nothing is stuck."""
    own = [make_trail(f"own-{number}", MEMBER) for number in range(5)]
    assert ORGANIZATION.member_account_ids >= {MEMBER}
    state.configuration.apply([NewChange(Kind.TRAIL, trail.incarnation, trail_body(trail)) for trail in own])
    for operation, members in (("UpdateTrail", {"S3KeyPrefix": "x"}), ("StartLogging", {}), ("DeleteTrail", {})):
        api(operation, {"Name": "own-0", **members}, account_id=MEMBER)
    assert api("UpdateTrail", {"Name": "for-all", "S3KeyPrefix": "x"})["S3KeyPrefix"] == "x"


def test_five_is_five_however_many_processes_create_at_once(tmp_path: Path) -> None:
    """Two control planes with stores of their own on one database; who came too late looks again."""
    with ExitStack() as stack:
        stores = [open_state_store(f"sqlite:///{tmp_path}/state.db", secret_key=bytes(32)) for _ in range(2)]
        for store in stores:
            stack.callback(store.close)
        stores[0].migrate()
        stores[0].configuration.put_access_key(AccessKey(key_id(STRANGER), SECRET, STRANGER))
        apis = [Api(ControlPlane(store, time.time, PORTS, limits=NO_LIMITS)) for store in stores]
        codes = list(stack.enter_context(ThreadPoolExecutor(8)).map(lambda n: created(apis[n % 2], n), range(16)))
    assert sorted(codes) == ["MaximumNumberOfTrailsExceededException"] * 11 + ["OK"] * 5


def created(api: Api, number: int) -> str:
    """OK, or the code of the refusal. A client tries again after ConflictException, as CloudTrail asks it to."""
    operation, members = create(f"audit-{number}")
    while True:
        answer = json.loads(api.raw(operation, json.dumps(members).encode(), account_id=STRANGER).body)
        code: str = answer.get("__type", "OK")
        if code != "ConflictException":
            return code


# --- selectors ------------------------------------------------------------------------------------


def put(api: Api, members: dict[str, Any]) -> str:
    """OK, or the code of the refusal."""
    answer = api.raw("PutEventSelectors", json.dumps({"TrailName": ARN, **members}).encode(), account_id=STRANGER)
    code: str = json.loads(answer.body).get("__type", "OK")
    return code


def verdict(count: int, limit: int) -> str:
    return "OK" if count <= limit else "InvalidEventSelectorsException"


@pytest.mark.parametrize("count", [4, 5, 6])
def test_five_basic_selectors(api: Api, count: int) -> None:
    assert put(api, {"EventSelectors": [{}] * count}) == verdict(count, 5)


@pytest.mark.parametrize("count", [249, 250, 251])
@pytest.mark.parametrize("selectors", [1, 5])
def test_two_hundred_and_fifty_data_resources_over_all_selectors(api: Api, count: int, selectors: int) -> None:
    values = [f"arn:aws:s3:::bucket-{number}/" for number in range(count)]
    parts = [values[part::selectors] for part in range(selectors)]
    basic = [{"DataResources": [{"Type": "AWS::S3::Object", "Values": part}]} for part in parts]
    assert put(api, {"EventSelectors": basic}) == verdict(count, 250)


def test_all_buckets_do_not_count(api: Api) -> None:
    values = [*(f"arn:aws:s3:::bucket-{number}/" for number in range(250)), "arn:aws:s3"]
    basic = [{"DataResources": [{"Type": "AWS::S3::Object", "Values": values}]}]
    assert put(api, {"EventSelectors": basic}) == "OK"


@pytest.mark.parametrize("count", [499, 500, 501])
@pytest.mark.parametrize("selectors", [1, 4])
def test_five_hundred_values_over_all_advanced_selectors(api: Api, count: int, selectors: int) -> None:
    """Each selector has two values besides those that are dealt out here."""
    names = [f"Event{number}" for number in range(count - 2 * selectors)]
    advanced = [
        {
            "FieldSelectors": [
                {"Field": "eventCategory", "Equals": ["Data"]},
                {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
                {"Field": "eventName", "Equals": names[part::selectors]},
            ]
        }
        for part in range(selectors)
    ]
    assert put(api, {"AdvancedEventSelectors": advanced}) == verdict(count, 500)


# --- tags -----------------------------------------------------------------------------------------


def tags(count: int, named: str = "key") -> list[dict[str, str]]:
    return [{"Key": f"{named}-{number}", "Value": "x"} for number in range(count)]


@pytest.mark.parametrize("count", [49, 50, 51])
def test_fifty_tags_of_a_new_trail(api: Api, count: int) -> None:
    operation, members = create("audit", TagsList=tags(count))
    if count > 50:
        assert api.refused(operation, members, account_id=STRANGER)[:2] == (400, "TagsLimitExceededException")
        assert api.refused("GetTrail", {"Name": "audit"}, account_id=STRANGER)[1] == "TrailNotFoundException"
    else:
        assert api(operation, members, account_id=STRANGER)["Name"] == "audit"


@pytest.mark.parametrize("there", [0, 1, 49, 50])
def test_fifty_tags_together(api: Api, there: int) -> None:
    own = {"account_id": STRANGER}
    if there:
        api("AddTags", {"ResourceId": ARN, "TagsList": tags(there)}, **own)
    if there < 50:
        api("AddTags", {"ResourceId": ARN, "TagsList": tags(50 - there, "more")}, **own)
    one_more = {"ResourceId": ARN, "TagsList": tags(1, "last")}
    assert api.refused("AddTags", one_more, **own)[:2] == (400, "TagsLimitExceededException")
    replaced = api("ListTags", {"ResourceIdList": [ARN]}, **own)["ResourceTagList"][0]["TagsList"]
    assert len(replaced) == 50
    assert api("AddTags", {"ResourceId": ARN, "TagsList": replaced}, **own) == {}

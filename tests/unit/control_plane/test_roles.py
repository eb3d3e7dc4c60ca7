"""What a key of each role may do, and who it is."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from opentrail.trails.caller import Caller
from opentrail_backends.state.port import AccessKey, StateStore
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model import operation_names
from opentrail_control_plane.operations.context import Identity
from opentrail_control_plane.roles import authorize, is_read
from tests.unit.control_plane.conftest import MANAGEMENT, SECRET, Api, signed_request

CALLER = Caller(MANAGEMENT, "us-east-1")
READER = Identity("AKIAREADER", "rita", "read-only")


def refusal(operation: str, members: dict, identity: Identity = READER) -> str | None:
    """What a refusal says; None if there is none."""
    try:
        authorize("cloudtrail", operation, members, CALLER, identity)
    except ApiError as error:
        return error.message
    return None


def test_a_read_only_key_reads_and_does_nothing_else() -> None:
    reads = {name for name in operation_names("cloudtrail") if refusal(name, {}) is None}
    assert {"DescribeTrails", "GetTrailStatus", "ListTags", "LookupEvents", "SearchSampleQueries"} <= reads
    writes = set(operation_names("cloudtrail")) - reads
    assert {"CreateTrail", "StopLogging", "PutEventSelectors", "AddTags", "StartQuery", "DeleteChannel"} <= writes
    assert not any(is_read(name) for name in writes)
    assert refusal("PutAuditEvents", {}) is not None


@pytest.mark.parametrize("role", ["", "Admin", "auditor"])
def test_a_role_that_is_not_known_may_only_read(role: str) -> None:
    assert refusal("StopLogging", {}, Identity("AKIA", "", role)) is not None
    assert refusal("ListTrails", {}, Identity("AKIA", "", role)) is None


def test_an_admin_may_do_everything() -> None:
    assert [name for name in operation_names("cloudtrail") if refusal(name, {}, Identity("AKIA", "", "admin"))] == []


@pytest.mark.parametrize(
    ("members", "resource"),
    [
        ({"Name": "audit"}, "arn:aws:cloudtrail:us-east-1:111122223333:trail/audit"),
        ({"TrailName": "arn:aws:cloudtrail:eu-west-1:1:trail/x"}, "arn:aws:cloudtrail:eu-west-1:1:trail/x"),
        ({}, "*"),
    ],
)
def test_the_refusal_says_who_may_not_do_what_on_what(members: dict, resource: str) -> None:
    assert refusal("StopLogging", members) == (
        "User: arn:aws:iam::111122223333:user/rita is not authorized to perform: cloudtrail:StopLogging on resource: "
        f"{resource} because no identity-based policy allows the cloudtrail:StopLogging action"
    )


def test_input_is_validated_before_the_role_counts(api: Api, state: StateStore) -> None:
    state.configuration.put_access_key(AccessKey("AKIAREADER", SECRET, MANAGEMENT, "read-only", "rita"))
    signing = {"access_key_id": "AKIAREADER"}
    assert api.refused("StopLogging", {}, **signing)[1] == "ValidationException"
    assert api.refused("StopLogging", {"Name": "home-only"}, **signing)[:2] == (403, "AccessDeniedException")
    assert api("ListTrails", **signing)["Trails"]


@pytest.mark.parametrize(
    ("name", "arn", "user_id"),
    [
        ("rita", "arn:aws:iam::111122223333:user/rita", "AIDA"),
        ("", "arn:aws:iam::111122223333:root", MANAGEMENT),
    ],
)
def test_who_a_key_is(api: Api, state: StateStore, name: str, arn: str, user_id: str) -> None:
    state.configuration.put_access_key(AccessKey("AKIAREADER", SECRET, MANAGEMENT, "read-only", name))
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    answer = api.control_plane.answer(signed_request(body, headers=form, service="sts", access_key_id="AKIAREADER"))
    found = {element.tag.rpartition("}")[2]: element.text for element in ET.fromstring(answer.body).iter()}
    assert found["Arn"] == arn
    assert (found["UserId"] or "").startswith(user_id)
    assert len(found["UserId"] or "") == (21 if name else 12)

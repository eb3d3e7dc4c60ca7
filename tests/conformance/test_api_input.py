"""Every operation of CloudTrail's model, asked with valid input and with every kind of invalid one.

The judge is botocore's model, read by this test for itself: each wrong input must be refused by an error that the
operation's model lists, or that all of AWS's services have; no valid one may be refused as invalid; nothing may be 500.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.protocol import Answer
from opentrail_control_plane.rates import NO_LIMITS
from tests.conformance.api_inputs import Mutation, full_input, least_input, mutations
from tests.unit.control_plane.conftest import MANAGEMENT, PORTS, SECRET, TARGET, key_id, signed_request

COMMON = frozenset({"ValidationException", "SerializationException", "AccessDeniedException"})
"""Errors that every service may answer (reference §5.1)."""
CLOUDTRAIL = boto3.client("cloudtrail", region_name="us-east-1").meta.service_model
AUDIT_EVENTS = boto3.client("cloudtrail-data", region_name="us-east-1").meta.service_model


@pytest.fixture
def control_plane() -> Iterator[ControlPlane]:
    import time

    state = open_state_store("sqlite://", secret_key=bytes(32))
    state.migrate()
    state.configuration.put_access_key(AccessKey(key_id(MANAGEMENT), SECRET, MANAGEMENT))
    yield ControlPlane(state, time.time, PORTS, limits=NO_LIMITS)
    state.close()


def ask(control_plane: ControlPlane, operation: str, body: Any) -> Answer:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET["cloudtrail"] + operation}
    return control_plane.answer(signed_request(json.dumps(body).encode(), headers=headers))


def modelled(operation: str) -> frozenset[str]:
    return COMMON | {shape.name for shape in CLOUDTRAIL.operation_model(operation).error_shapes}


def test_the_model_has_all_operations() -> None:
    assert len(CLOUDTRAIL.operation_names) >= 60


@pytest.mark.parametrize("operation", CLOUDTRAIL.operation_names)
def test_a_valid_input_is_not_refused_as_invalid(control_plane: ControlPlane, operation: str) -> None:
    shape = CLOUDTRAIL.operation_model(operation).input_shape
    for body in (full_input(shape), least_input(shape)):
        answer = ask(control_plane, operation, body)
        if answer.status != 200:
            error = json.loads(answer.body)
            assert answer.status in {400, 403}, error
            assert error["__type"] in modelled(operation), error
            assert "validation error" not in error["message"], error
            assert error["__type"] != "SerializationException", error


@pytest.mark.parametrize("operation", CLOUDTRAIL.operation_names)
def test_every_invalid_input_is_refused_with_a_modelled_error(control_plane: ControlPlane, operation: str) -> None:
    shape = CLOUDTRAIL.operation_model(operation).input_shape
    seen = set()
    for mutation in mutations(shape):
        answer = ask(control_plane, operation, mutation.body)
        error = json.loads(answer.body)
        assert answer.status == 400, (mutation, answer.body[:300])
        assert error["__type"] in modelled(operation), (mutation, error)
        _check_what_is_said(mutation, error)
        seen.add(mutation.what)
    assert "wrong type" in seen


def _check_what_is_said(mutation: Mutation, error: dict[str, str]) -> None:
    if mutation.what == "wrong type":
        assert error["__type"] == "SerializationException", (mutation, error)
        return
    assert error["__type"] not in {"SerializationException", "UnsupportedOperationException"}, (mutation, error)
    assert "validation error" in error["message"], (mutation, error)
    assert mutation.said in error["message"], (mutation, error)
    member = str(mutation.path[0])
    assert f"at '{member[0].lower()}{member[1:]}" in error["message"], (mutation, error)
    if mutation.what in {"missing", "null element"}:
        return
    if mutation.what in {"bad enum", "bad pattern", "too great", "too small"} and len(mutation.path) == 1:
        assert error["message"].startswith("1 validation error detected: Value '"), (mutation, error)


def test_the_mutations_are_of_every_kind_and_at_every_depth() -> None:
    kinds: dict[str, int] = {}
    depths = set()
    for operation in CLOUDTRAIL.operation_names:
        for mutation in mutations(CLOUDTRAIL.operation_model(operation).input_shape):
            kinds[mutation.what] = kinds.get(mutation.what, 0) + 1
            depths.add(len(mutation.path))
    assert set(kinds) >= {
        "wrong type", "missing", "null element", "too short", "too long", "too small", "too great", "bad enum",
        "bad pattern", "bad enum key", "too short key",
    }  # fmt: skip
    assert sum(kinds.values()) > 2_000
    assert depths >= set(range(7))


@pytest.mark.parametrize(
    ("operation", "body", "code"),
    [
        ("LookupEvents", {"MaxResults": 51}, "InvalidMaxResultsException"),
        ("LookupEvents", {"MaxResults": 0}, "InvalidMaxResultsException"),
        ("LookupEvents", {"EventCategory": "management"}, "InvalidEventCategoryException"),
        (
            "LookupEvents",
            {"LookupAttributes": [{"AttributeKey": "eventName", "AttributeValue": "x"}]},
            "InvalidLookupAttributesException",
        ),
        ("LookupEvents", {"LookupAttributes": [{"AttributeKey": "EventName"}]}, "ValidationException"),
        (
            "PutEventSelectors",
            {"TrailName": "trail", "EventSelectors": [{"ReadWriteType": "read-only"}]},
            "InvalidEventSelectorsException",
        ),
        (
            "PutEventSelectors",
            {"EventSelectors": [{"ReadWriteType": "read-only"}]},
            "ValidationException",
        ),
        (
            "PutInsightSelectors",
            {"TrailName": "trail", "InsightSelectors": [{"InsightType": "Other"}]},
            "InvalidInsightSelectorsException",
        ),
        ("AddTags", {"ResourceId": "arn", "TagsList": [{"Key": ""}]}, "InvalidTagParameterException"),
        ("AddTags", {"ResourceId": "arn", "TagsList": [{"Key": "k"}] * 201}, "TagsLimitExceededException"),
        ("RemoveTags", {"ResourceId": "arn", "TagsList": [{"Key": "k"}] * 201}, "InvalidTagParameterException"),
        ("GetChannel", {"Channel": "a b c"}, "ChannelARNInvalidException"),
        ("PutResourcePolicy", {"ResourceArn": "a b", "ResourcePolicy": "{}"}, "ResourceARNNotValidException"),
        ("ListChannels", {"NextToken": "a"}, "InvalidNextTokenException"),
        ("ListDashboards", {"NextToken": "a"}, "ValidationException"),
        ("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": "12"}, "ValidationException"),
    ],
)
def test_an_operations_own_error_is_given_where_it_has_one(
    control_plane: ControlPlane, operation: str, body: dict[str, Any], code: str
) -> None:
    assert json.loads(ask(control_plane, operation, body).body)["__type"] == code


def test_all_that_is_wrong_is_said_at_once(control_plane: ControlPlane) -> None:
    body = {"MaxResults": 0, "LookupAttributes": [{"AttributeKey": "x", "AttributeValue": ""}], "EventCategory": "y"}
    error = json.loads(ask(control_plane, "LookupEvents", body).body)
    assert error["__type"] == "ValidationException"
    assert error["message"].startswith("4 validation errors detected: ")
    for value, place, constraint in (
        ("0", "maxResults", "have value greater than or equal to 1"),
        ("x", "lookupAttributes.1.member.attributeKey", "satisfy enum value set: [EventId, EventName, "),
        ("", "lookupAttributes.1.member.attributeValue", "have length greater than or equal to 1"),
        ("y", "eventCategory", "satisfy enum value set: [insight]"),
    ):
        said = f"Value '{value}' at '{place}' failed to satisfy constraint: Member must {constraint}"
        assert said in error["message"]


def test_put_audit_events_is_validated_like_the_others(control_plane: ControlPlane) -> None:
    operation = AUDIT_EVENTS.operation_model("PutAuditEvents")
    listed = COMMON | {shape.name for shape in operation.error_shapes}
    query = "channelArn=arn%3Aaws%3Acloudtrail%3Aus-east-1%3A111122223333%3Achannel%2Fx"
    bodies = [
        (mutation.body, query)
        for mutation in mutations(operation.input_shape)
        if mutation.path and mutation.path[0] == "auditEvents"
    ]
    good = {"auditEvents": [{"id": "1", "eventData": "{}"}]}
    bodies += [(good, ""), (good, "channelArn=x"), (good, query + "&externalId=a"), (good, query + "&externalId=a%21b")]
    for body, asked in bodies:
        request = signed_request(
            json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            service="cloudtrail-data",
            path="/PutAuditEvents",
            query=asked,
        )
        answer = control_plane.answer(request)
        error = json.loads(answer.body)
        assert answer.status == 400, (body, asked, error)
        assert error["__type"] in listed - {"UnsupportedOperationException"}, (body, asked, error)
        assert answer.headers["x-amzn-ErrorType"] == error["__type"]
        assert answer.content_type == "application/json"

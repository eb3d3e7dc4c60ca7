"""The records of the API's own calls: as CloudTrail writes them, and as our own intake takes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.events.record import MAX_EVENT_BYTES, CheckedRecord, check_record
from opentrail_control_plane.call_record import MAX_ELEMENTS_BYTES, Call, call_record
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.model import find_operation, operation_names
from opentrail_control_plane.operations.context import Identity
from opentrail_control_plane.signature_v4 import TlsDetails
from tests.conformance.api_inputs import full_input

ACCOUNT = "111122223333"
ALICE = Identity("AKIAEXAMPLE", "alice", "admin")
NOW = 1_767_225_600


def the_call(name: str = "StopLogging", service: str = "cloudtrail", **changes: Any) -> Call:
    operation = find_operation(service, name)
    assert operation is not None
    defaults: dict[str, Any] = {
        "operation": operation,
        "account_id": ACCOUNT,
        "region": "eu-central-1",
        "identity": ALICE,
        "request_id": "11111111-1111-4111-8111-111111111111",
        "event_id": "22222222-2222-4222-8222-222222222222",
        "at": NOW,
        "source_address": "192.0.2.7",
        "user_agent": "aws-cli/1.45",
        "host": "cloudtrail.example.com",
        "tls": None,
        "members": {"Name": "audit"},
        "output": {},
        "error": None,
    }
    return Call(**(defaults | changes))


def checked(record: bytes) -> CheckedRecord:
    verdict = check_record(
        record,
        account_id=ACCOUNT,
        regions=["eu-central-1"],
        default_region="eu-central-1",
        now=NOW,
        new_event_id=lambda: "none is missing",
    )
    assert isinstance(verdict, CheckedRecord), verdict
    assert verdict.raw == record, "nothing that the service owns is missing"
    return verdict


def test_a_call_that_changed_something() -> None:
    record = call_record(the_call())
    checked(record)
    assert json.loads(record) == {
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser",
            "principalId": json.loads(record)["userIdentity"]["principalId"],
            "arn": "arn:aws:iam::111122223333:user/alice",
            "accountId": ACCOUNT,
            "accessKeyId": "AKIAEXAMPLE",
            "userName": "alice",
        },
        "eventTime": "2026-01-01T00:00:00Z",
        "eventSource": "cloudtrail.amazonaws.com",
        "eventName": "StopLogging",
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "192.0.2.7",
        "userAgent": "aws-cli/1.45",
        "requestParameters": {"name": "audit"},
        "responseElements": None,
        "requestID": "11111111-1111-4111-8111-111111111111",
        "eventID": "22222222-2222-4222-8222-222222222222",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }


def test_answers_are_shown_of_writes_only() -> None:
    output = {"TrailARN": "arn", "Name": "audit"}
    assert json.loads(call_record(the_call("CreateTrail", output=output)))["responseElements"] == {
        "trailARN": "arn",
        "name": "audit",
    }
    record = json.loads(call_record(the_call("GetTrail", output={"Trail": {"Name": "audit"}})))
    assert (record["readOnly"], record["responseElements"]) == (True, None)
    assert json.loads(call_record(the_call("ListTrails", members={})))["requestParameters"] is None


def test_a_call_that_was_refused() -> None:
    error = ApiError("TrailNotFoundException", "Unknown trail: audit for the user: 111122223333")
    record = json.loads(call_record(the_call(output=None, error=error)))
    assert (record["errorCode"], record["errorMessage"]) == (error.code, error.message)
    assert record["responseElements"] is None
    denied = the_call(output=None, members=None, error=ApiError("AccessDeniedException", "no", 403))
    record = json.loads(call_record(denied))
    assert (record["errorCode"], record["requestParameters"]) == ("AccessDenied", None)


def test_root_and_sessions() -> None:
    record = json.loads(call_record(the_call(identity=Identity("AKIAROOT", "", "admin"))))
    assert record["userIdentity"] == {
        "type": "Root",
        "principalId": ACCOUNT,
        "arn": "arn:aws:iam::111122223333:root",
        "accountId": ACCOUNT,
        "accessKeyId": "AKIAROOT",
    }
    session = call_record(the_call(identity=Identity("ASIAEXAMPLE", "alice", "admin", NOW - 60)))
    checked(session)
    assert json.loads(session)["userIdentity"]["sessionContext"] == {
        "attributes": {"creationDate": "2025-12-31T23:59:00Z", "mfaAuthenticated": "false"}
    }


def test_encryption_is_told_where_there_is_some() -> None:
    record = call_record(the_call(tls=TlsDetails("TLSv1.3", "TLS_AES_256_GCM_SHA384")))
    checked(record)
    assert json.loads(record)["tlsDetails"] == {
        "tlsVersion": "TLSv1.3",
        "cipherSuite": "TLS_AES_256_GCM_SHA384",
        "clientProvidedHostHeader": "cloudtrail.example.com",
    }


def test_secrets_are_in_no_record() -> None:
    given = {
        "Credentials": {
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": "a-secret",
            "SessionToken": "a-token",
            "Expiration": datetime(2026, 1, 1, 12, tzinfo=UTC),
        }
    }
    record = call_record(the_call("GetSessionToken", "sts", members={}, output=given))
    checked(record)
    assert b"a-secret" not in record
    assert b"a-token" not in record
    assert json.loads(record)["responseElements"] == {
        "credentials": {"accessKeyId": "ASIAEXAMPLE", "expiration": "Jan 1, 2026, 12:00:00 PM"}
    }
    assert json.loads(record)["eventSource"] == "sts.amazonaws.com"


def test_what_is_too_large_is_omitted_or_cut_and_the_record_can_be_taken() -> None:
    values = ["x" * 2_000] * 100
    selectors = [{"FieldSelectors": [{"Field": "resources.ARN", "Equals": values}]}]
    members = {"TrailName": "audit", "AdvancedEventSelectors": selectors}
    output = {"TrailARN": "arn", "AdvancedEventSelectors": selectors}
    error = ApiError("InvalidEventSelectorsException", "é" * 1_000)
    record = call_record(the_call("PutEventSelectors", members=members, output=output, user_agent="u" * 5_000))
    checked(record)
    found = json.loads(record)
    for field in ("requestParameters", "responseElements"):
        size = found[field].pop("originalSize")
        assert size > MAX_ELEMENTS_BYTES
        assert found[field] == {"omitted": True, "reason": f"{field} too large"}
    assert len(found["userAgent"]) == 1024
    refused = json.loads(call_record(the_call("PutEventSelectors", members={}, output=None, error=error)))
    assert refused["errorMessage"] == "é" * 512


@given(st.integers(MAX_ELEMENTS_BYTES - 40, MAX_ELEMENTS_BYTES + 10))
def test_the_limit_of_parameters_is_exact(length: int) -> None:
    found = json.loads(call_record(the_call(members={"Name": "x" * length})))["requestParameters"]
    assert ("omitted" in found) is (len('{"name":""}') + length > MAX_ELEMENTS_BYTES)


@pytest.mark.parametrize("name", operation_names("cloudtrail"))
def test_every_operation_can_be_recorded(name: str) -> None:
    operation = find_operation("cloudtrail", name)
    assert operation is not None
    assert operation.input_shape is not None
    from opentrail_control_plane.model import read_input

    members = read_input(operation, full_input(operation.input_shape))
    record = call_record(the_call(name, members=members))
    checked(record)
    assert json.loads(record)["readOnly"] is name.startswith(("Get", "List", "Describe", "Lookup", "Search"))
    assert len(record) < MAX_EVENT_BYTES


@given(st.text(max_size=3_000), st.text(max_size=3_000), st.text(max_size=50))
def test_no_text_makes_a_record_that_is_not_taken(agent: str, said: str, name: str) -> None:
    error = ApiError("ValidationException", said)
    checked(call_record(the_call(user_agent=agent, members={"Name": name}, output=None, error=error)))

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace

import pytest

from opentrail_backends.state.port import AccessKey, StateError, StateStore
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.model import operation_names
from opentrail_control_plane.operations import OPERATIONS
from opentrail_control_plane.signature_v4 import Request
from tests.unit.control_plane.conftest import (
    MANAGEMENT,
    MEMBER,
    PORTS,
    STRANGER,
    TARGET,
    Api,
    key_id,
    signed_request,
)

HEADERS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET["cloudtrail"] + "ListTrails"}


@pytest.fixture
def good() -> Request:
    return signed_request(b"{}", headers=HEADERS)


def code(api: Api, request: Request) -> tuple[int, str]:
    answer = api.control_plane.answer(request)
    return answer.status, json.loads(answer.body)["__type"]


def with_header(request: Request, **headers: str | None) -> Request:
    changed = {**request.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return replace(request, headers={name: value for name, value in changed.items() if value is not None})


def test_a_good_request_is_answered(api: Api, good: Request) -> None:
    assert api.control_plane.answer(good).status == 200


def test_without_a_signature(api: Api, good: Request) -> None:
    assert code(api, with_header(good, authorization=None)) == (403, "MissingAuthenticationTokenException")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer abc",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/cloudtrail/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/cloudtrail/other, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential, SignedHeaders, Signature",
    ],
)
def test_an_authorization_that_cannot_be_read(api: Api, good: Request, authorization: str) -> None:
    assert code(api, with_header(good, authorization=authorization)) == (403, "IncompleteSignature")


@pytest.mark.parametrize("date", [None, "", "20260101", "Thu, 01 Jan 2026 00:00:00 GMT", "20261301T000000Z"])
def test_a_date_that_is_missing_or_unreadable(api: Api, good: Request, date: str | None) -> None:
    assert code(api, with_header(good, x_amz_date=date)) == (403, "IncompleteSignature")


def test_an_unknown_key_and_a_session_token_that_we_never_gave(api: Api) -> None:
    unknown = signed_request(b"{}", headers=HEADERS, account_id="999999999999")
    assert code(api, unknown) == (403, "UnrecognizedClientException")
    with_token = signed_request(b"{}", headers=HEADERS, token="a-session-token")
    assert code(api, with_token) == (403, "UnrecognizedClientException")


def test_another_secret(api: Api) -> None:
    request = signed_request(b"{}", headers=HEADERS, secret="x" * 40)
    assert code(api, request) == (403, "InvalidSignatureException")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(lambda r: replace(r, body=b'{"NextToken":"x"}'), id="body"),
        pytest.param(lambda r: replace(r, query="a=b"), id="query"),
        pytest.param(lambda r: with_header(r, host="elsewhere"), id="host"),
        pytest.param(lambda r: with_header(r, x_amz_target=TARGET["cloudtrail"] + "DescribeTrails"), id="target"),
        pytest.param(lambda r: with_header(r, content_type="application/x-amz-json-1.1; a=b"), id="content type"),
        pytest.param(lambda r: with_header(r, x_amz_more="1"), id="a header that is not signed"),
        pytest.param(lambda r: with_header(r, host=None), id="a signed header is missing"),
        pytest.param(lambda r: with_header(r, x_amz_content_sha256="UNSIGNED-PAYLOAD"), id="an unsigned payload"),
    ],
)
def test_what_was_changed_after_signing(api: Api, good: Request, changed) -> None:  # type: ignore[no-untyped-def]
    assert code(api, changed(good)) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("claimed", ["UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "0" * 64, "é"])
def test_a_hash_of_the_body_that_is_not_the_bodys(api: Api, claimed: str) -> None:
    """Signed with it, as clients of S3 do: here it would let anybody change the body."""
    request = signed_request(b"{}", headers={**HEADERS, "X-Amz-Content-SHA256": claimed})
    answer = api.control_plane.answer(request)
    assert (answer.status, json.loads(answer.body)["__type"]) == (403, "InvalidSignatureException")
    assert "SHA-256 hash of the body" in json.loads(answer.body)["message"]


def test_each_changed_digit_of_the_signature(api: Api, good: Request) -> None:
    authorization = good.headers["authorization"]
    end = len(authorization)
    for position in range(end - 64, end):
        digit = "0" if authorization[position] != "0" else "1"
        forged = authorization[:position] + digit + authorization[position + 1 :]
        assert code(api, with_header(good, authorization=forged)) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("header", ["host", "x-amz-date", "x-amz-target"])
def test_a_header_left_out_of_the_signature(api: Api, good: Request, header: str) -> None:
    authorization = good.headers["authorization"]
    signed = re.search(r"SignedHeaders=([^,]+)", authorization)
    assert signed is not None
    fewer = ";".join(name for name in signed[1].split(";") if name != header)
    request = with_header(good, authorization=authorization.replace(signed[1], fewer))
    assert code(api, request) == (403, "InvalidSignatureException")


@pytest.mark.parametrize(("offset", "accepted"), [(-895, True), (895, True), (-905, False), (905, False)])
def test_a_clock_may_differ_by_fifteen_minutes(
    api: Api, clock: SimpleNamespace, good: Request, offset: float, accepted: bool
) -> None:
    clock.offset = offset
    answer = api.control_plane.answer(good)
    assert (answer.status == 200) is accepted
    if not accepted:
        error = json.loads(answer.body)
        assert error["__type"] == "InvalidSignatureException"
        assert ("expired" if offset > 0 else "not yet current") in error["message"]


@pytest.mark.parametrize(
    "scope",
    [
        {"service": "s3"},
        {"service": "sts"},
        {"service": "cloudtrail-data"},
        {"region": "nowhere"},
        {"region": ""},
        {"region": "us-west-2"},
        {"region": "US-EAST-1"},
    ],
)
def test_a_signature_for_another_service_or_a_region_that_there_is_not(api: Api, scope: dict[str, str]) -> None:
    assert code(api, signed_request(b"{}", headers=HEADERS, **scope)) == (403, "InvalidSignatureException")


def test_a_signature_that_is_moved_to_another_region_service_day_or_account(api: Api, state: StateStore) -> None:
    state.configuration.put_access_key(AccessKey(key_id(MEMBER), "another-secret", MEMBER))
    good = signed_request(b"{}", headers=HEADERS)
    authorization = good.headers["authorization"]
    day = authorization.split("/")[1]
    for ours, theirs in (
        ("/us-east-1/", "/eu-central-1/"),
        ("/cloudtrail/", "/cloudtrail-data/"),
        (key_id(MANAGEMENT), key_id(MEMBER)),
        (day, f"{int(day) + 1}"),
    ):
        moved = with_header(good, authorization=authorization.replace(ours, theirs))
        assert code(api, moved) == (403, "InvalidSignatureException")
    other_day = with_header(good, authorization=authorization.replace(day, f"{int(day) + 1}"))
    assert b"Date in Credential scope does not match" in api.control_plane.answer(other_day).body


def test_an_account_reaches_nothing_of_anothers(api: Api) -> None:
    arn = f"arn:aws:cloudtrail:us-east-1:{MANAGEMENT}:trail/home-only"
    assert api("GetTrail", {"Name": arn})["Trail"]["TrailARN"] == arn
    for operation in ("GetTrail", "GetTrailStatus", "StopLogging", "DeleteTrail"):
        status, kind, _ = api.refused(operation, {"Name": arn}, account_id=STRANGER)
        assert (status, kind) == (400, "TrailNotFoundException")


@pytest.mark.parametrize("signature", ["é" * 64, "", "0", "\x80", "A" * 100_000])
def test_a_signature_that_is_no_text_of_a_signature(api: Api, good: Request, signature: str) -> None:
    authorization = good.headers["authorization"]
    forged = with_header(good, authorization=authorization[:-64] + signature)
    assert code(api, forged)[0] == 403


@pytest.mark.parametrize("part", ["AKIA111122223333", "us-east-1", "cloudtrail", "host"])
def test_parts_of_the_authorization_that_are_no_ascii(api: Api, good: Request, part: str) -> None:
    forged = with_header(good, authorization=good.headers["authorization"].replace(part, "\xe9\x80"))
    assert code(api, forged)[0] == 403


@pytest.mark.parametrize("date", ["２０260101T000000Z", "20260101T000000Z\n", "20260101T246000Z"])
def test_a_date_in_other_digits_is_none(api: Api, good: Request, date: str) -> None:
    assert code(api, with_header(good, x_amz_date=date)) == (403, "IncompleteSignature")


def test_a_signature_in_the_query_is_refused_clearly(api: Api) -> None:
    query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Date=b&X-Amz-Signature=00"
    answer = api.control_plane.answer(Request("POST", "/", query, {"host": "x", **lower(HEADERS)}, b"{}"))
    error = json.loads(answer.body)
    assert (answer.status, error["__type"]) == (403, "IncompleteSignature")
    assert "query string" in error["message"]


def test_the_query_is_signed_byte_for_byte(api: Api) -> None:
    data = {"headers": {"Content-Type": "application/json"}, "service": "cloudtrail-data", "path": "/PutAuditEvents"}
    signed = signed_request(b"{}", query="channelArn=arn%3Aaws&externalId=%FF", **data)
    for changed in ("channelArn=arn%3Aaws&externalId=%FE", "channelArn=arn%3Aaws&externalId=%EF%BF%BD"):
        assert code(api, replace(signed, query=changed)) == (403, "InvalidSignatureException")
    assert code(api, signed) == (400, "MalformedHttpRequestException")
    many = "&".join(f"a{number}=1" for number in range(5_000))
    answer = api.control_plane.answer(signed_request(b"{}", query=many, **data))
    assert (answer.status, b"more than 100 fields" in answer.body) == (403, True)


def test_a_request_may_be_sent_again_as_it_is_while_its_date_is_good(api: Api, good: Request) -> None:
    assert [api.control_plane.answer(good).status for _ in range(2)] == [200, 200]


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_operations_of_the_model_that_are_not_answered_are_unsupported(api: Api) -> None:
    operations = operation_names("cloudtrail")
    assert len(operations) >= 60
    for name in ("ListDashboards", "ListImports", "ListEventDataStores", "StartImport"):
        assert ("cloudtrail", name) not in OPERATIONS
        status, kind, message = api.refused(name)
        assert (status, kind) == (400, "UnsupportedOperationException")
        assert message.startswith(f"{name} is not supported. OpenTrail ")


def test_unknown_operations_targets_and_paths(api: Api, good: Request) -> None:
    assert api.refused("NoSuchThing")[:2] == (404, "UnknownOperationException")
    strange = signed_request(b"{}", headers={**HEADERS, "X-Amz-Target": "Other_2013.ListTrails"})
    assert code(api, strange) == (404, "UnknownOperationException")
    assert code(api, with_header(good, x_amz_target=None)) == (404, "UnknownOperationException")
    assert code(api, replace(good, method="GET")) == (404, "UnknownOperationException")
    assert code(api, replace(good, path="/AWSLogs")) == (404, "UnknownOperationException")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'"x"', b'{"StartTime": NaN}', b"\xff", b"[" * 100_000, b'{"StartTime":"yesterday"}',
     b'{"StartTime": true}', b'{"EndTime": 1e300}', b'{"StartTime": {}}'],
)  # fmt: skip
def test_a_body_that_cannot_be_read(api: Api, body: bytes) -> None:
    answer = api.raw("ListPublicKeys", body)
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "SerializationException")


def test_members_that_are_missing_or_of_another_type(api: Api) -> None:
    assert api.refused("GetTrail")[:2] == (400, "ValidationException")
    assert api.refused("GetTrail", {"Name": 7})[:2] == (400, "SerializationException")
    assert api.refused("DescribeTrails", {"trailNameList": "x"})[:2] == (400, "SerializationException")
    assert api.refused("DescribeTrails", {"trailNameList": [1]})[:2] == (400, "SerializationException")
    assert api("DescribeTrails", {"trailNameList": None, "unheardOf": 1})["trailList"]


def test_who_am_i(api: Api) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    body = b"Action=GetCallerIdentity&Version=2011-06-15"
    answer = api.control_plane.answer(signed_request(body, headers=form, service="sts"))
    assert answer.status == 200
    account = ET.fromstring(answer.body).find(".//{*}Account")
    assert account is not None
    assert account.text == "111122223333"
    for body, kind in ((b"Action=Nothing", "InvalidAction"), (b"Action", "MalformedHttpRequestException")):
        answer = api.control_plane.answer(signed_request(body, headers=form, service="sts"))
        assert kind.encode() in answer.body


def test_a_state_store_that_does_not_answer_is_no_refusal_of_the_caller(good: Request) -> None:
    import time

    def unreachable(_: str) -> None:
        raise StateError("the database is away")

    state = SimpleNamespace(configuration=SimpleNamespace(access_key=unreachable), rates=None)
    answer = ControlPlane(state, time.time, PORTS).answer(good)  # type: ignore[arg-type]
    assert (answer.status, json.loads(answer.body)["__type"]) == (503, "ServiceUnavailable")
    assert b"database" not in answer.body


def test_a_fault_of_ours_says_nothing_of_our_insides(good: Request, caplog: pytest.LogCaptureFixture) -> None:
    import time

    state = SimpleNamespace(configuration=SimpleNamespace(access_key=lambda _: 7), rates=None)
    answer = ControlPlane(state, time.time, PORTS).answer(good)  # type: ignore[arg-type]
    assert (answer.status, json.loads(answer.body)["__type"]) == (500, "InternalFailure")
    assert answer.request_id in caplog.text
    assert "access_key" not in answer.body.decode()

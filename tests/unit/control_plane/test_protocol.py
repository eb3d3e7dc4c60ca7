"""Which operation a request is for, in which form it is read and answered."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from opentrail_control_plane.protocol import Target, read_target
from opentrail_control_plane.signature_v4 import Request
from tests.unit.control_plane.conftest import TARGET, Api, signed_request

JSON = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded"


def request(path: str = "/", body: bytes = b"", method: str = "POST", **headers: str) -> Request:
    return Request(method, path, "", {name.replace("_", "-"): value for name, value in headers.items()}, body)


@pytest.mark.parametrize(
    ("asked", "target"),
    [
        (
            request(x_amz_target=TARGET["cloudtrail"] + "GetTrail", content_type=JSON),
            Target("cloudtrail", "GetTrail"),
        ),
        (request(x_amz_target="CloudTrail_20131101.GetTrail", content_type=JSON), Target("cloudtrail", "GetTrail")),
        (
            request(x_amz_target=TARGET["organizations"] + "ListAccounts", content_type=f"{JSON.upper()} ; charset=x"),
            Target("organizations", "ListAccounts"),
        ),
        (request("/PutAuditEvents"), Target("cloudtrail-data", "PutAuditEvents")),
        (request(body=b"Action=GetCallerIdentity&Version=1", content_type=FORM), Target("sts", "GetCallerIdentity")),
        (request(body=b"a=&Action=X", content_type=f"{FORM}; charset=utf-8"), Target("sts", "X")),
    ],
)
def test_the_target_of_each_protocol(asked: Request, target: Target) -> None:
    assert read_target(asked) == target


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request(content_type=JSON),
        request(x_amz_target=TARGET["cloudtrail"] + "GetTrail"),
        request(x_amz_target=TARGET["cloudtrail"] + "GetTrail", content_type="application/json"),
        request(x_amz_target="GetTrail", content_type=JSON),
        request(x_amz_target="", content_type=JSON),
        request("//", x_amz_target=TARGET["cloudtrail"] + "GetTrail", content_type=JSON),
        request("/%2F", x_amz_target=TARGET["cloudtrail"] + "GetTrail", content_type=JSON),
        request(method="HEAD"),
        request("/PutAuditEvents", method="GET"),
        request("/PutAuditEvents/"),
        request("/putauditevents"),
        request(body=b"Version=1", content_type=FORM),
        request(body=b"", content_type=FORM),
    ],
)
def test_what_names_no_operation(api: Api, asked: Request) -> None:
    answer = api.control_plane.answer(asked)
    assert answer.status == 404
    assert b"UnknownOperationException" in answer.body or b"InvalidAction" in answer.body


@pytest.mark.parametrize(
    "form",
    [
        b"Action=A&Action=B",
        b"Action",
        b"Action=%ff",
        "Action=é".encode(),
        b"&".join(b"a%d=1" % number for number in range(5_000)),
        b"Action=A&&",
    ],
)
def test_a_form_that_cannot_be_read(api: Api, form: bytes) -> None:
    answer = api.control_plane.answer(request(body=form, content_type=FORM))
    assert (answer.status, answer.content_type) == (400, "text/xml")
    assert ET.fromstring(answer.body).findtext(".//{*}Code") == "MalformedHttpRequestException"


def test_answers_have_the_type_of_their_protocol_and_a_request_id(api: Api) -> None:
    answer = api.raw("ListTrails", b"{}")
    assert (answer.status, answer.content_type) == (200, JSON)
    assert len(answer.request_id) == 36
    data = {"headers": {"Content-Type": "application/json"}, "service": "cloudtrail-data", "path": "/PutAuditEvents"}
    answer = api.control_plane.answer(signed_request(b"{", query="channelArn=arn%3Aaws", **data))
    assert (answer.status, answer.content_type) == (400, "application/json")
    error = json.loads(answer.body)
    assert answer.headers["x-amzn-ErrorType"] == error["__type"] == "SerializationException"
    form = {"headers": {"Content-Type": FORM}, "service": "sts"}
    answer = api.control_plane.answer(signed_request(b"Action=GetCallerIdentity", **form))
    assert answer.content_type == "text/xml"
    assert ET.fromstring(answer.body).findtext(".//{*}RequestId") == answer.request_id


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"headers": {"content-type": FORM}}, "MissingAuthenticationToken"),
        ({"secret": "x"}, "SignatureDoesNotMatch"),
        ({"account_id": "999999999999"}, "InvalidClientTokenId"),
        ({"token": "x"}, "InvalidClientTokenId"),
        ({"service": "cloudtrail"}, "SignatureDoesNotMatch"),
        ({"ahead": 1_000}, "SignatureDoesNotMatch"),
    ],
)
def test_sts_has_names_of_its_own_for_the_common_errors(api: Api, changed: dict, code: str) -> None:
    signing = {"headers": {"Content-Type": FORM}, "service": "sts"} | changed
    asked = signed_request(b"Action=GetCallerIdentity", **signing)
    if "headers" in changed:
        asked = replace(asked, headers=changed["headers"])
    answer = api.control_plane.answer(asked)
    assert answer.status == 403
    assert ET.fromstring(answer.body).findtext(".//{*}Code") == code
    assert ET.fromstring(answer.body).findtext(".//{*}Type") == "Sender"


@pytest.mark.parametrize("action", ["AssumeRole", "GetFederationToken", "Nothing", "<x>&", ""])
def test_sts_answers_two_questions_only(api: Api, action: str) -> None:
    from urllib.parse import quote

    form = {"headers": {"Content-Type": FORM}, "service": "sts"}
    answer = api.control_plane.answer(signed_request(b"Action=" + quote(action).encode(), **form))
    assert ET.fromstring(answer.body).findtext(".//{*}Code") == "InvalidAction"


def test_a_key_that_comes_twice_is_read_once(api: Api) -> None:
    answer = api.raw("GetTrail", b'{"Name":"no-such-trail","Name":"home-only"}')
    assert answer.status == 200


def test_texts_that_postgresql_could_not_keep(api: Api) -> None:
    assert api.refused("GetTrail", {"Name": "a\0b"})[:2] == (400, "SerializationException")

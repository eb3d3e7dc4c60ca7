"""STS GetSessionToken, and what its credentials may."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace

import pytest

from opentrail_backends.state.port import AccessKey, StateStore
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.credentials import DEFAULT_SESSION
from opentrail_control_plane.rates import NO_LIMITS
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, PORTS, SECRET, Api, key_id, signed_request

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def ask_sts(api: Api, form: str, **signing: str) -> tuple[int, ET.Element]:
    answer = api.control_plane.answer(signed_request(form.encode(), headers=FORM, service="sts", **signing))
    assert answer.content_type == "text/xml"
    return answer.status, ET.fromstring(answer.body)


def text(element: ET.Element, name: str) -> str:
    found = element.find(f".//{{*}}{name}")
    assert found is not None
    return found.text or ""


def session(api: Api, form: str = "", **signing: str) -> dict[str, str]:
    """What a request is signed with in a session."""
    status, answer = ask_sts(api, f"Action=GetSessionToken&Version=2011-06-15{form}", **signing)
    assert status == 200
    assert text(answer, "AccessKeyId").startswith("ASIA")
    return {
        "access_key_id": text(answer, "AccessKeyId"),
        "secret": text(answer, "SecretAccessKey"),
        "token": text(answer, "SessionToken"),
    }


def test_a_session_does_what_its_key_may_in_every_process(api: Api, state: StateStore) -> None:
    signing = session(api)
    assert api("ListTrails", **signing)["Trails"]
    import time

    another_process = Api(ControlPlane(state, time.time, PORTS, limits=NO_LIMITS))
    assert another_process("ListTrails", **signing)["Trails"]


@pytest.mark.parametrize(
    ("form", "seconds"),
    [("", DEFAULT_SESSION), ("&DurationSeconds=900", 900), ("&DurationSeconds=129600", 129_600)],
)
def test_a_session_ends_at_its_time(api: Api, clock: SimpleNamespace, form: str, seconds: int) -> None:
    signing = session(api, form)
    clock.offset = seconds - 5
    assert api("ListTrails", ahead=clock.offset, **signing)["Trails"]
    clock.offset = seconds + 1
    assert api.refused("ListTrails", ahead=clock.offset, **signing) == (
        403,
        "ExpiredTokenException",
        "The security token included in the request is expired",
    )


@pytest.mark.parametrize(
    ("form", "code", "said"),
    [
        ("&DurationSeconds=899", "ValidationError", "greater than or equal to 900"),
        ("&DurationSeconds=129601", "ValidationError", "less than or equal to 129600"),
        ("&DurationSeconds=soon", "MalformedInput", "STRING_VALUE can not be converted to an Integer"),
        ("&DurationSeconds=99999999999999999999", "MalformedInput", "Integer"),
        ("&DurationSeconds=900&DurationSeconds=901", "MalformedHttpRequestException", "twice"),
        ("&TokenCode=123456&SerialNumber=arn:aws:iam::111122223333:mfa/a", "AccessDenied", "MFA"),
    ],
)
def test_sessions_that_are_not_given(api: Api, form: str, code: str, said: str) -> None:
    status, answer = ask_sts(api, f"Action=GetSessionToken&Version=2011-06-15{form}")
    assert status in {400, 403}
    assert text(answer, "Code") == code
    assert said in text(answer, "Message")


def test_a_session_gives_out_no_session_but_says_who_it_is(api: Api) -> None:
    signing = session(api)
    status, answer = ask_sts(api, "Action=GetSessionToken&Version=2011-06-15", **signing)
    assert (status, text(answer, "Code")) == (403, "AccessDenied")
    status, answer = ask_sts(api, "Action=GetCallerIdentity&Version=2011-06-15", **signing)
    assert (status, text(answer, "Account")) == (200, MANAGEMENT)


def test_a_key_that_is_removed_takes_its_sessions_with_it(api: Api, state: StateStore) -> None:
    signing = session(api)
    state.configuration.remove_access_key(key_id(MANAGEMENT))
    assert api.refused("ListTrails", **signing)[:2] == (403, "UnrecognizedClientException")


def test_a_key_that_became_read_only_has_no_session_that_may_more(api: Api, state: StateStore) -> None:
    signing = session(api)
    state.configuration.put_access_key(AccessKey(key_id(MANAGEMENT), SECRET, MANAGEMENT, "read-only"))
    assert api.refused("StopLogging", {"Name": "home-only"}, **signing)[1] == "AccessDeniedException"
    state.configuration.put_access_key(AccessKey(key_id(MANAGEMENT), SECRET, MANAGEMENT, "admin"))
    reader = AccessKey("AKIAREADER", SECRET, MANAGEMENT, "read-only")
    state.configuration.put_access_key(reader)
    signing = session(api, access_key_id="AKIAREADER")
    state.configuration.put_access_key(replace(reader, role="admin"))
    assert api.refused("StopLogging", {"Name": "home-only"}, **signing)[1] == "AccessDeniedException"


def test_a_key_that_went_to_another_account_has_no_sessions_of_the_first(api: Api, state: StateStore) -> None:
    signing = session(api)
    state.configuration.put_access_key(AccessKey(key_id(MANAGEMENT), SECRET, MEMBER))
    assert api.refused("ListTrails", **signing)[:2] == (403, "UnrecognizedClientException")


def test_each_bit_of_a_token_counts(api: Api) -> None:
    signing = session(api)
    sealed = base64.b64decode(signing["token"])
    for position in range(0, len(sealed), 7):
        changed = bytearray(sealed)
        changed[position] ^= 1
        forged = {**signing, "token": base64.b64encode(changed).decode()}
        assert api.refused("ListTrails", **forged)[:2] == (403, "UnrecognizedClientException")


def test_tokens_of_other_keys_and_installations_are_no_use(api: Api, state: StateStore) -> None:
    import time

    one, other = session(api), session(api)
    for signing in (
        {**one, "token": other["token"]},
        {**one, "access_key_id": other["access_key_id"]},
        {**one, "token": ""},
        {**one, "token": "é"},
        {**one, "token": "A" * 5_000},
        {"access_key_id": one["access_key_id"], "secret": one["secret"]},
        {"token": one["token"]},
    ):
        status, kind, _ = api.refused("ListTrails", **signing)
        assert (status, kind) == (403, "UnrecognizedClientException")
    elsewhere = Api(ControlPlane(state, time.time, replace(PORTS, token_key=bytes([1]) * 32), limits=NO_LIMITS))
    assert elsewhere.refused("ListTrails", **one)[:2] == (403, "UnrecognizedClientException")


def test_another_secret_or_an_unsigned_token_is_refused(api: Api) -> None:
    signing = session(api)
    assert api.refused("ListTrails", **{**signing, "secret": "x" * 40})[:2] == (403, "InvalidSignatureException")
    headers = {"Content-Type": "application/x-amz-json-1.1"}
    target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.ListTrails"
    request = signed_request(
        b"{}",
        headers={**headers, "X-Amz-Target": target},
        access_key_id=signing["access_key_id"],
        secret=signing["secret"],
    )
    smuggled = replace(request, headers={**request.headers, "x-amz-security-token": signing["token"]})
    answer = api.control_plane.answer(smuggled)
    assert (answer.status, json.loads(answer.body)["__type"]) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("access_key_id", ["", "a\0", "é", "A" * 129, "AKIA EXAMPLE", "AKIA\n"])
def test_what_is_no_id_of_a_key_is_not_looked_for(access_key_id: str) -> None:
    from opentrail_control_plane.credentials import Credentials
    from opentrail_control_plane.errors import ApiError

    asked: list[str] = []
    credentials = Credentials(bytes(32), asked.append)  # type: ignore[arg-type]
    for known in ("AKIAEXAMPLE", access_key_id):
        with pytest.raises(ApiError, match="security token included in the request is invalid"):
            credentials.find(known, None, 0)
    assert asked == ["AKIAEXAMPLE"]


def test_tokens_and_secrets_are_in_no_repr(api: Api) -> None:
    from opentrail_control_plane.credentials import Credentials
    from opentrail_control_plane.operations.context import Identity

    given = Credentials(bytes(32), lambda _: None).session(MANAGEMENT, Identity("AKIA", "", "admin"), 900, 0)
    assert given.secret_access_key not in repr(given)
    assert given.session_token not in repr(given)

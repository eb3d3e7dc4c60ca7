"""Requests with something wrong, made at random from a seed: wrong before they are signed, or changed afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import boto3

from opentrail_control_plane.signature_v4 import Request
from tests.conformance.api_inputs import full_input, least_input
from tests.unit.control_plane.conftest import TARGET, signed_request

JSON, FORM = "application/x-amz-json-1.1", "application/x-www-form-urlencoded"
CHANNEL = "channelArn=arn%3Aaws%3Acloudtrail%3Aus-east-1%3A111122223333%3Achannel%2Fx"

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 50, 51, 2**31, 2**63, 10**40, -(10**40), 0.5, 1e308, 1e-300, "", " ", "\0", "\n", "é",
    "\ud7ff", "\U0010ffff", "a" * 300, "a" * 5_000, "arn:aws:cloudtrail:us-east-1:111122223333:trail/home-only",
    "arn:", "arn:aws:cloudtrail:::trail/", "home-only", "../..", "%00", "' OR 1=1 --", "2026-01-01T00:00:00Z", "1e400",
    [], {}, [[]], [None], {"": None}, {"a": {"b": {"c": []}}}, [1] * 300, "[" * 200, "Æ" * 129, "trail." * 30,
)  # fmt: skip
_TEXTS = (
    '{"a":1,"a":2}', "NaN", "-Infinity", "1e999", "{", "", "null", "[" * 2_000, '{"a":' * 1_500,
    '"\\ud800"', "\ufeff{}",
    '{"StartTime":1e400}', '{"MaxResults":' + "9" * 5_000 + "}", "{}{}", "{'a':1}", "[1,2", '{"a":"\\x"}', "\x00",
)  # fmt: skip
_ARN = "arn:aws:cloudtrail:us-east-1:111122223333:trail/home-only"
_LIFE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CreateTrail", {"Name": "made", "S3BucketName": "example-trail-logs", "TagsList": [{"Key": "k", "Value": "v"}]}),
    ("UpdateTrail", {"Name": "home-only", "S3KeyPrefix": "audit", "IsMultiRegionTrail": True}),
    ("DeleteTrail", {"Name": "made"}),
    ("StartLogging", {"Name": _ARN}),
    ("StopLogging", {"Name": _ARN}),
    ("GetTrail", {"Name": "home-only"}),
    ("DescribeTrails", {"trailNameList": ["home-only", _ARN], "includeShadowTrails": True}),
    ("GetTrailStatus", {"Name": "everywhere"}),
    ("ListTrails", {}),
    ("PutEventSelectors", {"TrailName": _ARN, "EventSelectors": [{"ReadWriteType": "All", "DataResources": [
        {"Type": "AWS::S3::Object", "Values": ["arn:aws:s3:::bucket/"]}]}]}),
    ("PutEventSelectors", {"TrailName": _ARN, "AdvancedEventSelectors": [{"Name": "n", "FieldSelectors": [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::S3::Object"]},
        {"Field": "resources.ARN", "StartsWith": ["arn:aws:s3:::bucket/"], "NotEquals": ["arn:aws:s3:::bucket/x"]}]}]}),
    ("GetEventSelectors", {"TrailName": "home-only"}),
    ("PutInsightSelectors", {"TrailName": "home-only", "InsightSelectors": [{"InsightType": "ApiCallRateInsight"}]}),
    ("PutEventConfiguration", {"TrailName": "home-only", "MaxEventSize": "Large"}),
    ("AddTags", {"ResourceId": _ARN, "TagsList": [{"Key": "k", "Value": "v"}]}),
    ("RemoveTags", {"ResourceId": _ARN, "TagsList": [{"Key": "k"}]}),
    ("ListTags", {"ResourceIdList": [_ARN]}),
    ("LookupEvents", {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "GetTrail"}],
                      "StartTime": 1_767_225_600, "EndTime": 1_767_225_601, "MaxResults": 5}),
    ("ListPublicKeys", {"StartTime": 1_767_225_600, "EndTime": 1_767_225_601}),
    ("CreateChannel", {"Name": "made", "Source": "Custom", "Destinations": [
        {"Type": "EVENT_DATA_STORE", "Location": "arn:aws:cloudtrail:us-east-1:111122223333:trail/home-only"}]}),
    ("ListChannels", {"MaxResults": 5}),
    ("PutResourcePolicy", {"ResourceArn": "arn:aws:cloudtrail:us-east-1:111122223333:channel/x", "ResourcePolicy":
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}'}),
    ("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": "444455556666"}),
    ("DeregisterOrganizationDelegatedAdmin", {"DelegatedAdminAccountId": "444455556666"}),
)  # fmt: skip
"""What a client really asks, of the trails that the tests' state store has."""
_ODD = "\x00\t\r\n \"'%&+,;=/\\<>{}é\x80\xff٣"
_METHODS = ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "post", "")
_PATHS = ("", "//", "/PutAuditEvents", "/PutAuditEvents/", "/%2F", "/é", "/" + "a" * 9_000, "/../", "/ping", "*")
_QUERIES = (
    "a=b", "%", "=&=", "&" * 200, "a=%FF", "a=%00", "é=1", CHANNEL, CHANNEL + "&" + CHANNEL, "channelArn=%ff",
    "&".join(f"a{number}=1" for number in range(3_000)), "X-Amz-Signature=00", "externalId=" + "x" * 2_000,
)  # fmt: skip


class Mutated(NamedTuple):
    """A request, and what was done to it."""

    what: str
    request: Request
    may_succeed: bool
    """False: something that the signature covers was changed after it."""


class Mutations:
    """An endless stream of requests. The same seed gives the same ones, but for signatures, which have a date."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._bases = [
            base for service in ("cloudtrail", "cloudtrail-data", "sts", "organizations") for base in _bases(service)
        ]
        self._signed = [base.signed() for base in self._bases]

    def next(self) -> Mutated:
        """One more request."""
        if self._random.random() < 0.5:
            return self._wrong_and_signed()
        return self._changed_after_signing()

    def _wrong_and_signed(self) -> Mutated:
        base = self._random.choice(self._bases)
        how = self._random.choice((*[self._other_value] * 8, self._other_text, self._other_bytes))
        body = how(base)
        changes: dict[str, Any] = {}
        if self._random.random() < 0.1:
            changes["query"] = self._random.choice(_QUERIES[:-3] if "%" in base.query else _QUERIES)
        if self._random.random() < 0.1:
            changes["headers"] = base.headers | {"X-Amz-Target": self._odd(base.headers.get("X-Amz-Target", "a.B"))}
        if self._random.random() < 0.05:
            changes["region"] = self._random.choice(("eu-central-1", "us-gov-east-1", "", "us-east-1/x", "é"))
        return Mutated(f"{base.operation}: {how.__name__} {sorted(changes)}", base.signed(body=body, **changes), True)

    def _other_value(self, base: Base) -> bytes:
        """The input with a value of anything at any place."""
        if base.service == "sts":
            return self._odd(base.body.decode()).encode("utf-8", "replace")
        value = json.loads(base.body)
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 3))):
            value = self._with_another(value)
        try:
            return json.dumps(value, ensure_ascii=self._random.random() < 0.5).encode()
        except UnicodeEncodeError:
            return json.dumps(value).encode()

    def _with_another(self, value: Any) -> Any:
        if isinstance(value, dict) and value and self._random.random() < 0.9:
            key = self._random.choice(list(value))
            changed = dict(value)
            if self._random.random() < 0.1:
                del changed[key]
            elif self._random.random() < 0.1:
                changed[self._odd(key)] = changed[key]
            else:
                changed[key] = self._with_another(value[key])
            return changed
        if isinstance(value, list) and value and self._random.random() < 0.9:
            place = self._random.randrange(len(value))
            return [*value[:place], self._with_another(value[place]), *value[place:]][: 50 * len(value)]
        alike = [other for other in _VALUES if type(other) is type(value)]
        return self._random.choice(alike if alike and self._random.random() < 0.7 else _VALUES)

    def _other_text(self, _base: Base) -> bytes:
        """A body that is no input at all."""
        return self._random.choice(_TEXTS).encode("utf-8", "surrogatepass")

    def _other_bytes(self, base: Base) -> bytes:
        """The body with bytes changed."""
        body = bytearray(base.body or b"{}")
        for _ in range(self._random.randint(1, 4)):
            place = self._random.randrange(len(body) + 1)
            match self._random.randrange(3):
                case 0:
                    body[place:place] = bytes([self._random.randrange(256)])
                case 1:
                    del body[place : place + self._random.randint(1, 5)]
                case _:
                    body[place : place + 1] = bytes([self._random.randrange(256)])
        return bytes(body)

    def _changed_after_signing(self) -> Mutated:
        place = self._random.randrange(len(self._signed))
        good = self._signed[place]
        changes: tuple[Callable[[Request], tuple[Request, bool]], ...] = (
            self._body, self._header, self._header, self._header, self._authorization, self._authorization,
            self._authorization, self._line,
        )  # fmt: skip
        how = self._random.choice(changes)
        request, may_succeed = how(good)
        return Mutated(f"{self._bases[place].operation}: {how.__name__}", request, may_succeed or request == good)

    def _body(self, good: Request) -> tuple[Request, bool]:
        body = self._other_bytes(self._bases[0]) if self._random.random() < 0.3 else good.body + b" "
        return replace(good, body=body), body == good.body

    def _header(self, good: Request) -> tuple[Request, bool]:
        headers = dict(good.headers)
        name = self._random.choice([*headers, "x-amz-content-sha256", "x-amz-security-token", "x-amz-new", "date"])
        match self._random.randrange(4):
            case 0:
                headers.pop(name, None)
            case 1:
                headers[name] = self._odd(headers.get(name, ""))
            case 2:
                headers[name] = f"{headers.get(name, '')},{headers.get(name, '')}"
            case _:
                headers[name] = self._random.choice(("", " ", "é" * 20, "a" * 20_000, "\x00", "AWS4-HMAC-SHA256 "))
        return replace(good, headers=headers), True  # spaces, say, are nothing

    def _authorization(self, good: Request) -> tuple[Request, bool]:
        text = good.headers["authorization"]
        match self._random.randrange(4):
            case 0:
                changed = self._odd(text)
            case 1:
                part = self._random.choice(
                    ("Credential", "SignedHeaders", "Signature", "aws4_request", "AWS4", "/", ";")
                )
                changed = text.replace(part, self._random.choice(("", "é", part * 2, "Signature")))
            case 2:
                changed = text[: self._random.randrange(len(text))]
            case _:
                changed = text[:-64] + f"{self._random.getrandbits(256):064x}"
        return replace(good, headers={**good.headers, "authorization": changed}), changed.split() == text.split()

    def _line(self, good: Request) -> tuple[Request, bool]:
        match self._random.randrange(3):
            case 0:
                return replace(good, method=self._random.choice(_METHODS)), False
            case 1:
                return replace(good, path=self._random.choice(_PATHS)), False
            case _:
                return replace(good, query=self._random.choice(_QUERIES)), False

    def _odd(self, text: str) -> str:
        """A text with a few characters changed, put in or left out."""
        for _ in range(self._random.randint(1, 3)):
            place = self._random.randrange(len(text) + 1)
            what = self._random.choice(("", self._random.choice(_ODD), self._random.choice("aB0-_.:")))
            text = text[:place] + what + text[place + self._random.randint(0, 1) :]
        return text


class Base(NamedTuple):
    """A good request."""

    service: str
    operation: str
    body: bytes
    headers: dict[str, str]
    path: str = "/"
    query: str = ""

    def signed(self, **changes: Any) -> Request:
        """It, signed after the changes."""
        values: dict[str, Any] = {"path": self.path, "query": self.query, "headers": self.headers, "body": self.body}
        values |= changes
        # A header that is no text of HTTP's comes in over no connection; botocore could not sign it either.
        values["headers"] = {
            name: value.encode("latin-1", "replace").decode("latin-1") for name, value in values["headers"].items()
        }
        return signed_request(values.pop("body"), service=self.service, **values)


def _bases(service: str) -> list[Base]:
    if service == "sts":
        headers = {"Content-Type": FORM}
        forms = {"GetCallerIdentity": "", "GetSessionToken": "&DurationSeconds=900"}
        return [
            Base(service, name, f"Action={name}&Version=2011-06-15{form}".encode(), headers)
            for name, form in forms.items()
        ]
    model = boto3.client(service, region_name="us-east-1").meta.service_model  # type: ignore[call-overload]
    if service == "cloudtrail-data":
        body = {"auditEvents": [{"id": "1", "eventData": "{}"}, {"id": "2", "eventData": "[]"}]}
        headers = {"Content-Type": "application/json"}
        return [Base(service, "PutAuditEvents", json.dumps(body).encode(), headers, "/PutAuditEvents", CHANNEL)] * 3
    if service == "organizations":
        asked: list[tuple[str, dict[str, Any]]] = [("DescribeOrganization", {}), ("ListAccounts", {})]
    else:
        asked = [*_LIFE, *_LIFE, *_LIFE]  # so that half of the requests are about what there is
        for name in model.operation_names:
            shape = model.operation_model(name).input_shape
            asked += [(name, full_input(shape)), (name, least_input(shape))]
    return [
        Base(service, name, json.dumps(body).encode(), {"Content-Type": JSON, "X-Amz-Target": TARGET[service] + name})
        for name, body in asked
    ]

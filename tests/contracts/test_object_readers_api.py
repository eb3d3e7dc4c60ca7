"""AwsApi: what it makes of the answers of CloudTrail and Organizations."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from opentrail_validator.readers.cloudtrail import AwsApi
from opentrail_validator.readers.port import ApiNotReached, ApiRefused, PublicKey, TrailInfo
from tests.contracts.scripted_s3 import answer, serving
from tests.evidence_maker.trail_endpoint import trail_endpoint

ARN = "arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit"
KEY = {"Fingerprint": "ab", "Value": base64.b64encode(b"der").decode()}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


def ask(trails: list[dict[str, Any]] | None = None, keys: list[dict[str, Any]] | None = None) -> Any:
    return trail_endpoint(trails or [], keys or [])


def test_public_keys_come_with_their_validity() -> None:
    listed = KEY | {"ValidityStartTime": 1_772_000_000, "ValidityEndTime": 1_774_600_000}
    with ask(keys=[listed, KEY | {"Fingerprint": "cd"}]) as endpoint:
        keys = AwsApi("eu-west-1", endpoint).between(1_772_000_000, 1_772_000_001)
    assert keys == {"ab": PublicKey(b"der", 1_772_000_000, 1_774_600_000), "cd": PublicKey(b"der")}


def test_the_report_can_say_who_was_asked() -> None:
    assert AwsApi("eu-west-1", "http://127.0.0.1:9").origin() == (
        "asked from the CloudTrail API of eu-west-1 (http://127.0.0.1:9)"
    )
    assert AwsApi("cn-north-1").origin().endswith("of cn-north-1 (https://cloudtrail.cn-north-1.amazonaws.com.cn)")
    assert AwsApi("eu-west-1", "nonsense").origin() == "asked from the CloudTrail API of eu-west-1"


def test_a_trail_is_found_by_its_arn(monkeypatch: pytest.MonkeyPatch) -> None:
    described = {"TrailARN": ARN, "S3BucketName": "b", "S3KeyPrefix": "p", "IsOrganizationTrail": True}
    with ask(trails=[{"TrailARN": f"{ARN}-2", "S3BucketName": "other"}, described]) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ORGANIZATIONS", endpoint)
        api = AwsApi("eu-west-1", endpoint)
        assert api.trail(ARN) == TrailInfo(bucket="b", prefix="p", is_organization_trail=True)
        assert api.trail(f"{ARN}-2") == TrailInfo(bucket="other", prefix=None, is_organization_trail=False)
        assert api.trail(f"{ARN}-3") is None
        assert api.organization_id() == "o-exampleorg1"


def test_a_refusal_is_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    with trail_endpoint([], [], organization=None) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ORGANIZATIONS", endpoint)
        with pytest.raises(ApiRefused, match="AccessDenied"):
            AwsApi("eu-west-1").organization_id()
    with pytest.raises(ApiNotReached):
        AwsApi("eu-west-1", endpoint).between(0, 1)
    with serving() as serve, pytest.raises(ApiRefused):
        AwsApi("eu-west-1", serve(answer(503)).endpoint).trail(ARN)


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_none_is_told(endpoint: str) -> None:
    with pytest.raises((ApiRefused, ApiNotReached)):
        AwsApi("eu-west-1", endpoint).between(0, 1)


def test_without_credentials_nobody_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ApiNotReached, match="Unable to locate credentials"):
        AwsApi("eu-west-1", "http://127.0.0.1:9").between(0, 1)


def test_keys_of_several_pages_are_put_together() -> None:
    def keys(fingerprint: str, token: str) -> bytes:
        body = f'{{"PublicKeyList":[{{"Fingerprint":"{fingerprint}","Value":"ZGVy"}}]{token}}}'.encode()
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    with serving() as serve:
        server = serve(keys("ab", ',"NextToken":"t"'), keys("cd", ""))
        assert set(AwsApi("eu-west-1", server.endpoint).between(0, 1)) == {"ab", "cd"}
    assert b'"NextToken": "t"' in server.requests[1].body

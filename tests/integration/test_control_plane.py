"""The control plane on a port, asked by unmodified AWS clients."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from opentrail.trails.configuration import Kind, Organization, organization_body, trail_body
from opentrail.trails.trail import Trail
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, NewChange
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings

ACCOUNT = "111122223333"
TRAIL = Trail(
    incarnation="one", name="everything", account_id=ACCOUNT, home_region="us-east-1", s3_bucket_name="example-logs"
)


@pytest.fixture
def port() -> Iterator[int]:
    state = open_state_store("sqlite://", secret_key=bytes(32))
    state.migrate()
    state.configuration.put_access_key(AccessKey("AKIAEXAMPLE", "secret", ACCOUNT))
    organization = Organization("o-exampleorgid", ACCOUNT, frozenset({ACCOUNT}))
    state.configuration.apply(
        [
            NewChange(Kind.ORGANIZATION, organization.id, organization_body(organization)),
            NewChange(Kind.TRAIL, TRAIL.incarnation, trail_body(TRAIL)),
        ]
    )
    server = ControlPlaneServer(ControlPlaneSettings(), state, time.time)
    yield server.start()
    server.stop(5)
    state.close()


def client(port: int, service: str, secret: str = "secret"):  # type: ignore[no-untyped-def]
    return boto3.client(
        service,  # type: ignore[call-overload]
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key=secret,
        config=Config(retries={"max_attempts": 1}),
    )


def test_boto3_reads_trails_keys_and_who_it_is(port: int) -> None:
    cloudtrail = client(port, "cloudtrail")
    assert [trail["TrailARN"] for trail in cloudtrail.describe_trails()["trailList"]] == [TRAIL.arn]
    assert cloudtrail.get_trail(Name="everything")["Trail"]["S3BucketName"] == "example-logs"
    assert cloudtrail.get_trail_status(Name=TRAIL.arn)["IsLogging"] is False
    assert cloudtrail.list_public_keys()["PublicKeyList"] == []
    assert cloudtrail.get_event_selectors(TrailName="everything")["EventSelectors"][0]["ReadWriteType"] == "All"
    assert [t["Name"] for page in cloudtrail.get_paginator("list_trails").paginate() for t in page["Trails"]] == [
        "everything"
    ]
    assert client(port, "organizations").describe_organization()["Organization"]["Id"] == "o-exampleorgid"
    assert client(port, "sts").get_caller_identity()["Account"] == ACCOUNT


def test_boto3_sees_refusals_as_its_own_exceptions(port: int) -> None:
    cloudtrail = client(port, "cloudtrail")
    with pytest.raises(cloudtrail.exceptions.TrailNotFoundException) as refusal:
        cloudtrail.get_trail(Name="no-such-trail")
    assert refusal.value.response["ResponseMetadata"]["RequestId"]
    with pytest.raises(cloudtrail.exceptions.UnsupportedOperationException):
        cloudtrail.stop_logging(Name="everything")
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client(port, "cloudtrail", secret="another").list_trails()
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client(port, "sts", secret="another").get_caller_identity()


def test_what_is_no_aws_request_is_refused(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, b"UnknownOperationException" in answer.read()) == (404, True)
    assert answer.headers["x-amzn-RequestId"]
    connection.request("POST", "/", body=b"x" * (1024 * 1024 + 1))
    answer = connection.getresponse()
    assert (answer.status, b"RequestEntityTooLarge" in answer.read()) == (413, True)
    connection.close()

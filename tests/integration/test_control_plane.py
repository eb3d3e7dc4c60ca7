"""The control plane on a port, asked by unmodified AWS clients."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from opentrail.trails.configuration import Kind, Organization, organization_body, trail_body
from opentrail.trails.trail import Trail
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, NewChange
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.rates import NO_LIMITS, Limit
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
    ports = Ports(targets=None, intake=None, regions=["us-east-1"], token_key=bytes(32))
    server = ControlPlaneServer(ControlPlaneSettings(), state, time.time, ports=ports, limits=NO_LIMITS)
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
    with pytest.raises(cloudtrail.exceptions.UnsupportedOperationException, match="no dashboards"):
        cloudtrail.list_dashboards()
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client(port, "cloudtrail", secret="another").list_trails()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(port, "sts", secret="another").get_caller_identity()


def test_boto3_works_with_the_credentials_of_a_session(port: int) -> None:
    given = client(port, "sts").get_session_token(DurationSeconds=900)["Credentials"]
    assert 0 < (given["Expiration"] - datetime.now(UTC)).total_seconds() <= 900
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], "us-east-1")
    endpoint = f"http://127.0.0.1:{port}"
    assert session.client("cloudtrail", endpoint_url=endpoint).get_trail(Name="everything")["Trail"]["Name"]
    assert session.client("sts", endpoint_url=endpoint).get_caller_identity()["Account"] == ACCOUNT
    with pytest.raises(ClientError, match="AccessDenied"):
        session.client("sts", endpoint_url=endpoint).get_session_token()


def test_boto3_puts_audit_events_and_sees_refusals_as_its_own_exceptions(port: int) -> None:
    data = client(port, "cloudtrail-data")
    arn = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:channel/00000000-0000-4000-8000-000000000000"
    with pytest.raises(data.exceptions.ChannelNotFound):
        data.put_audit_events(auditEvents=[{"id": "1", "eventData": "{}"}], channelArn=arn, externalId="a+b=c,d@e:f/g")
    with pytest.raises(ClientError, match="ValidationException"):
        data.put_audit_events(auditEvents=[{"id": "a b", "eventData": "{}"}], channelArn=arn)


def test_boto3_is_throttled_in_a_way_that_it_retries() -> None:
    state = open_state_store("sqlite://", secret_key=bytes(32))
    state.migrate()
    state.configuration.put_access_key(AccessKey("AKIAEXAMPLE", "secret", ACCOUNT))
    ports = Ports(targets=None, intake=None, regions=["us-east-1"], token_key=bytes(32))
    limits = {"read": Limit(1, 600_000)}
    server = ControlPlaneServer(ControlPlaneSettings(), state, time.time, ports=ports, limits=limits)
    cloudtrail = client(server.start(), "cloudtrail")
    cloudtrail.list_trails()
    with pytest.raises(ClientError, match="ThrottlingException") as refusal:
        cloudtrail.list_trails()
    assert refusal.value.response["ResponseMetadata"]["RetryAttempts"] == 1
    server.stop(5)
    state.close()


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

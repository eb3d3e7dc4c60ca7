"""Each object store tells a bucket's policy, or that it has none; which servers can hold CloudTrail's is told here."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from opentrail_backends.object_store import Credentials, open_object_store
from opentrail_backends.object_store.port import BucketNotFound, ObjectStore, OutcomeUnknown, PutRefused
from tests.servers.s3 import S3Server
from tests.trail_policies import bucket_statements, policy

TRAIL = "arn:aws:cloudtrail:us-east-1:111122223333:trail/audit"
MINIO = pytest.param("minio", marks=pytest.mark.s3)
VERSITYGW = pytest.param("versitygw", marks=pytest.mark.s3)


@pytest.fixture
def moto(moto_endpoint: str) -> S3Server:
    return S3Server(moto_endpoint, "test", "test", "us-east-1", None)


@pytest.fixture(params=["memory", "local directory", MINIO, VERSITYGW, "moto"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    if request.param == "memory":
        opened = open_object_store("memory:")
    elif request.param == "local directory":
        opened = open_object_store(f"file://{tmp_path}/objects")
    else:
        opened = opened_on(request.getfixturevalue(request.param))
    yield opened
    opened.close()


def opened_on(server: S3Server) -> ObjectStore:
    return open_object_store(
        f"s3://?endpoint={server.endpoint}&region={server.region}&sse=none",
        credentials=Credentials(server.access_key, server.secret_key),
    )


@pytest.fixture
def bucket(store: ObjectStore) -> str:
    name = f"trail-logs-{os.urandom(8).hex()}"
    store.create_bucket(name)
    return name


def test_a_new_bucket_has_no_policy(store: ObjectStore, bucket: str) -> None:
    assert store.bucket_policy(bucket) is None


def test_of_a_bucket_that_is_not_there_nothing_is_told(store: ObjectStore) -> None:
    with pytest.raises(BucketNotFound):
        store.bucket_policy("no-such-bucket-anywhere")


def test_what_is_no_bucket_name_is_refused(store: ObjectStore) -> None:
    with pytest.raises(PutRefused) as refusal:
        store.bucket_policy("../up")
    assert refusal.value.code == "InvalidBucketName"


def test_only_s3_has_buckets_with_owners_and_regions(store: ObjectStore, bucket: str) -> None:
    assert store.bucket_region(bucket) in ({None, "us-east-1"} if store.keeps_policies else {None})
    assert store.keeps_policies is (type(store).__name__ == "S3ObjectStore")


@pytest.mark.parametrize(
    "server",
    [
        "moto",
        pytest.param(
            "minio",
            marks=[
                pytest.mark.s3,
                pytest.mark.xfail(reason="MinIO takes no condition on aws:SourceArn (MalformedPolicy)", strict=True),
            ],
        ),
        pytest.param(
            "versitygw",
            marks=[
                pytest.mark.s3,
                pytest.mark.xfail(reason="versitygw takes no service as a principal (MalformedPolicy)", strict=True),
            ],
        ),
    ],
)
def test_the_policy_that_aws_documents_is_kept_and_told(server: str, request: pytest.FixtureRequest) -> None:
    s3: S3Server = request.getfixturevalue(server)
    bucket = s3.new_bucket()
    text = policy(*bucket_statements(bucket, TRAIL))
    s3.client.put_bucket_policy(Bucket=bucket, Policy=text)
    store = opened_on(s3)
    assert json.loads(store.bucket_policy(bucket) or "") == json.loads(text)
    store.close()


def test_a_bucket_in_another_region_is_asked_there(moto: S3Server) -> None:
    bucket = f"trail-logs-{os.urandom(8).hex()}"
    elsewhere: Any = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="eu-central-1",
    )
    elsewhere.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    store = opened_on(moto)
    assert store.bucket_policy(bucket) is None
    assert store.bucket_region(bucket) == "eu-central-1"
    store.close()


def test_a_server_that_is_not_there_tells_nothing() -> None:
    store = opened_on(S3Server("http://127.0.0.1:1", "test", "test", "us-east-1", None))
    with pytest.raises(OutcomeUnknown):
        store.bucket_policy("trail-logs")
    assert store.bucket_region("trail-logs") is None
    store.close()

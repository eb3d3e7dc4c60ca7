"""The S3 server that fails on purpose does to requests what it is told, and nothing to others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.s3 import S3Server
from tests.soak.faulty_s3 import FaultyS3, Kind, Trouble

pytestmark = pytest.mark.s3


@pytest.fixture
def relay(minio: S3Server) -> Iterator[FaultyS3]:
    with FaultyS3(minio.endpoint) as started:
        yield started


@pytest.fixture
def connect(relay: FaultyS3, minio: S3Server) -> Iterator[Callable[[float], Any]]:
    """Makes clients that wait so many seconds for an answer, and try nothing twice."""
    made = []

    def connected(seconds: float) -> Any:
        config = Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=seconds)
        made.append(
            boto3.client(
                "s3",
                endpoint_url=relay.endpoint,
                aws_access_key_id=minio.access_key,
                aws_secret_access_key=minio.secret_key,
                region_name=minio.region,
                config=config,
            )
        )
        return made[-1]

    yield connected
    for one in made:
        one.close()


@pytest.fixture
def client(connect: Callable[[float], Any]) -> Any:
    """For what is to be answered, however slow the server is."""
    return connect(60.0)


@pytest.fixture
def hasty(connect: Callable[[float], Any]) -> Any:
    """For what is not to be answered in time."""
    return connect(0.3)


def begin(relay: FaultyS3, kind: Kind, bucket: str, **more: Any) -> None:
    relay.begin(Trouble(kind, frozenset({bucket}), **{"until": time.monotonic() + 60, "left": 1, **more}))


def put(client: Any, bucket: str) -> str:
    """What became of a put, for its client."""
    try:
        client.put_object(Bucket=bucket, Key="a/key", Body=b"body", Metadata={"kept": "as it is"})
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except BotoCoreError as error:
        return type(error).__name__
    return "put"


def lies_there(minio: S3Server, bucket: str) -> bool:
    return bool(minio.client.list_objects_v2(Bucket=bucket)["KeyCount"])


@pytest.mark.parametrize(
    ("kind", "said", "arrives"),
    [
        (Kind.SLOW_DOWN, "SlowDown", False),
        (Kind.INTERNAL, "InternalError", False),
        (Kind.DENIED, "AccessDenied", False),
        (Kind.RESET, "ConnectionClosedError", False),
        (Kind.LOST_ANSWER, "ConnectionClosedError", True),
        (Kind.LATE, "ReadTimeoutError", True),
    ],
)
def test_a_request_in_trouble(
    relay: FaultyS3, client: Any, hasty: Any, minio: S3Server, kind: Kind, said: str, arrives: bool
) -> None:
    bucket, other = minio.new_bucket(), minio.new_bucket()
    begin(relay, kind, bucket, seconds=0.6)
    assert put(client, other) == "put"
    assert put(hasty if kind is Kind.LATE else client, bucket) == said
    relay.wait_until_quiet(30)
    assert lies_there(minio, bucket) == arrives
    assert relay.struck == {kind: 1}
    assert put(client, bucket) == "put"


def test_what_is_relayed_is_unchanged(client: Any, minio: S3Server) -> None:
    bucket = minio.new_bucket()
    assert put(client, bucket) == "put"
    stored = client.get_object(Bucket=bucket, Key="a/key")
    assert (stored["Body"].read(), stored["Metadata"]) == (b"body", {"kept": "as it is"})


def test_silence_ends_with_the_trouble_and_passes_nothing_on(
    relay: FaultyS3, client: Any, hasty: Any, minio: S3Server
) -> None:
    bucket = minio.new_bucket()
    begin(relay, Kind.SILENT, bucket, left=100)
    assert put(hasty, bucket) == "ReadTimeoutError"
    relay.end_troubles()
    assert not lies_there(minio, bucket)
    assert put(client, bucket) == "put"

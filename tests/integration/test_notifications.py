"""A trail made through the API on a bucket and a topic of moto's: the topic is told of every log file that it gets."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from opentrail.evidence.object_keys import LogFileKey, parse_key
from opentrail.evidence.times import MalformedTime
from opentrail_backends.key_management import open_storage_keys
from opentrail_backends.notifications import open_notifications
from opentrail_backends.state.port import AccessKey
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.rates import NO_LIMITS
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from opentrail_control_plane.targets import VALIDATION_MESSAGE, Targets
from opentrail_delivery import notifier
from tests.crash.world import ACCOUNT, REGION
from tests.pipeline.pipeline import OTHER_REGION, Pipeline, pipeline
from tests.servers.s3 import S3Server
from tests.servers.topics import Topic, Topics
from tests.trail_policies import bucket_statements, policy, topic_statement

ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/audit"


@dataclass
class Installation:
    """A pipeline with a control plane, and what it hears of its topic."""

    pipe: Pipeline
    s3: S3Server
    topic: Topic
    port: int
    heard: list[str]

    def api(self, region: str = REGION) -> Any:
        return boto3.client(
            "cloudtrail",
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="AKIAEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def create(self, **members: Any) -> Any:
        members = {"S3BucketName": self.pipe.bucket, "SnsTopicName": self.topic.arn, **members}
        return self.api().create_trail(Name="audit", IsMultiRegionTrail=True, **members)

    def log_files(self) -> set[tuple[str, str]]:
        return {(self.pipe.bucket, key) for key in self.pipe.keys_in() if _is_log_file(key)}

    def told(self) -> set[tuple[str, str]]:
        """The keys of all messages that came so far, but for CloudTrail's validation message."""
        self.heard += self.topic.messages(0)
        messages = [json.loads(text) for text in self.heard if text != VALIDATION_MESSAGE]
        return {(message["s3Bucket"], key) for message in messages for key in message["s3ObjectKey"]}

    def wait_until_told(self, at_least: int) -> None:
        def all_told() -> bool:
            files = self.log_files()
            return len(files) >= at_least and self.told() == files

        self.pipe.wait_until(all_told, f"{at_least} log files, and all of them told", 60.0)

    def status(self, region: str = REGION) -> dict[str, Any]:
        found: dict[str, Any] = self.api(region).get_trail_status(Name=ARN)
        return found


def _is_log_file(key: str) -> bool:
    with suppress(ValueError, MalformedTime):
        return isinstance(parse_key(key), LogFileKey)
    return False


@pytest.fixture
def installation(tmp_path: Path, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    s3 = S3Server(moto_endpoint, "test", "test", "us-east-1", None)
    topic = Topics(moto_endpoint).make("us-east-1")
    notifications = open_notifications(f"sns://?endpoint={moto_endpoint}")
    with pipeline(tmp_path, s3=s3, regions=[REGION, OTHER_REGION]) as pipe:
        pipe.state.configuration.put_access_key(AccessKey("AKIAEXAMPLE", "secret", ACCOUNT))
        targets = Targets(pipe.store, open_storage_keys(f"awskms:?endpoint={moto_endpoint}", "", {}), notifications)
        ports = Ports(targets=targets, intake=None, regions=[REGION, OTHER_REGION], token_key=bytes(32))
        server = ControlPlaneServer(ControlPlaneSettings(), pipe.state, time.time, ports=ports, limits=NO_LIMITS)
        one = Installation(pipe, s3, topic, server.start(), [])
        pipe.start_delivery(with_spool=False, notifications=notifications)
        yield one
        server.stop(5)
    notifications.close()


def refused(call: Any, *arguments: Any, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(*arguments, **members)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_topic_hears_of_every_log_file_and_the_trails_owner_of_what_fails(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, pipe = installation, installation.pipe
    monkeypatch.setattr(notifier, "_POLICY_SECONDS", 0.0)

    # Each target is asked when it is set, in CloudTrail's order.
    bucket = pipe.bucket
    code = "InsufficientS3BucketPolicyException"
    assert refused(one.create) == (code, f"Incorrect S3 bucket policy is detected for bucket: {bucket}")
    assert refused(one.create, S3BucketName="no-such-bucket")[0] == "S3BucketDoesNotExistException"
    one.s3.client.put_bucket_policy(Bucket=bucket, Policy=policy(*bucket_statements(bucket, ARN)))
    assert refused(one.create, KmsKeyId="alias/nobodys")[0] == "KmsKeyNotFoundException"
    assert refused(one.create) == (
        "InsufficientSnsTopicPolicyException",
        "SNS Topic does not exist or the topic policy is incorrect!",
    )
    one.topic.set_policy(policy(topic_statement(one.topic.arn, ARN)))
    assert one.create()["SnsTopicARN"] == one.topic.arn
    assert one.topic.messages() == [VALIDATION_MESSAGE]

    # Every log file of every region is told.
    one.api().start_logging(Name="audit")
    before = int(time.time())
    assert "LatestNotificationTime" not in one.status()
    pipe.send(3)
    pipe.send(2, region=OTHER_REGION)
    one.wait_until_told(2)
    for region in (REGION, OTHER_REGION):
        # A topic hears of a file before the state store does that it has heard.
        pipe.wait_until(lambda asked=region: "LatestNotificationTime" in one.status(asked), "a notification's time")
        status = one.status(region)
        assert status["LatestNotificationTime"].timestamp() >= before
        assert status["LatestNotificationAttemptTime"] == status["LatestNotificationAttemptSucceeded"] != ""
        assert "LatestNotificationError" not in status

    # The topic's owner shuts us out: the trail's owner sees it, log files go on, and nothing is lost.
    one.topic.set_policy(policy(topic_statement(one.topic.arn, ARN.replace("audit", "other"))))
    heard = one.told()
    pipe.send(4)
    pipe.wait_until(lambda: "LatestNotificationError" in one.status(), "an error in GetTrailStatus")
    assert one.status()["LatestNotificationError"] == "AuthorizationError"
    assert "LatestNotificationError" not in one.status(OTHER_REGION)
    pipe.send(4)
    pipe.wait_until(lambda: len(one.log_files()) >= len(heard) + 2, "log files in spite of it")
    assert one.told() == heard
    one.topic.set_policy(policy(topic_statement(one.topic.arn, ARN)))
    one.wait_until_told(len(heard) + 2)
    pipe.wait_until(lambda: "LatestNotificationError" not in one.status(), "no error in GetTrailStatus")


def test_what_waits_is_told_by_the_process_that_is_started_next(installation: Installation) -> None:
    one, pipe = installation, installation.pipe
    one.s3.client.put_bucket_policy(Bucket=pipe.bucket, Policy=policy(*bucket_statements(pipe.bucket, ARN)))
    one.topic.set_policy(policy(topic_statement(one.topic.arn, ARN)))
    one.create()
    one.api().start_logging(Name="audit")
    pipe.stop_delivery()
    service = pipe.start_delivery()  # it has no notifications
    pipe.send(5)
    pipe.wait_until(lambda: bool(one.log_files()), "a log file")
    pipe.wait_until(lambda: "LatestNotificationError" in one.status(), "an error in GetTrailStatus")
    assert one.status()["LatestNotificationError"] == "NotificationsNotConfigured"
    assert one.told() == set()
    pipe.stop_delivery(service)
    pipe.start_delivery(notifications=open_notifications(f"sns://?endpoint={one.s3.endpoint}"))
    pipe.send(5)
    one.wait_until_told(2)

"""A store, keys and topics that answer as they are told, and the targets that ask them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from opentrail.trails.caller import Caller
from opentrail.trails.configuration import Configuration
from opentrail.trails.refused import Refused
from opentrail.trails.trail import Trail
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_control_plane.allowed_buckets import AllowedBuckets
from opentrail_control_plane.targets import Targets
from tests.trail_policies import bucket_statements, policy, topic_statement

ACCOUNT, STRANGER, REGION = "111122223333", "444455556666", "eu-central-1"
CALLER = Caller(ACCOUNT, REGION)
BUCKET = "trail-logs"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/5f3c2a10-0000-4000-8000-000000000001"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:told"
TRAIL = Trail(incarnation="i-1", name="audit", account_id=ACCOUNT, home_region=REGION, s3_bucket_name=BUCKET)
WITH_ALL = replace(TRAIL, kms_key_id=KEY, sns_topic_arn=TOPIC)


class Store(InMemoryObjectStore):
    """Buckets with owners, as S3 has them; errors to order."""

    def __init__(self, *, keeps_policies: bool = True) -> None:
        super().__init__([BUCKET])
        self.keeps_policies = keeps_policies
        self.policies: dict[str, str] = {BUCKET: policy(*bucket_statements(BUCKET, TRAIL.arn))}
        self.errors: dict[str, Exception] = {}
        self.asked: list[str] = []

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.errors:
            raise self.errors[what]

    def bucket_policy(self, bucket: str) -> Any:
        self._ask("policy")
        super().bucket_policy(bucket)
        return self.policies.get(bucket)

    def bucket_region(self, bucket: str) -> Any:
        return REGION

    def create_bucket(self, bucket: str) -> None:
        if hasattr(self, "asked"):
            self._ask("create")
        super().create_bucket(bucket)

    def probe(self, bucket: str) -> None:
        self._ask("probe")
        super().probe(bucket)


@dataclass
class Keys:
    """Finds what it is told to find."""

    error: Exception | None = None
    asked: list[Any] = field(default_factory=list)

    def find(self, name: str, account_id: str, region: str) -> str:
        self.asked.append((name, account_id, region))
        if self.error:
            raise self.error
        return KEY

    def check(self, arn: str, bucket_region: str | None, context: Any) -> None:
        self.asked.append((arn, bucket_region, dict(context)))
        if self.error:
            raise self.error


@dataclass
class Topics:
    """Remembers what was published."""

    text: str = policy(topic_statement(TOPIC, TRAIL.arn))
    error: Exception | None = None
    published: list[tuple[str, str]] = field(default_factory=list)

    def topic_policy(self, topic_arn: str) -> str:
        return self.text

    def publish(self, topic_arn: str, message: str) -> None:
        if self.error:
            raise self.error
        self.published.append((topic_arn, message))

    def close(self) -> None:
        pass


@dataclass
class World:
    store: Store = field(default_factory=Store)
    keys: Keys = field(default_factory=Keys)
    topics: Any = field(default_factory=Topics)
    allowed: tuple[str, ...] = ()
    reserved: tuple[str, ...] = ()

    @property
    def targets(self) -> Targets:
        allowed = AllowedBuckets.parse(self.allowed)
        return Targets(self.store, self.keys, self.topics, allowed, reserved_buckets=self.reserved)

    def check(self, trail: Trail, before: Trail | None = None, *others: Trail) -> None:
        known = (*others, before) if before else others
        self.targets.check_trail(trail, before, Configuration(trails={one.incarnation: one for one in known}))

    def refusal(self, trail: Trail, before: Trail | None = None, *others: Trail) -> tuple[str, str]:
        with pytest.raises(Refused) as raised:
            self.check(trail, before, *others)
        return raised.value.code, raised.value.message


BAD_POLICY = (
    "InsufficientS3BucketPolicyException",
    "Incorrect S3 bucket policy is detected for bucket: trail-logs",
)
BAD_TOPIC = (
    "InsufficientSnsTopicPolicyException",
    "SNS Topic does not exist or the topic policy is incorrect!",
)

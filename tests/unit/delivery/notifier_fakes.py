"""Topics that answer as they are told, and a state store in memory with what they are to be told of."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from opentrail.trails.configuration import Kind, trail_body
from opentrail.trails.trail import Trail
from opentrail_backends.notifications.port import NotificationError
from opentrail_backends.state.port import IntendedFile, Intent, NewChange, StateStore
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.notifier import Notifier, NotifierTools
from opentrail_delivery.settings import DeliverySettings
from tests.crash.world import Inline
from tests.trail_policies import policy, topic_statement

ACCOUNT, REGION = "111122223333", "eu-central-1"
TOPIC, OTHER_TOPIC = (f"arn:aws:sns:us-east-1:{ACCOUNT}:{name}" for name in ("told", "other"))
TRAIL = Trail(
    incarnation="trail-1", name="audit", account_id=ACCOUNT, home_region=REGION, s3_bucket_name="b", sns_topic_arn=TOPIC
)
SECOND = replace(TRAIL, incarnation="trail-2", name="second", sns_topic_arn=OTHER_TOPIC)


@dataclass
class Topics:
    """Topics with policies; some fail."""

    policies: dict[str, str] = field(default_factory=dict)
    errors: dict[str, NotificationError] = field(default_factory=dict)
    published: list[tuple[str, str]] = field(default_factory=list)
    asked: int = 0

    def let_in(self, topic: str, *trails: Trail) -> None:
        self.policies[topic] = policy(*(topic_statement(topic, trail.arn) for trail in trails))

    def topic_policy(self, topic_arn: str) -> str:
        self.asked += 1
        return self.policies[topic_arn]

    def publish(self, topic_arn: str, message: str) -> None:
        if topic_arn in self.errors:
            raise self.errors[topic_arn]
        self.published.append((topic_arn, message))

    def close(self) -> None:
        pass

    def keys(self, topic: str = TOPIC) -> list[str]:
        return [key for to, message in self.published if to == topic for key in json.loads(message)["s3ObjectKey"]]


@dataclass
class World:
    state: StateStore
    now: list[int]
    topics: Topics = field(default_factory=Topics)
    seconds: float = 0.0
    settings: DeliverySettings = field(default_factory=DeliverySettings)

    def __post_init__(self) -> None:
        self.metrics = DeliveryMetrics()
        self.topics.let_in(TOPIC, TRAIL)
        self.topics.let_in(OTHER_TOPIC, TRAIL, SECOND)
        self.configure(TRAIL, SECOND)
        self.notifier = self.make()

    def make(self, **changes: Any) -> Notifier:
        tools = {
            "queue": self.state.notifications,
            "notifications": self.topics,
            "feed": ConfigurationFeed(self.state.configuration),
            "executor": Inline(),
            "metrics": self.metrics,
            "settings": self.settings,
            "monotonic": lambda: self.seconds,
        }
        return Notifier(NotifierTools(**(tools | changes)))

    def configure(self, *trails: Trail) -> None:
        changes = [NewChange(Kind.TRAIL, trail.incarnation, trail_body(trail)) for trail in trails]
        self.state.configuration.apply(changes)
        self.now[0] += 10  # each change has a time of its own

    def deliver(self, *names: str, trail: Trail = TRAIL, region: str = REGION, **changes: Any) -> None:
        lease, _ = self.state.ledger.own(region, 0, 0)
        files = [
            IntendedFile(
                **{
                    "incarnation": trail.incarnation, "logging_session": 1, "account_id": ACCOUNT, "part": part,
                    "bucket": trail.s3_bucket_name, "object_key": name, "sha256": "ab" * 32, "events": 1,
                    "oldest_event_time": 1, "newest_event_time": 1, "trail_arn": trail.arn,
                    "sns_topic_arn": trail.sns_topic_arn, **changes,
                }
            )
            for part, name in enumerate(names)
        ]  # fmt: skip
        window = Intent(lease.last_intent + 1, lease.next_offset, lease.next_offset + 1, {}, files)
        self.state.ledger.deliver(self.state.ledger.write_intent(lease, window), window)

    def pass_(self, seconds: float) -> None:
        self.now[0] += int(seconds * 1000)
        self.seconds += seconds

    def status(self, trail: Trail = TRAIL, region: str = REGION) -> tuple[Any, Any, Any]:
        found = self.state.trail_status(trail.incarnation, region)
        return found["notified_at"], found["notification_error"], found["notification_failing_since"]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"opentrail_delivery_{name}", labels) or 0.0

"""The event bus in memory, and records to send."""

from __future__ import annotations

import json
from concurrent.futures import Future

from opentrail_backends.event_bus.batches import unpack
from opentrail_backends.event_bus.port import Partition, Topic

ACCOUNT = "111122223333"
OTHER = "444455556666"
REGION = "eu-west-1"
SECOND_REGION = "us-east-1"
NOW = 1_767_225_600_000  # 2026-01-01T00:00:00Z


class MemoryPublisher:
    """Confirms at once, or keeps futures open (`hold`), or fails (`failures`, one for each message)."""

    def __init__(self, partitions=7):
        self._topics = {
            region: Topic(region, f"events-{region}", f"id-{region}", partitions) for region in (REGION, SECOND_REGION)
        }
        self.messages = []
        self.held = []
        self.hold = False
        self.failures = []
        self.topics_failure = None
        self.closed = False

    def topics(self):
        if self.topics_failure:
            raise self.topics_failure
        return self._topics

    def publish(self, partition: Partition, key: bytes, value: bytes) -> Future[None]:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None and getattr(failure, "at_once", False):
            raise failure
        self.messages.append((partition, key, value))
        future: Future[None] = Future()
        if failure is not None:
            future.set_exception(failure)
        elif self.hold:
            self.held.append(future)
        else:
            future.set_result(None)
        return future

    def close(self, timeout: float) -> None:
        self.closed = True

    def batches(self):
        return [unpack(value) for _, _, value in self.messages]

    def records(self):
        """All records on the bus."""
        return [
            record
            for batch in self.batches()
            for group in batch.groups
            for record in json.loads(b"[" + bytes(group.records) + b"]")
        ]


def record(number=0, **changes):
    """A good record as JSON; a change of None leaves the member out."""
    members = {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/alice"},
        "eventTime": "2025-12-31T23:59:58Z",
        "eventSource": "ec2.amazonaws.com",
        "eventName": "RunInstances",
        "awsRegion": REGION,
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "test",
        "requestID": f"request-{number}",
        "eventID": f"00000000-0000-4000-8000-{number:012}",
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": ACCOUNT,
        "eventCategory": "Management",
    }
    members.update(changes)
    return json.dumps({key: value for key, value in members.items() if value is not None}).encode()

"""Topics of moto's SNS, each with a queue of SQS that takes what it is told."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

ACCOUNT = "123456789012"
"""Whose everything is that is made in moto."""


@dataclass(frozen=True)
class Topic:
    """A topic, and the queue that is subscribed to it."""

    arn: str
    _sns: Any
    _sqs: Any
    _queue: str

    def set_policy(self, text: str) -> None:
        """Replaces the topic's policy."""
        self._sns.set_topic_attributes(TopicArn=self.arn, AttributeName="Policy", AttributeValue=text)

    def delete(self) -> None:
        """The topic is gone; what was told lies in the queue."""
        self._sns.delete_topic(TopicArn=self.arn)

    def envelopes(self, at_least: int = 1, seconds: float = 30.0) -> list[dict[str, Any]]:
        """What lies in the queue, taken out of it; fails the test if it stays less than that."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + seconds
        while True:
            answer = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10)
            for message in answer.get("Messages", ()):
                found.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
            if not answer.get("Messages"):
                if len(found) >= at_least:
                    return found
                assert time.monotonic() < deadline, f"{len(found)} of {at_least} messages came within {seconds} s"
                time.sleep(0.05)

    def messages(self, at_least: int = 1) -> list[str]:
        """The texts alone."""
        return [str(envelope["Message"]) for envelope in self.envelopes(at_least)]


class Topics:
    """Makes topics at one endpoint. The environment has credentials."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def make(self, region: str = "us-east-1", name: str = "") -> Topic:
        """A new topic with a queue of its own."""
        import boto3

        sns = boto3.client("sns", endpoint_url=self.endpoint, region_name=region)
        sqs = boto3.client("sqs", endpoint_url=self.endpoint, region_name=region)
        name = name or f"trail-{uuid.uuid4().hex}"
        arn = sns.create_topic(Name=name)["TopicArn"]
        queue = sqs.create_queue(QueueName=name)["QueueUrl"]
        queue_arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn)
        return Topic(arn, sns, sqs, queue)

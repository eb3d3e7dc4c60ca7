"""One suite for notifications: SNS, played by moto with queues of SQS behind its topics, and none."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from opentrail_backends.notifications import open_notifications
from opentrail_backends.notifications.port import (
    NotificationError,
    Notifications,
    NotificationsUnavailable,
    PublishRefused,
    TopicNotFound,
)
from tests.servers.topics import Topics
from tests.trail_policies import policy, topic_statement


@pytest.fixture
def topics(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Topics:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return Topics(moto_endpoint)


@pytest.fixture
def sns(topics: Topics) -> Any:
    opened = open_notifications(f"sns://?endpoint={topics.endpoint}")
    yield opened
    opened.close()


@pytest.fixture(params=["sns", "none"])
def notifications(request: pytest.FixtureRequest) -> Notifications:
    return request.getfixturevalue("sns") if request.param == "sns" else open_notifications("")


def test_whoever_cannot_be_told_learns_a_code(notifications: Notifications) -> None:
    topic = "arn:aws:sns:eu-central-1:123456789012:no-such-topic"
    for ask in (lambda: notifications.topic_policy(topic), lambda: notifications.publish(topic, "text")):
        with pytest.raises(NotificationError) as raised:
            ask()
        assert raised.value.code in {"NotFound", "NotificationsNotConfigured"}
        assert not isinstance(raised.value, NotificationsUnavailable)


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_a_text_arrives_as_it_was_published_in_the_topics_own_region(
    sns: Notifications, topics: Topics, region: str
) -> None:
    topic = topics.make(region)
    sns.publish(topic.arn, '{"s3Bucket":"b","s3ObjectKey":["ü"]}')
    (envelope,) = topic.envelopes()
    assert envelope["Message"] == '{"s3Bucket":"b","s3ObjectKey":["ü"]}'
    assert (envelope["Type"], envelope["TopicArn"]) == ("Notification", topic.arn)
    assert all(isinstance(value, str) for value in envelope.values()), "the CloudTrail Processing Library demands it"


def test_the_topics_policy_is_told(sns: Notifications, topics: Topics) -> None:
    topic = topics.make()
    text = policy(topic_statement(topic.arn, f"arn:aws:cloudtrail:us-east-1:{uuid.uuid4().int % 10**12:012}:trail/t"))
    topic.set_policy(text)
    assert json.loads(sns.topic_policy(topic.arn)) == json.loads(text)


def test_a_topic_that_is_gone_is_not_found(sns: Notifications, topics: Topics) -> None:
    topic = topics.make()
    sns.publish(topic.arn, "text")
    topic.delete()
    with pytest.raises(TopicNotFound):
        sns.publish(topic.arn, "text")
    with pytest.raises(TopicNotFound):
        sns.topic_policy(topic.arn)


def test_a_text_that_is_too_long_is_refused(sns: Notifications, topics: Topics) -> None:
    topic = topics.make()
    sns.publish(topic.arn, "x" * 262_144)
    with pytest.raises(PublishRefused) as refusal:
        sns.publish(topic.arn, "x" * 262_145)
    assert refusal.value.code == "InvalidParameter"


def test_threads_use_it_at_once(sns: Notifications, topics: Topics) -> None:
    told = [topics.make(region) for region in ("us-east-1", "eu-central-1")]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: sns.publish(told[number % 2].arn, str(number)), range(32)))
    assert sorted(int(text) for topic in told for text in topic.messages(16)) == list(range(32))


def test_a_server_that_is_not_there_is_told_apart(topics: Topics) -> None:
    with pytest.raises(NotificationsUnavailable) as raised:
        open_notifications("sns://?endpoint=http://127.0.0.1:1").publish(topics.make().arn, "text")
    assert raised.value.code == "RequestTimeout"


def test_a_region_that_cannot_be_is_told_apart(sns: Notifications) -> None:
    with pytest.raises(NotificationsUnavailable):
        sns.publish("arn:aws:sns:not a region:123456789012:topic", "text")

"""What SNS answers that moto does not: refusals, throttling, trouble of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.stub import Stubber

from opentrail_backends.notifications.port import NotificationError, NotificationsUnavailable, PublishRefused
from opentrail_backends.notifications.sns import SnsNotifications

TOPIC = "arn:aws:sns:eu-central-1:111122223333:told"


@pytest.fixture
def notifications(monkeypatch: pytest.MonkeyPatch) -> SnsNotifications:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return SnsNotifications(None)


@pytest.fixture
def sns(notifications: SnsNotifications) -> Iterator[Stubber]:
    with Stubber(notifications._clients.in_region("eu-central-1")) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AuthorizationError", 403, PublishRefused),
        ("KMSAccessDenied", 400, PublishRefused),
        ("InvalidParameter", 400, PublishRefused),
        ("Throttled", 429, NotificationsUnavailable),
        ("Throttling", 400, NotificationsUnavailable),
        ("InternalError", 500, NotificationsUnavailable),
        ("ServiceUnavailable", 503, NotificationsUnavailable),
    ],
)
def test_a_refusal_is_told_from_trouble_by_its_code(
    notifications: SnsNotifications, sns: Stubber, code: str, status: int, kind: type[NotificationError]
) -> None:
    for call in ("publish", "get_topic_attributes"):
        sns.add_client_error(call, code, "for a reason", status)
    for ask in (lambda: notifications.publish(TOPIC, "text"), lambda: notifications.topic_policy(TOPIC)):
        with pytest.raises(NotificationError, match="for a reason") as raised:
            ask()
        assert type(raised.value) is kind
        assert raised.value.code == code


def test_an_error_without_a_code_has_its_status(notifications: SnsNotifications, sns: Stubber) -> None:
    sns.add_client_error("publish", "", http_status_code=403)
    with pytest.raises(PublishRefused) as raised:
        notifications.publish(TOPIC, "text")
    assert raised.value.code == "Http403"


@pytest.mark.parametrize("name", ["told", "arn:aws:sns:eu-central-1:111122223333", "", TOPIC + ":subscription"])
def test_what_is_no_topics_arn_is_refused(notifications: SnsNotifications, name: str) -> None:
    with pytest.raises(PublishRefused, match="not the ARN of a topic"):
        notifications.publish(name, "text")


def test_nothing_but_topic_and_text_is_published(notifications: SnsNotifications, sns: Stubber) -> None:
    sns.add_response("publish", {"MessageId": "m"}, {"TopicArn": TOPIC, "Message": "text"})
    notifications.publish(TOPIC, "text")


def test_a_topic_without_a_policy_has_an_empty_one(notifications: SnsNotifications, sns: Stubber) -> None:
    sns.add_response("get_topic_attributes", {"Attributes": {}}, {"TopicArn": TOPIC})
    assert notifications.topic_policy(TOPIC) == ""


def test_without_credentials_there_are_no_notifications() -> None:
    with pytest.raises(ValueError, match="AWS_ACCESS_KEY_ID"):
        SnsNotifications(None)

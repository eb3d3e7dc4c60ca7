"""What is checked when a trail's key or topic is set, and what their names mean."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.trails.refused import Refused
from opentrail_backends.key_management.port import KeyManagementError, KeyNotFound
from opentrail_backends.key_management.storage_keys import KeyUnusable, KeyUseRefused
from opentrail_backends.notifications.none import NoNotifications
from opentrail_backends.notifications.port import NotificationsUnavailable, PublishRefused, TopicNotFound
from opentrail_control_plane.errors import ApiError
from tests.trail_policies import policy, topic_statement
from tests.unit.control_plane.target_fakes import (
    ACCOUNT,
    BAD_TOPIC,
    BUCKET,
    CALLER,
    KEY,
    REGION,
    STRANGER,
    TOPIC,
    TRAIL,
    WITH_ALL,
    World,
)


@pytest.fixture
def world() -> World:
    return World()


# --- the key


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyNotFound("It does not exist."), "KmsKeyNotFoundException", "It does not exist."),
        (KeyUnusable("It is disabled."), "KmsException", "It is disabled."),
        (
            KeyUseRefused("no"),
            "InsufficientEncryptionPolicyException",
            f"Insufficient permissions to access S3 bucket {BUCKET} or KMS key {KEY}.",
        ),
    ],
)
def test_a_key_that_cannot_be_used(world: World, error: Exception, code: str, message: str) -> None:
    world.keys.error = error
    assert world.refusal(WITH_ALL) == (code, message)
    assert world.topics.published == [], "the topic comes after the key"


def test_a_key_is_tried_for_an_object_of_the_trail_in_its_bucket(world: World) -> None:
    world.check(replace(TRAIL, kms_key_id=KEY))
    ((arn, region, context),) = world.keys.asked
    assert (arn, region) == (KEY, REGION)
    assert context["aws:cloudtrail:arn"] == TRAIL.arn
    assert context["aws:s3:arn"].startswith(f"arn:aws:s3:::{BUCKET}/AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/")


def test_a_key_management_that_cannot_be_asked_is_no_refusal(world: World) -> None:
    world.keys.error = KeyManagementError("no answer")
    for ask in (lambda: world.check(WITH_ALL), lambda: world.targets.resolve_kms_key(KEY, CALLER)):
        with pytest.raises(ApiError) as raised:
            ask()
        assert (raised.value.code, raised.value.status) == ("ServiceUnavailable", 503)


@pytest.mark.parametrize(
    "name",
    [
        KEY,
        "5f3c2a10-0000-4000-8000-000000000001",
        f"mrk-{'0a' * 16}",
        "alias/trail",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/trail",
    ],
)
def test_a_name_of_a_key_means_its_full_arn(world: World, name: str) -> None:
    assert world.targets.resolve_kms_key(name, CALLER) == KEY
    assert world.keys.asked == [(name, ACCOUNT, REGION)]


@pytest.mark.parametrize(
    "name", ["key", "alias/", "alias/a b", "arn:aws:kms:x", f"arn:aws:s3:{REGION}:{ACCOUNT}:key/k"]
)
def test_what_is_no_name_of_a_key(world: World, name: str) -> None:
    with pytest.raises(Refused) as raised:
        world.targets.resolve_kms_key(name, CALLER)
    assert raised.value.code == "InvalidKmsKeyIdException"
    assert world.keys.asked == []


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyNotFound("none"), "KmsKeyNotFoundException"), (KeyUseRefused("no"), "InsufficientEncryptionPolicyException")],
)
def test_a_name_that_means_no_key(world: World, error: Exception, code: str) -> None:
    world.keys.error = error
    with pytest.raises(Refused) as raised:
        world.targets.resolve_kms_key("alias/none", CALLER)
    assert raised.value.code == code


# --- the topic


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (TopicNotFound("none", "NotFound"), BAD_TOPIC),
        (PublishRefused("no", "AuthorizationError"), BAD_TOPIC),
        (
            PublishRefused("no key", "KMSNotFound"),
            ("KmsKeyNotFoundException", f"The key of the SNS topic {TOPIC} does not exist."),
        ),
    ],
)
def test_a_topic_that_takes_nothing(world: World, error: Exception, refusal: tuple[str, str]) -> None:
    world.topics.error = error
    assert world.refusal(WITH_ALL) == refusal


@pytest.mark.parametrize("text", ["", policy(topic_statement(TOPIC, TRAIL.arn.replace("audit", "other")))])
def test_a_topic_whose_policy_does_not_let_the_trail_publish(world: World, text: str) -> None:
    world.topics.text = text
    assert world.refusal(WITH_ALL) == BAD_TOPIC
    assert world.topics.published == []


def test_without_notifications_no_topic_is_set(world: World) -> None:
    world.topics = NoNotifications()
    assert world.refusal(WITH_ALL) == BAD_TOPIC


def test_a_topic_that_cannot_be_asked_is_no_refusal(world: World) -> None:
    world.topics.error = NotificationsUnavailable("no answer", "RequestTimeout")
    with pytest.raises(ApiError) as raised:
        world.check(WITH_ALL)
    assert (raised.value.code, raised.value.status) == ("ServiceUnavailable", 503)


@pytest.mark.parametrize(
    ("name", "arn"),
    [
        ("told", TOPIC),
        ("", ""),
        (f"arn:aws:sns:us-east-1:{STRANGER}:told", f"arn:aws:sns:us-east-1:{STRANGER}:told"),
        ("x" * 256, f"arn:aws:sns:{REGION}:{ACCOUNT}:{'x' * 256}"),
    ],
)
def test_a_name_of_a_topic_is_one_of_the_callers_account_and_region(world: World, name: str, arn: str) -> None:
    assert world.targets.resolve_topic(name, CALLER) == arn


@pytest.mark.parametrize(
    "name", ["a b", "told.fifo", "x" * 257, "arn:aws:sns:x:told", f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"]
)
def test_what_is_no_name_of_a_topic(world: World, name: str) -> None:
    with pytest.raises(Refused) as raised:
        world.targets.resolve_topic(name, CALLER)
    assert raised.value.code == "InvalidSnsTopicNameException"

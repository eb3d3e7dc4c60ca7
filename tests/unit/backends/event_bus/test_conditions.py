from __future__ import annotations

import pytest

from opentrail_backends.event_bus.kafka.conditions import CHECKED, unmet_conditions
from opentrail_backends.event_bus.kafka.settings import KafkaSettings

SETTINGS = KafkaSettings(("broker:9092",))


def test_a_topic_as_we_make_it_meets_all_conditions() -> None:
    assert list(unmet_conditions("t", SETTINGS.topic(), 3, SETTINGS)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("retention.ms", "-1"),
        ("retention.ms", "9999999999"),
        ("min.insync.replicas", "3"),
        ("max.message.bytes", "99999999"),
        ("compression.type", "gzip"),
    ],
)
def test_more_than_is_needed_is_enough(key: str, value: str) -> None:
    assert list(unmet_conditions("t", SETTINGS.topic() | {key: value}, 5, SETTINGS)) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cleanup.policy", "compact"),
        ("cleanup.policy", "compact,delete"),
        ("max.message.bytes", "1048588"),
        ("message.timestamp.type", "CreateTime"),
        ("min.insync.replicas", "1"),
        ("retention.bytes", "1000000"),
        ("retention.ms", "604800000"),
        ("unclean.leader.election.enable", "true"),
    ],
)
def test_each_condition_that_is_not_met_is_told(key: str, value: str) -> None:
    (sentence,) = unmet_conditions("t", SETTINGS.topic() | {key: value}, 3, SETTINGS)
    assert f"topic t has {key}={value}; it must be {SETTINGS.topic()[key]}" in sentence
    assert key in CHECKED


def test_too_few_replicas_are_told() -> None:
    assert list(unmet_conditions("t", SETTINGS.topic(), 2, SETTINGS)) == [
        "topic t has partitions with 2 replicas; it must be 3 or more"
    ]

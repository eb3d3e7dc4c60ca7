"""Which messages tell of which files: one bucket in each, and none longer than SNS takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from opentrail_backends.state.port import UntoldFile
from opentrail_delivery.notifier import MAX_KEYS, MAX_MESSAGE_BYTES, messages_of
from tests.unit.delivery.notifier_fakes import REGION, TOPIC


def untold(key: str, **changes: Any) -> UntoldFile:
    values = {
        "id": 1, "incarnation": "i", "trail_arn": "arn", "region": REGION, "topic_arn": TOPIC, "bucket": "b",
        "object_key": key,
    }  # fmt: skip
    return UntoldFile(**(values | changes))


def test_a_message_names_one_bucket_and_at_most_so_many_keys() -> None:
    files = [untold(f"{number}", bucket=f"bucket-{number % 2}") for number in range(2 * MAX_KEYS + 2)]
    messages = list(messages_of(files))
    assert [len(message.files) for message in messages] == [MAX_KEYS, 1, MAX_KEYS, 1]
    for message in messages:
        told = json.loads(message.text)
        assert {file.bucket for file in message.files} == {told["s3Bucket"]}
        assert [file.object_key for file in message.files] == told["s3ObjectKey"]
    assert sorted(int(file.object_key) for message in messages for file in message.files) == list(range(len(files)))


@pytest.mark.parametrize("letter", ["x", "é", "\N{OWL}"])
def test_no_message_is_longer_than_sns_takes(letter: str) -> None:
    key = letter * (1024 // len(letter.encode()))
    files = [untold(f"{number:03}{key}") for number in range(MAX_KEYS)]
    messages = list(messages_of(files))
    assert [file for message in messages for file in message.files] == files
    assert all(len(message.text.encode()) <= MAX_MESSAGE_BYTES for message in messages)

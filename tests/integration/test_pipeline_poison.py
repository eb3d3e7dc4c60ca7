"""What cannot be read on the bus: spooled and delivered around, or the partition stops loudly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from opentrail.events.batch import FORMAT_VERSION, EventBatch, SelectorClass, group_of
from opentrail_backends.event_bus.batches import pack
from opentrail_backends.event_bus.port import Partition
from tests.crash.world import ACCOUNT, REGION, assert_exactly_once
from tests.pipeline.pipeline import SPOOL_BUCKET, Pipeline, pipeline

PARTITION = Partition(REGION, 0)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pipeline]:
    with pipeline(tmp_path) as opened:
        opened.store.create_bucket(SPOOL_BUCKET)
        yield opened


def put_on_the_bus(running: Pipeline, value: bytes) -> int:
    """Publishes raw bytes where the account's events go; returns their offset."""
    publisher = running.bus.publisher()
    publisher.publish(PARTITION, ACCOUNT.encode(), value).result(30)
    publisher.close(10)
    return running.bus.lag("any")[PARTITION][1].end - 1


def a_good_value() -> bytes:
    """A value as the producer writes it."""
    selector_class = SelectorClass("Management", "ec2.amazonaws.com", "RunInstances", "AwsApiCall", False, ())
    record = json.dumps({"eventID": "in the broken batch"}).encode()
    return pack(EventBatch(ACCOUNT, REGION, [group_of(selector_class, [record], [len(record)], [1_760_000_000])]))


def poison() -> list[bytes]:
    """Garbage; a header without a body; a body cut off; a byte of the body changed; a body that is no batch."""
    good = a_good_value()
    changed = bytearray(good)
    changed[-6] ^= 0xFF
    return [b"garbage", b"OTEB", good[:13], good[:-7], bytes(changed), good[:9] + b"\0\0\0\0" + good[13:], b""]


def test_poison_goes_to_the_spool_and_the_events_around_it_are_delivered(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    expected, values = running.send(2), {}
    for value in poison():
        values[put_on_the_bus(running, value)] = value
        expected += running.send(1)
    running.start_delivery(with_spool=True)
    running.wait_until_digested(len(expected), trail)
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], expected)
    spooled = {key.rpartition("/")[2]: key for key in running.keys_in(SPOOL_BUCKET)}
    assert spooled.keys() == {str(offset) for offset in values}
    topic = running.bus.topics()[REGION]
    for offset, value in values.items():
        assert spooled[str(offset)] == f"poison/{REGION}/{topic.id}/0/{offset}"
        assert running.store.get(SPOOL_BUCKET, spooled[str(offset)]).body == value


def test_poison_without_a_spool_halts_the_partition_until_there_is_one(running: Pipeline) -> None:
    trail = running.add_trail("audit")
    expected = running.send(2)
    offset = put_on_the_bus(running, b"garbage")
    expected += running.send(2)
    service = running.start_delivery()
    reason = running.wait_until_halted(service, f"partition {REGION}/0")
    assert f"offset {offset}" in reason
    assert "spool" in reason
    running.stop_delivery()
    assert not running.seen().log_files
    running.start_delivery(with_spool=True)
    running.wait_until_digested(4, trail)
    running.stop_delivery()
    assert_exactly_once(running.seen(), ["audit"], expected)


def test_a_batch_of_a_newer_format_halts_its_partition_and_is_no_poison(running: Pipeline) -> None:
    running.add_trail("audit")
    good = a_good_value()
    newer = good[:4] + bytes([FORMAT_VERSION + 1]) + good[5:]
    running.send(1)
    put_on_the_bus(running, newer)
    service = running.start_delivery(with_spool=True)
    reason = running.wait_until_halted(service, f"partition {REGION}/0")
    assert f"format {FORMAT_VERSION + 1}" in reason
    running.stop_delivery()
    assert running.keys_in(SPOOL_BUCKET) == []


def test_a_partition_that_halts_holds_up_no_other(tmp_path: Path) -> None:
    with pipeline(tmp_path, regions=(REGION, "us-east-1")) as running:
        trail = running.add_trail("audit", is_multi_region_trail=True)
        put_on_the_bus(running, b"garbage")
        expected = running.send(2, region="us-east-1")
        service = running.start_delivery()
        running.wait_until_halted(service, f"partition {REGION}/0")
        expected += running.send(2, region="us-east-1")
        running.wait_until_digested(4, trail)
        running.stop_delivery()
        assert_exactly_once(running.seen(), ["audit"], expected)

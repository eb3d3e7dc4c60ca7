"""Publishing: what the bus has confirmed it has, once, in order."""

from __future__ import annotations

import hashlib
import random
import threading
import time

import pytest

from opentrail_backends.event_bus.port import Bounds, EventBusError, MessageTooLarge, Partition, PublishFailed
from tests.contracts.event_bus.conftest import MAX_MESSAGE_BYTES, World
from tests.contracts.event_bus.members import numbered, until

REGION = "eu-west-1"
ZERO, ONE = Partition(REGION, 0), Partition(REGION, 1)


def test_a_confirmed_message_is_in_the_log_and_read_as_it_was(world: World) -> None:
    world.bus.ensure_topic(REGION, 2)
    value = bytes(range(256)) * 10
    assert world.publisher().publish(ONE, b"111122223333", value).result(30) is None
    reader = world.member().join()
    assert reader.reader.bounds(ONE) == Bounds(0, 1)
    until(lambda: bool(reader.messages), reader)
    (message,) = reader.messages
    assert (message.partition, message.offset, message.value) == (ONE, 0, value)
    assert type(message.value) is bytes


def test_messages_of_a_partition_keep_their_order_and_have_offsets_without_gaps(world: World) -> None:
    world.bus.ensure_topic(REGION, 2)
    publisher = world.publisher()
    futures = [publisher.publish(Partition(REGION, n % 2), b"key", b"message %d" % n) for n in range(400)]
    for future in futures:
        future.result(30)
    reader = world.member().join()
    until(lambda: len(reader.messages) == 400, reader)
    for partition in (ZERO, ONE):
        found = [message for message in reader.messages if message.partition == partition]
        assert [message.offset for message in found] == list(range(200))
        assert [message.value for message in found] == [b"message %d" % n for n in range(partition.number, 400, 2)]


def test_many_threads_lose_nothing_and_each_keeps_its_order(world: World) -> None:
    world.bus.ensure_topic(REGION, 3)
    publisher = world.publisher()
    failures: list[BaseException] = []

    def publish(thread: int) -> None:
        try:
            futures = [publisher.publish(Partition(REGION, n % 3), b"key", b"%d %d" % (thread, n)) for n in range(150)]
            for future in futures:
                future.result(30)
        except BaseException as error:  # shown by the test
            failures.append(error)

    threads = [threading.Thread(target=publish, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    reader = world.member().join()
    until(lambda: len(reader.messages) >= 8 * 150, reader)
    assert sorted(reader.values()) == sorted(b"%d %d" % (who, n) for who in range(8) for n in range(150))
    for number in range(3):
        found = [tuple(map(int, value.split())) for value in reader.values(Partition(REGION, number))]
        for one in range(8):
            assert [n for who, n in found if who == one] == list(range(number, 150, 3))


def test_append_times_are_the_clocks_and_never_fall(world: World) -> None:
    world.bus.ensure_topic(REGION, 1)
    begin = int(time.time() * 1000)
    for value in numbered(0, 20):
        world.put(ZERO, [value])
    end = int(time.time() * 1000)
    reader = world.member().join()
    until(lambda: len(reader.messages) == 20, reader)
    times = [message.append_time for message in reader.messages]
    assert times == sorted(times)
    assert begin <= times[0] <= times[-1] <= end
    assert len(set(times)) > 1


def test_a_message_above_the_limit_is_refused_and_one_at_the_limit_is_taken(world: World) -> None:
    world.bus.ensure_topic(REGION, 1)
    publisher = world.publisher()
    with pytest.raises(MessageTooLarge, match=str(MAX_MESSAGE_BYTES)):
        publisher.publish(ZERO, b"", bytes(MAX_MESSAGE_BYTES + 1)).result(30)
    largest = random.Random(1).randbytes(MAX_MESSAGE_BYTES)
    publisher.publish(ZERO, b"", largest).result(30)
    reader = world.member().join()
    until(lambda: bool(reader.messages), reader)
    assert reader.values() == [largest]


@pytest.mark.parametrize("nowhere", [Partition("no-such-1", 0), Partition(REGION, 2), Partition(REGION, -1)])
def test_a_partition_that_does_not_exist_takes_nothing(world: World, nowhere: Partition) -> None:
    world.bus.ensure_topic(REGION, 2)
    publisher = world.publisher()
    good = publisher.publish(ZERO, b"key", b"before")
    with pytest.raises(PublishFailed, match="no partition"):
        publisher.publish(nowhere, b"key", b"value").result(30)
    good.result(30)
    publisher.publish(ZERO, b"key", b"after").result(30)
    assert "no-such-1" not in world.bus.topics()


def test_closing_waits_for_what_is_under_way_and_then_takes_nothing_more(world: World) -> None:
    world.bus.ensure_topic(REGION, 1)
    publisher = world.bus.publisher()
    futures = [publisher.publish(ZERO, b"key", value) for value in numbered(0, 100)]
    publisher.close(30)
    assert all(future.done() and future.exception() is None for future in futures)
    with pytest.raises(PublishFailed):
        publisher.publish(ZERO, b"key", b"late").result(30)
    publisher.close(1)
    reader = world.member().join()
    until(lambda: len(reader.messages) >= 100, reader)
    assert reader.values() == numbered(0, 100)


def test_what_was_handed_over_cannot_be_cancelled(world: World) -> None:
    world.bus.ensure_topic(REGION, 1)
    future = world.publisher().publish(ZERO, b"key", b"value")
    assert not future.cancel()
    future.result(30)


def test_an_empty_value_is_a_message_too(world: World) -> None:
    world.bus.ensure_topic(REGION, 1)
    world.put(ZERO, [b"", b"next"])
    reader = world.member().join()
    until(lambda: len(reader.messages) == 2, reader)
    assert reader.values() == [b"", b"next"]


def test_a_publisher_sees_a_region_that_appears_later(world: World) -> None:
    publisher = world.publisher()
    with pytest.raises(PublishFailed):
        publisher.publish(ZERO, b"key", b"early").result(30)
    made = world.bus.ensure_topic(REGION, 2)
    assert publisher.topics() == {REGION: made}
    publisher.publish(ONE, b"key", b"value").result(30)


def test_five_hundred_large_messages_arrive_unchanged(world: World) -> None:
    world.bus.ensure_topic(REGION, 4)
    publisher = world.publisher()
    source = random.Random(7)
    digests: dict[Partition, list[bytes]] = {}
    futures = []
    for number in range(500):
        partition, value = Partition(REGION, number % 4), source.randbytes(200_000)
        digests.setdefault(partition, []).append(hashlib.sha256(value).digest())
        futures.append(publisher.publish(partition, b"key", value))
    for future in futures:
        future.result(60)
    reader = world.member().join()
    found: dict[Partition, list[bytes]] = {}

    def digest() -> bool:
        for message in reader.messages:
            found.setdefault(message.partition, []).append(hashlib.sha256(message.value).digest())
        reader.messages.clear()
        return sum(map(len, found.values())) >= 500

    until(digest, reader)
    assert found == digests


def test_bounds_of_what_does_not_exist_are_an_error(world: World) -> None:
    with pytest.raises(EventBusError):
        world.member().reader.bounds(Partition("no-such-1", 0))

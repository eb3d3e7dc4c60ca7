"""What only the Kafka adapter has."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Collection
from typing import Any

import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.kafka.bus import KafkaEventBus
from opentrail_backends.event_bus.kafka.settings import parse_kafka_url
from opentrail_backends.event_bus.port import EventBusError, MessageTooLarge, Partition, PublishFailed
from tests.contracts.event_bus.conftest import KafkaWorld
from tests.contracts.event_bus.members import numbered, until
from tests.servers.kafka import KafkaServer

pytestmark = pytest.mark.kafka

REGION = "eu-west-1"
ZERO, ONE = Partition(REGION, 0), Partition(REGION, 1)
STALL_AFTER = 0.4


@pytest.fixture
def reopenings() -> list[list[Partition]]:
    return []


@pytest.fixture
def watched(kafka_world: KafkaWorld, reopenings: list[list[Partition]], closing: contextlib.ExitStack) -> KafkaEventBus:
    """A bus whose readers are watched closely."""

    def note(stalled: Collection[Partition]) -> None:
        reopenings.append(sorted(stalled))

    bus = KafkaEventBus(parse_kafka_url(kafka_world.url(stall_after=STALL_AFTER)), on_reopen=note)
    closing.callback(bus.close)
    bus.ensure_topic(REGION, 2)
    return bus


def test_a_topic_is_made_as_the_design_demands(kafka_world: KafkaWorld) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    name = kafka_world.bus.ensure_topic(REGION, 3).name
    described: Any = kafka_world.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    found = {one: details["value"] for one, details in described["topic"][name].items()}
    assert {key: found[key] for key in found if key in WANTED} == WANTED


WANTED = {
    "cleanup.policy": "delete",
    "max.message.bytes": str(300_000 + 64 * 1024),
    "message.timestamp.type": "LogAppendTime",
    "min.insync.replicas": "1",
    "retention.bytes": "-1",
    "retention.ms": str(35 * 24 * 3600 * 1000),
    "unclean.leader.election.enable": "false",
}


def test_a_topic_that_somebody_else_made_is_told_for_all_that_it_lacks(kafka_world: KafkaWorld) -> None:
    name = kafka_world.prefix + REGION
    compacted = {"num_partitions": 1, "configs": {"cleanup.policy": "compact"}}
    kafka_world.admin.create_topics({name: compacted}, wait_for_metadata=True)
    bus = kafka_world.open(replication=3, min_insync=2)
    assert {sentence.removeprefix(f"topic {name} has ") for sentence in bus.unmet_conditions()} == {
        "cleanup.policy=compact; it must be delete",
        "message.timestamp.type=CreateTime; it must be LogAppendTime",
        "min.insync.replicas=1; it must be 2 or more",
        "retention.ms=604800000; it must be 3024000000 or more",
        "partitions with 1 replicas; it must be 3 or more",
    }


def test_a_topics_id_is_the_brokers(kafka_world: KafkaWorld) -> None:
    topic = kafka_world.bus.ensure_topic(REGION, 1)
    (described,) = kafka_world.admin.describe_topics([uuid.UUID(topic.id)])
    assert described["name"] == topic.name


def test_topics_of_others_are_not_ours(kafka_world: KafkaWorld) -> None:
    others = ["Not-A-Region", "eu-west-1.dead-letters", "eu_west_1"]
    kafka_world.admin.create_topics({kafka_world.prefix + name: {"num_partitions": 1} for name in others})
    kafka_world.bus.ensure_topic(REGION, 1)
    assert set(kafka_world.bus.topics()) == {REGION}
    reader = kafka_world.member().join()
    until(lambda: bool(reader.ours), reader)
    assert reader.ours == {ZERO}
    with pytest.raises(EventBusError, match="names no region"):
        kafka_world.bus.ensure_topic("Not-A-Region", 1)


def test_a_message_that_only_the_broker_finds_too_large_is_refused(kafka_world: KafkaWorld) -> None:
    kafka_world.bus.ensure_topic(REGION, 1)
    publisher = kafka_world.open(max_message_bytes=1_000_000).publisher()
    publisher.publish(ZERO, b"key", b"the limit is known from here on").result(30)
    change_limit(kafka_world, 100_000)
    with pytest.raises(PublishFailed, match="TooLarge"):
        publisher.publish(ZERO, b"key", bytes(200_000)).result(30)
    with pytest.raises(MessageTooLarge, match="the bus takes"):
        publisher.publish(ZERO, b"key", bytes(200_000)).result(30)
    for value in numbered(0, 3):
        publisher.publish(ZERO, b"key", value).result(30)
    publisher.close(5)
    assert kafka_world.bus.reader("nobody").bounds(ZERO).end == 4


def test_a_topic_with_the_brokers_own_limit_is_no_trap(kafka_world: KafkaWorld) -> None:
    kafka_world.admin.create_topics({kafka_world.prefix + REGION: {"num_partitions": 1}}, wait_for_metadata=True)
    publisher = kafka_world.open(max_message_bytes=8_000_000).publisher()
    with pytest.raises(MessageTooLarge, match="the bus takes"):
        publisher.publish(ZERO, b"key", bytes(1_048_588)).result(30)
    publisher.publish(ZERO, b"key", bytes(900_000)).result(30)
    publisher.close(5)


def change_limit(world: KafkaWorld, limit: int) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    configs = {"max.message.bytes": str(limit)}
    world.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, world.prefix + REGION, configs=configs)])


def test_a_reader_that_stands_still_is_made_anew(
    kafka_world: KafkaWorld, watched: KafkaEventBus, reopenings: list[list[Partition]]
) -> None:
    reader = kafka_world.member(bus=watched).join()
    until(lambda: len(reader.ours) == 2, reader)
    consumer: Any = reader.reader._consumer  # type: ignore[attr-defined]
    consumer.pause(kafka_world.bus._cluster.place(ONE))  # type: ignore[attr-defined]  # a fault: nobody asked for it
    for partition in (ZERO, ONE):
        kafka_world.put(partition, numbered(0, 5))
    until(lambda: len(reader.values(ONE)) == 5, reader)
    assert reopenings == [[ONE]]
    assert reader.reader.reopened == 1  # type: ignore[attr-defined]
    assert reader.told("revoked") == {ZERO, ONE}
    assert [event for _, event, partition in reader.story if partition == ONE] == ["assigned", "revoked", "assigned"]


def test_a_reader_that_has_nothing_to_do_or_is_held_is_left_alone(
    kafka_world: KafkaWorld, watched: KafkaEventBus, reopenings: list[list[Partition]]
) -> None:
    watched.ensure_topic("us-east-1", 1)
    kafka_world.put(ONE, numbered(0, 5))
    kafka_world.put(Partition("us-east-1", 0), numbered(0, 5))
    reader = kafka_world.member(bus=watched, patience=0.01).join()
    until(lambda: len(reader.messages) == 10, reader)
    reader.reader.seek(ONE, 0)
    reader.reader.pause([ONE])  # held, with more to read
    reader.reader.seek(Partition("us-east-1", 0), 9)
    with contextlib.suppress(EventBusError):
        until(lambda: False, reader)  # out of range: silent from here on
    watch: Any = reader.reader._watchdog  # type: ignore[attr-defined]
    checks = set()

    def checked_often() -> bool:
        checks.add(watch._checked_at)
        return len(checks) > 5

    until(checked_often, reader)
    assert reopenings == []
    reader.reader.resume([ONE])
    until(lambda: len(reader.messages) == 15, reader)


def test_a_broker_that_goes_and_comes_back_loses_and_doubles_nothing(
    own_kafka: KafkaServer, closing: contextlib.ExitStack
) -> None:
    world = KafkaWorld(closing, own_kafka.bootstrap)
    world.bus.ensure_topic(REGION, 2)
    hints = world.bus.lag("a group that a new cluster is asked for first")  # it has no coordinator yet
    assert [hint for hint, _ in hints.values()] == [None, None]
    publisher = world.open(delivery_timeout=120).publisher()  # longer than a broker takes to start on a busy machine
    closing.callback(publisher.close, 5.0)
    reader = world.member().join()
    until(lambda: len(reader.ours) == 2, reader)
    world.put(ZERO, [b"warm"])
    until(lambda: bool(reader.messages), reader)
    stopping = threading.Event()
    futures: list[tuple[Partition, bytes, Any]] = []

    def publish() -> None:
        number = 0
        while not stopping.is_set():
            partition, value = Partition(REGION, number % 2), b"%06d" % number
            futures.append((partition, value, publisher.publish(partition, b"key", value)))
            number += 1
            time.sleep(0.002)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        until(lambda: len(reader.messages) > 50, reader)
        own_kafka.kill()
        own_kafka.start()
        read = len(reader.messages)
        until(lambda: len(reader.messages) > read + 50, reader)
    finally:
        stopping.set()
        thread.join()
    assert all(future.exception(120) is None for _, _, future in futures)
    published = {partition: [value for to, value, _ in futures if to == partition] for partition in (ZERO, ONE)}
    until(lambda: len(reader.messages) >= 1 + len(futures), reader)
    for partition, values in published.items():
        assert [value for value in reader.values(partition) if value != b"warm"] == values


def test_a_publisher_closes_in_time_when_the_broker_is_gone(
    own_kafka: KafkaServer, closing: contextlib.ExitStack
) -> None:
    world = KafkaWorld(closing, own_kafka.bootstrap)
    world.bus.ensure_topic(REGION, 1)
    publisher = world.bus.publisher()
    publisher.publish(ZERO, b"key", b"value").result(30)
    own_kafka.kill()
    futures = [publisher.publish(ZERO, b"key", value) for value in numbered(0, 10)]
    publisher.close(0.5)
    for future in futures:
        with pytest.raises(PublishFailed):
            future.result(10)
    with pytest.raises(PublishFailed):
        publisher.publish(ZERO, b"key", b"late").result(10)


def test_a_cluster_that_is_not_there_is_told_and_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    bus = open_event_bus("kafka://127.0.0.1:1?connect_timeout=0.3")
    for attempt in (bus.topics, bus.publisher, lambda: bus.reader("delivery").subscribe(None)):  # type: ignore[arg-type]
        with pytest.raises(EventBusError, match="Kafka"):
            attempt()
    bus.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before

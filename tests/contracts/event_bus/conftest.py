"""One suite for the event bus, on the embedded one and on Kafka."""

from __future__ import annotations

import contextlib
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import EventBus, EventPublisher, Partition, Topic
from tests.contracts.event_bus.members import Member

MAX_MESSAGE_BYTES = 300_000
POLL_INTERVAL = 4.0  # seconds without polling after which a reader is out, where a test wants that


class World(Protocol):
    """A bus of one make, and what tests do to it from outside."""

    def open(self, **options: Any) -> EventBus: ...

    def member(self, name: str = "reader", group: str = "delivery", **details: Any) -> Member: ...

    def publisher(self) -> EventPublisher: ...

    def put(self, partition: Partition, values: Sequence[bytes]) -> None: ...

    bus: EventBus

    def outlast(self, member: Member) -> None:
        """Waits until a member that does not poll has lost its partitions."""

    def make_topic_anew(self, region: str, partitions: int) -> Topic: ...

    def delete_messages(self, partition: Partition, below: int) -> None: ...


@dataclass
class _World:
    closing: contextlib.ExitStack
    bus: EventBus = field(init=False)
    opened: EventPublisher | None = None
    url: Callable[..., str] = field(init=False)
    options: dict[str, Any] = field(default_factory=dict)

    def open(self, **options: Any) -> EventBus:
        bus = open_event_bus(self.url(**options), **self.options)
        self.closing.callback(bus.close)
        return bus

    def member(self, name: str = "reader", group: str = "delivery", **details: Any) -> Member:
        bus = details.pop("bus", None) or self.bus
        member = Member(bus.reader(group), name, **details)
        self.closing.callback(member.reader.close)
        return member

    def publisher(self) -> EventPublisher:
        publisher = self.bus.publisher()
        self.closing.callback(publisher.close, 5.0)
        return publisher

    def put(self, partition: Partition, values: Sequence[bytes]) -> None:
        """Publishes and waits for the bus."""
        if self.opened is None:
            self.opened = self.publisher()
        for future in [self.opened.publish(partition, b"111122223333", value) for value in values]:
            future.result(30)


class EmbeddedWorld(_World):
    def __init__(self, closing: contextlib.ExitStack, path: Path) -> None:
        super().__init__(closing)
        self.path = path
        self.ahead = 0.0
        self.options = {"now": lambda: time.time() + self.ahead}
        self.url = lambda **_: f"embedded://{path}?max_message_bytes={MAX_MESSAGE_BYTES}"
        self.bus = self.open()

    def outlast(self, member: Member) -> None:
        self.ahead += 61

    def make_topic_anew(self, region: str, partitions: int) -> Topic:
        self._change("DELETE FROM topics WHERE region = ?", region)
        return self.bus.ensure_topic(region, partitions)

    def delete_messages(self, partition: Partition, below: int) -> None:
        place = (
            "(SELECT partitions.id FROM partitions JOIN topics ON topic = topics.id WHERE region = ? AND number = ?)"
        )
        self._change(f"DELETE FROM messages WHERE partition = {place} AND offset < ?", *partition, below)
        self._change(f"UPDATE partitions SET start_offset = ? WHERE id = {place}", below, *partition)

    def _change(self, statement: str, *values: Any) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            assert connection.execute(statement, values).rowcount


class KafkaWorld(_World):
    def __init__(self, closing: contextlib.ExitStack, bootstrap: str) -> None:
        super().__init__(closing)
        self.bootstrap = bootstrap
        self.prefix = f"test.{uuid.uuid4().hex}."
        self.url = self._url
        self.bus = self.open()

    def _url(self, **options: Any) -> str:
        given = {
            "prefix": self.prefix,
            "replication": 1,
            "min_insync": 1,
            "max_message_bytes": MAX_MESSAGE_BYTES,
            "metadata_max_age": 0.3,
            "session_timeout": 6,
            "heartbeat": 0.2,
        } | options
        return f"kafka://{self.bootstrap}?" + "&".join(f"{name}={value}" for name, value in given.items())

    def outlast(self, member: Member) -> None:
        deadline = time.monotonic() + 10 * POLL_INTERVAL
        while self._members():
            assert time.monotonic() < deadline, "it still has its partitions"
            time.sleep(0.1)

    def _members(self) -> bool:
        group = self.prefix + "delivery"
        return bool(self.admin.describe_groups([group])[group]["members"])

    def make_topic_anew(self, region: str, partitions: int) -> Topic:
        self.admin.delete_topics([self.prefix + region])
        while region in self.bus.topics():
            time.sleep(0.05)
        return self.bus.ensure_topic(region, partitions)

    def delete_messages(self, partition: Partition, below: int) -> None:
        from kafka import TopicPartition

        self.admin.delete_records({TopicPartition(self.prefix + partition.region, partition.number): below})

    @property
    def admin(self) -> Any:
        return self.bus._cluster._client()  # type: ignore[attr-defined]


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def embedded_world(closing: contextlib.ExitStack, tmp_path: Path) -> EmbeddedWorld:
    return EmbeddedWorld(closing, tmp_path / "bus.db")


@pytest.fixture
def kafka_world(closing: contextlib.ExitStack, kafka_bootstrap: str) -> KafkaWorld:
    return KafkaWorld(closing, kafka_bootstrap)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def world(request: pytest.FixtureRequest) -> World:
    return request.getfixturevalue(f"{request.param}_world")  # type: ignore[no-any-return]

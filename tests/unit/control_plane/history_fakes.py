"""A share of partitions on a small fake of the bus, with a real index in memory that can be made to fail."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from opentrail.events.batch import EventBatch, SelectorClass, group_of
from opentrail_backends.event_bus.batches import pack
from opentrail_backends.event_bus.port import EventBusError, Message, Partition, Topic
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import StateStore
from opentrail_backends.state.port.event_history import HistoryCategory, HistoryQuery
from opentrail_control_plane.history.metrics import HistoryMetrics
from opentrail_control_plane.history.share import HistoryShare
from tests.unit.delivery.delivery_fakes import Reader as DeliveryReader

ACCOUNT = "111122223333"
HERE, THERE = Partition("eu-central-1", 0), Partition("us-east-1", 0)
NOW = 1_760_000_000
"""Seconds: where all clocks stand, and when all events happened."""


def record(name: str, **members) -> bytes:
    return json.dumps({"eventID": name, "eventName": "Run", **members}).encode()


def message(partition: Partition, offset: int, *names: str, category: str = "Management") -> Message:
    """A batch of events, which are named after their place unless they have names of their own."""
    return batch(partition, offset, {category: [record(name) for name in names or (place(partition, offset),)]})


def batch(partition: Partition, offset: int, records: dict[str, Sequence[bytes]]) -> Message:
    """A batch of a group for each category."""
    groups = [
        group_of(
            SelectorClass(category, "ec2.amazonaws.com", "Run", "AwsApiCall", False, ()),
            texts,
            map(len, texts),
            [NOW] * len(texts),
        )
        for category, texts in records.items()
    ]
    return Message(partition, offset, NOW * 1000, pack(EventBatch(ACCOUNT, partition.region, groups)))


def place(partition: Partition, offset: int) -> str:
    return f"{partition.region}/{offset}"


def places(partition: Partition, offsets: Iterable[int]) -> list[str]:
    return sorted(place(partition, offset) for offset in offsets)


class Reader(DeliveryReader):
    """A bus whose topics can be made anew, and that can be made to fail."""

    def __init__(self, *messages: Message) -> None:
        super().__init__(*messages)
        self.topic_ids: dict[str, str] = {}
        self.failures: dict[str, list[Exception]] = {}

    def make_topic_anew(self, *messages: Message) -> None:
        region = messages[0].partition.region
        self.topic_ids[region] = "topic-2"
        self.logs[messages[0].partition] = list(messages)

    def topic(self, region):
        self._fail("topic")
        return Topic(region, region, self.topic_ids.get(region, "topic-1"), 1)

    def poll(self, timeout):
        self._fail("poll")
        return super().poll(timeout)

    def bounds(self, partition):
        self._fail("bounds")
        return super().bounds(partition)

    def seek(self, partition, offset):
        if partition not in self.positions:
            raise EventBusError("not ours")
        super().seek(partition, offset)

    def _fail(self, call):
        if self.failures.get(call):
            raise self.failures[call].pop(0)


@dataclass
class Index:
    """The index, and what is to go wrong with it: errors before a call, or after it was kept."""

    state: StateStore
    failures: dict[str, list[tuple[Exception, bool]]] = field(default_factory=dict)
    added: list[int] = field(default_factory=list)
    """How many events each call brought."""

    def fail(self, call: str, error: Exception, *, kept: bool = False) -> None:
        self.failures.setdefault(call, []).append((error, kept))

    def position(self, *arguments):
        return self._do("position", lambda: self.state.history.position(*arguments))

    def add(self, region, partition, topic_id, offsets, events):
        self.added.append(len(events))
        return self._do("add", lambda: self.state.history.add(region, partition, topic_id, offsets, events))

    def _do(self, call, work):
        error, kept = self.failures[call].pop(0) if self.failures.get(call) else (None, True)
        result = work() if kept else None
        if error is not None:
            raise error
        return result


@dataclass
class World:
    """A share of partitions, and all that it touches."""

    reader: Reader
    index: Index = field(init=False)
    share: HistoryShare = field(init=False)
    registry: CollectorRegistry = field(init=False)
    seconds: float = 1_000.0

    def __post_init__(self) -> None:
        state = open_state_store("sqlite://", clock=lambda: NOW * 1000)
        state.migrate()
        self.index = Index(state)
        self.begin()

    def begin(self) -> None:
        """A share as it begins: all partitions are assigned to it."""
        self.registry = CollectorRegistry()
        metrics = HistoryMetrics(self.registry)
        self.share = HistoryShare(self.reader, self.index, metrics, lambda: NOW * 1000 + 700, lambda: self.seconds)  # type: ignore[arg-type]
        self.reader.assign(self.share, *self.reader.logs)

    def run(self, rounds: int = 1, each: float = 1.0) -> None:
        """Rounds of work; the clock goes on by `each` after every one."""
        for _ in range(rounds):
            self.share.run_once()
            self.seconds += each

    def indexed(self, category: HistoryCategory = HistoryCategory.MANAGEMENT) -> list[str]:
        """The ids of all events in the index, sorted."""
        names = []
        for region in sorted({partition.region for partition in self.reader.logs}):
            query = HistoryQuery(account_id=ACCOUNT, region=region, category=category, start=0, end=2 * NOW)
            names += [json.loads(one.record)["eventID"] for one in self.index.state.history.lookup(query, 1_000)]
        return sorted(names)

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"opentrail_history_{name}", labels) or 0.0

    def position(self, partition: Partition, topic_id: str = "topic-1") -> int | None:
        return self.index.state.history.position(*partition, topic_id)


@contextmanager
def worlds() -> Iterator[Callable[..., World]]:
    """Makes worlds with so many messages of each partition, and others; their indexes are closed at the end."""
    made: list[World] = []

    def make(*messages: Message, here: int = 0, there: int = 0) -> World:
        sent = [message(HERE, n) for n in range(here)] + [message(THERE, n) for n in range(there)]
        made.append(World(Reader(*sent, *messages)))
        return made[-1]

    yield make
    for one in made:
        one.index.state.close()

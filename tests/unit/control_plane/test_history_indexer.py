"""The indexer as a service: it begins, goes on after outages, forgets what is old, and ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import EventBus, EventBusError
from opentrail_backends.state.port import StateError
from opentrail_control_plane.history import indexer as indexers
from opentrail_control_plane.history.indexer import GROUP, HistoryIndexer
from opentrail_control_plane.history.metrics import HistoryMetrics
from tests.unit.control_plane.history_fakes import HERE, NOW, message

DAY = 86_400


class History:
    """An index that only counts."""

    def __init__(self) -> None:
        self.next_offset: int | None = None
        self.events: list[str] = []
        self.forgotten: list[int] = []
        self.failures: list[Exception] = []

    def position(self, *_: object) -> int | None:
        return self.next_offset

    def add(self, _region: str, _partition: int, _topic: str, offsets: tuple[int | None, int], events: Any) -> int:
        assert offsets[0] == self.next_offset
        self.next_offset = offsets[1]
        self.events += [event.event_id for event in events]
        return len(events)

    def forget(self, before: int) -> int:
        self.forgotten.append(before)
        if self.failures:
            raise self.failures.pop(0)
        return 3


@pytest.fixture
def bus(tmp_path) -> Iterator[EventBus]:
    opened = open_event_bus(f"embedded:///{tmp_path}/bus.db")
    opened.ensure_topic(HERE.region, 1)
    yield opened
    opened.close()


@pytest.fixture
def start() -> Iterator[Callable[..., HistoryIndexer]]:
    started: list[HistoryIndexer] = []

    def begin(bus: Any, history: Any, registry: CollectorRegistry | None = None) -> HistoryIndexer:
        started.append(HistoryIndexer(bus, history, HistoryMetrics(registry), clock=lambda: NOW * 1000))
        started[-1].start()
        return started[-1]

    yield begin
    for one in started:
        one.stop(20)


def publish(bus: EventBus, *numbers: int) -> None:
    publisher = bus.publisher()
    for number in numbers:
        publisher.publish(HERE, b"key", message(HERE, number).value).result(20)
    publisher.close(20)


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_what_is_on_the_bus_is_indexed_and_what_comes_later(bus, start):
    history = History()
    publish(bus, 0, 1)
    start(bus, history)
    until(lambda: history.next_offset == 2)
    publish(bus, 2)
    until(lambda: history.next_offset == 3)
    assert history.events == [f"{HERE.region}/{number}" for number in range(3)]


def test_its_end_indexes_what_was_read_and_leaves_the_group_to_others(bus, start):
    history = History()
    publish(bus, 0)
    first = start(bus, history)
    until(lambda: history.next_offset == 1)
    first.stop(20)
    (hint, bounds) = bus.lag(GROUP)[HERE]
    assert (hint.offset, bounds.end) == (1, 1)
    publish(bus, 1)
    start(bus, history)
    until(lambda: history.next_offset == 2)


def test_a_bus_that_gives_no_reader_is_asked_again(bus, start, monkeypatch):
    monkeypatch.setattr(indexers, "_RETRY_SECONDS", 0.01)
    history = History()
    failures: list[Exception] = [EventBusError("away"), ZeroDivisionError("a fault of ours")]

    class Failing:
        def reader(self, group: str) -> Any:
            if failures:
                raise failures.pop(0)
            return bus.reader(group)

    publish(bus, 0)
    start(Failing(), history)
    until(lambda: history.next_offset == 1)
    assert failures == []


def test_what_is_ninety_days_old_is_forgotten_an_hour_later_and_hourly(bus):
    seconds = [1_000.0]
    history, registry = History(), CollectorRegistry()
    indexer = HistoryIndexer(
        bus, history, HistoryMetrics(registry), clock=lambda: NOW * 1000, monotonic=lambda: seconds[0]
    )
    indexer.forget()
    indexer.forget()
    assert history.forgotten == [NOW - 90 * DAY - 3600]
    history.failures = [StateError("away")]
    for _ in range(2):
        seconds[0] += 3600
        indexer.forget()
    assert len(history.forgotten) == 3
    assert registry.get_sample_value("opentrail_history_forgotten_tables_total") == 6


def test_an_indexer_that_was_not_started_can_be_stopped(bus):
    HistoryIndexer(bus, History()).stop(1)

"""The embedded bus forgets what all its groups have passed, and nothing else (design, "What is forgotten")."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from opentrail_backends.event_bus.embedded.bus import EmbeddedEventBus
from opentrail_backends.event_bus.embedded.settings import EmbeddedSettings
from opentrail_backends.event_bus.port import Bounds, EventBusError, Partition
from tests.contracts.event_bus.conftest import EmbeddedWorld
from tests.contracts.event_bus.members import numbered, steps, until

REGION = "eu-west-1"
ZERO, ONE = Partition(REGION, 0), Partition(REGION, 1)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[EmbeddedEventBus]:
    bus = EmbeddedEventBus(EmbeddedSettings(tmp_path / "bus.db"))
    bus.ensure_topic(REGION, 2)
    yield bus
    bus.close()


def hint(bus: EmbeddedEventBus, group: str, partition: Partition, offset: int) -> None:
    reader = bus.reader(group)

    class Silent:
        def assigned(self, partitions: object) -> None: ...
        def revoked(self, partitions: object) -> None: ...
        def lost(self, partitions: object) -> None: ...

    reader.subscribe(Silent())
    reader.poll(0)
    reader.commit(partition, offset, "hint")
    reader.close()


def fill(bus: EmbeddedEventBus, count: int) -> None:
    publisher = bus.publisher()
    for future in [publisher.publish(ZERO, b"", value) for value in numbered(0, count)]:
        future.result(10)
    publisher.close(10)


def test_nothing_is_forgotten_before_every_group_has_passed_it(bus: EmbeddedEventBus) -> None:
    fill(bus, 10)
    assert bus.forget(ZERO, 10) == 0  # no group yet
    hint(bus, "history", ONE, 0)  # a member of the group, without a hint for this partition
    hint(bus, "delivery", ZERO, 7)
    assert bus.forget(ZERO, 10) == 0
    assert bus.lag("delivery")[ZERO][1] == Bounds(0, 10)
    hint(bus, "history", ZERO, 4)
    assert bus.lag("delivery")[ZERO][1] == Bounds(4, 10)
    assert bus.forget(ZERO, 10) == 0
    hint(bus, "history", ZERO, 9)
    assert bus.lag("delivery")[ZERO][1] == Bounds(7, 10)
    assert bus.forget(ZERO, 10) == 0


def test_forgetting_ends_at_the_offset_that_is_asked_for(bus: EmbeddedEventBus) -> None:
    fill(bus, 200)
    hint(bus, "delivery", ZERO, 150)
    start = bus.lag("delivery")[ZERO][1].start
    assert start < 100  # a commit alone forgets a little
    assert bus.forget(ZERO, 100) == 100 - start
    assert bus.forget(ZERO, 1000) == 50
    assert bus.forget(Partition("no-such-1", 0), 1000) == 0
    assert bus.lag("delivery")[ZERO][1] == Bounds(150, 200)


def test_a_hint_that_goes_back_forgets_nothing_more_and_publishing_goes_on_behind(bus: EmbeddedEventBus) -> None:
    fill(bus, 10)
    hint(bus, "delivery", ZERO, 10)
    hint(bus, "delivery", ZERO, 2)
    assert bus.lag("delivery")[ZERO][1] == Bounds(10, 10)
    fill(bus, 3)
    assert bus.lag("delivery")[ZERO][1] == Bounds(10, 13)
    assert bus.forget(ZERO, 13) == 0


def test_much_is_forgotten_little_by_little_while_polling(embedded_world: EmbeddedWorld) -> None:
    embedded_world.bus.ensure_topic(REGION, 1)
    embedded_world.put(ZERO, numbered(0, 500))
    reader = embedded_world.member().join()
    until(lambda: len(reader.messages) == 500, reader)
    reader.reader.commit(ZERO, 450)
    after_commit = reader.reader.bounds(ZERO).start
    assert 0 < after_commit < 450
    steps(20, reader)
    assert reader.reader.bounds(ZERO) == Bounds(450, 500)


def test_a_forgotten_range_is_out_of_range_and_the_rest_is_read(embedded_world: EmbeddedWorld) -> None:
    embedded_world.bus.ensure_topic(REGION, 1)
    embedded_world.put(ZERO, numbered(0, 10))
    reader = embedded_world.member().join()
    until(lambda: len(reader.messages) == 10, reader)
    reader.reader.commit(ZERO, 6)
    reader.messages.clear()
    reader.reader.seek(ZERO, 5)
    with pytest.raises(EventBusError, match="outside"):
        until(lambda: False, reader)
    reader.reader.seek(ZERO, 6)
    until(lambda: len(reader.messages) == 4, reader)
    assert reader.values() == numbered(6, 10)

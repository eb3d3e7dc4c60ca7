"""Reading: positions are the reader's own business."""

from __future__ import annotations

import pytest

from opentrail_backends.event_bus.port import Bounds, CommittedPosition, EventBusError, OffsetOutOfRange, Partition
from tests.contracts.event_bus.conftest import World
from tests.contracts.event_bus.members import Member, numbered, steps, until

REGION = "eu-west-1"
ZERO, ONE = Partition(REGION, 0), Partition(REGION, 1)


@pytest.fixture
def reader(world: World) -> Member:
    """A reader that has read ten messages of each of two partitions."""
    world.bus.ensure_topic(REGION, 2)
    for partition in (ZERO, ONE):
        world.put(partition, numbered(0, 10))
    reader = world.member().join()
    until(lambda: len(reader.messages) == 20, reader)
    reader.messages.clear()
    return reader


def test_a_reader_without_a_position_reads_nothing_even_if_one_is_committed(world: World) -> None:
    world.bus.ensure_topic(REGION, 1)
    world.put(ZERO, numbered(0, 5))
    first = world.member("first").join()
    until(lambda: len(first.messages) == 5, first)
    first.reader.commit(ZERO, 2)
    first.reader.close()
    second = world.member("second", seeks=False).join()
    until(lambda: ZERO in second.ours, second)
    steps(20, second)
    assert second.messages == []
    second.reader.seek(ZERO, 4)
    until(lambda: bool(second.messages), second)
    assert second.values() == numbered(4, 5)


def test_a_range_is_read_again_the_same(reader: Member) -> None:
    reader.reader.seek(ZERO, 3)
    until(lambda: len(reader.messages) == 7, reader)
    first, reader.messages = reader.messages, []
    reader.reader.seek(ZERO, 3)
    until(lambda: len(reader.messages) == 7, reader)
    assert reader.messages == first
    assert [message.offset for message in first] == list(range(3, 10))


def test_seeking_in_the_midst_of_reading_drops_what_was_fetched(world: World, reader: Member) -> None:
    world.put(ZERO, numbered(10, 1200))
    until(lambda: bool(reader.messages), reader)
    reader.messages.clear()
    reader.reader.seek(ZERO, 5)
    until(lambda: len(reader.messages) >= 1195, reader)
    assert [message.offset for message in reader.messages] == list(range(5, 1200))


def test_from_the_end_only_what_comes_later_is_read(world: World, reader: Member) -> None:
    reader.reader.seek(ZERO, 10)
    steps(5, reader)
    assert reader.messages == []
    world.put(ZERO, numbered(10, 12))
    until(lambda: len(reader.messages) == 2, reader)
    assert reader.values() == numbered(10, 12)


def test_a_position_beyond_the_end_is_out_of_range_and_others_are_read_on(world: World, reader: Member) -> None:
    reader.reader.seek(ZERO, 11)
    with pytest.raises(OffsetOutOfRange) as raised:
        until(lambda: False, reader)
    assert (raised.value.partition, raised.value.offset, raised.value.bounds) == (ZERO, 11, Bounds(0, 10))
    world.put(ONE, numbered(10, 12))
    world.put(ZERO, numbered(10, 15))  # the position is inside now, but it was never reset
    until(lambda: len(reader.messages) == 2, reader)
    steps(10, reader)
    assert reader.values(ZERO) == []
    reader.reader.seek(ZERO, 12)
    until(lambda: bool(reader.values(ZERO)), reader)
    assert reader.values(ZERO) == numbered(12, 15)


def test_a_position_before_the_start_is_out_of_range(world: World, reader: Member) -> None:
    world.delete_messages(ZERO, 6)
    reader.reader.seek(ZERO, 5)
    with pytest.raises(OffsetOutOfRange) as raised:
        until(lambda: False, reader)
    assert (raised.value.partition, raised.value.offset, raised.value.bounds) == (ZERO, 5, Bounds(6, 10))
    assert ZERO in reader.ours
    reader.reader.seek(ZERO, 6)
    until(lambda: len(reader.messages) == 4, reader)
    assert reader.values() == numbered(6, 10)


def test_an_out_of_range_partition_stays_silent_over_pause_and_resume(reader: Member) -> None:
    reader.reader.seek(ZERO, 99)
    with pytest.raises(OffsetOutOfRange):
        until(lambda: False, reader)
    reader.reader.pause([ZERO])
    reader.reader.resume([ZERO])
    steps(10, reader)
    assert reader.messages == []


def test_a_paused_partition_is_silent_stays_ours_and_goes_on_where_it_was(world: World, reader: Member) -> None:
    reader.reader.pause([ZERO])
    world.put(ZERO, numbered(10, 20))
    world.put(ONE, numbered(10, 20))
    until(lambda: len(reader.values(ONE)) == 10, reader)
    steps(5, reader)
    assert reader.values(ZERO) == []
    assert reader.ours == {ZERO, ONE}
    reader.reader.resume([ZERO])
    until(lambda: len(reader.values(ZERO)) == 10, reader)
    assert reader.values(ZERO) == numbered(10, 20)


def test_a_paused_partition_that_is_sought_stays_paused(reader: Member) -> None:
    reader.reader.pause([ZERO])
    reader.reader.seek(ZERO, 7)
    steps(10, reader)
    assert reader.messages == []
    reader.reader.resume([ZERO])
    until(lambda: len(reader.messages) == 3, reader)
    assert reader.values() == numbered(7, 10)


def test_what_is_not_ours_cannot_be_sought_and_is_left_out_of_pausing(reader: Member) -> None:
    elsewhere = Partition("no-such-1", 0)
    with pytest.raises(EventBusError):
        reader.reader.seek(elsewhere, 0)
    reader.reader.pause([elsewhere])
    reader.reader.resume([elsewhere])


def test_polling_without_any_message_returns_empty(reader: Member) -> None:
    assert list(reader.reader.poll(0.0)) == []
    assert list(reader.reader.poll(0.05)) == []


def test_a_committed_position_comes_back_with_its_metadata(world: World, reader: Member) -> None:
    assert reader.reader.committed(ZERO) is None
    reader.reader.commit(ZERO, 4, "intent 0197")
    reader.reader.commit(ONE, 9)
    assert reader.reader.committed(ZERO) == CommittedPosition(4, "intent 0197")
    assert reader.reader.committed(ONE) == CommittedPosition(9, "")
    reader.reader.commit(ZERO, 6, "intent 0198")
    assert reader.reader.committed(ZERO) == CommittedPosition(6, "intent 0198")
    assert world.member(group="history").reader.committed(ZERO) is None


def test_lag_shows_each_partitions_hint_and_bounds(world: World, reader: Member) -> None:
    reader.reader.commit(ZERO, 4, "intent 0197")
    start = reader.reader.bounds(ZERO).start
    assert world.open().lag("delivery") == {
        ZERO: (CommittedPosition(4, "intent 0197"), Bounds(start, 10)),
        ONE: (None, Bounds(0, 10)),
    }
    assert world.bus.lag("nobody") == {ZERO: (None, Bounds(start, 10)), ONE: (None, Bounds(0, 10))}


def test_a_commit_that_cannot_be_is_not_raised(reader: Member) -> None:
    reader.reader.commit(Partition("no-such-1", 0), 1)
    reader.reader.commit(Partition(REGION, 7), 1)
    assert reader.reader.committed(ZERO) is None

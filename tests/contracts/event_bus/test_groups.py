"""Groups: partitions are spread over the readers, and each change is told in time."""

from __future__ import annotations

import threading
from collections.abc import Collection

import pytest

from opentrail_backends.event_bus.port import CommittedPosition, Partition
from tests.contracts.event_bus.conftest import POLL_INTERVAL, World
from tests.contracts.event_bus.members import Member, all_of, numbered, steps, until

REGION = "eu-west-1"
EVERYTHING = [Partition(REGION, number) for number in range(4)]


def two_members(world: World) -> tuple[Member, Member, list[tuple[str, str, Partition]]]:
    """Two readers of one group that have two partitions each; the first was alone before."""
    world.bus.ensure_topic(REGION, 4)
    story: list[tuple[str, str, Partition]] = []
    first = world.member("first", story=story).join()
    until(lambda: len(first.ours) == 4, first)
    second = world.member("second", story=story, bus=world.open()).join()
    until(lambda: len(second.ours) == 2 == len(first.ours), first, second)
    return first, second, story


def test_one_reader_has_every_partition_of_every_region(world: World) -> None:
    for region in ("eu-west-1", "us-east-1"):
        world.bus.ensure_topic(region, 2)
    reader = world.member().join()
    until(lambda: len(reader.ours) == 4, reader)
    assert reader.told("assigned") == reader.ours
    assert {partition.region for partition in reader.ours} == {"eu-west-1", "us-east-1"}


def test_a_region_that_appears_later_joins_by_itself(world: World) -> None:
    world.bus.ensure_topic("eu-west-1", 2)
    reader = world.member().join()
    until(lambda: len(reader.ours) == 2, reader)
    world.bus.ensure_topic("us-east-1", 2)
    world.put(Partition("us-east-1", 1), [b"hello"])
    until(lambda: bool(reader.messages), reader)
    assert len(reader.ours) == 4
    assert reader.told("revoked") == reader.told("lost") == set()


def test_changes_come_through_however_short_the_polls_are(world: World) -> None:
    world.bus.ensure_topic("eu-west-1", 2)
    hasty = world.member("hasty", patience=0.0).join()
    until(lambda: len(hasty.ours) == 2, hasty)
    world.bus.ensure_topic("us-east-1", 2)
    until(lambda: len(hasty.ours) == 4, hasty)
    other = world.member("other", patience=0.0).join()
    until(lambda: len(hasty.ours) == len(other.ours) == 2, hasty, other)
    world.put(Partition("us-east-1", 1), [b"hello"])
    until(lambda: bool(hasty.messages or other.messages), hasty, other)


def test_a_reader_that_joins_before_any_region_exists_gets_them_all(world: World) -> None:
    reader = world.member().join()
    steps(3, reader)
    assert reader.ours == frozenset()
    world.bus.ensure_topic(REGION, 4)
    until(lambda: len(reader.ours) == 4, reader)


def test_a_second_reader_takes_half_and_only_that_changes_hands(world: World) -> None:
    first, second, story = two_members(world)
    assert all_of(first.ours, second.ours) == EVERYTHING
    assert first.told("revoked") == second.told("assigned") == second.ours
    assert len([event for event in story if event[:2] == ("first", "assigned")]) == 4
    for partition in second.ours:
        assert story.index(("first", "revoked", partition)) < story.index(("second", "assigned", partition))


def test_each_message_goes_to_the_reader_that_has_its_partition(world: World) -> None:
    first, second, _ = two_members(world)
    for partition in EVERYTHING:
        world.put(partition, numbered(0, 25))
    until(lambda: len(first.messages) + len(second.messages) >= 100, first, second)
    for member in (first, second):
        for partition in member.ours:
            assert member.values(partition) == numbered(0, 25)
        assert {message.partition for message in member.messages} == member.ours


def test_a_hint_can_be_committed_while_a_partition_is_given_up(world: World) -> None:
    world.bus.ensure_topic(REGION, 4)
    first = world.member("first")
    first.in_revoked = lambda partition: first.reader.commit(partition, 0, f"given up {partition.number}")
    first.join()
    until(lambda: len(first.ours) == 4, first)
    second = world.member("second").join()
    until(lambda: len(second.ours) == 2 == len(first.ours), first, second)
    for partition in second.ours:
        assert second.reader.committed(partition) == CommittedPosition(0, f"given up {partition.number}")


def test_a_reader_that_leaves_is_told_first_and_the_other_takes_over(world: World) -> None:
    first, second, story = two_members(world)
    had = set(second.ours)
    second.in_revoked = lambda partition: second.reader.commit(partition, 0, "bye")
    second.reader.close()
    assert second.told("revoked") == had
    until(lambda: len(first.ours) == 4, first)
    for partition in had:
        last = max(number for number, event in enumerate(story) if event == ("first", "assigned", partition))
        assert story.index(("second", "revoked", partition)) < last
        assert first.reader.committed(partition) == CommittedPosition(0, "bye")


def test_a_reader_that_stops_polling_loses_its_partitions_and_is_told_so(world: World) -> None:
    world.bus.ensure_topic(REGION, 4)
    story: list[tuple[str, str, Partition]] = []
    stuck = world.member("stuck", story=story, bus=world.open(poll_interval=POLL_INTERVAL)).join()
    until(lambda: len(stuck.ours) == 4, stuck)
    world.outlast(stuck)
    living = world.member("living", story=story).join()
    until(lambda: len(living.ours) == 4, living)
    for partition in EVERYTHING:
        world.put(partition, [b"for the living"])
    stuck.reader.commit(EVERYTHING[0], 0, "from the dead")
    until(lambda: len(living.messages) == 4, living)
    assert living.reader.committed(EVERYTHING[0]) is None
    until(lambda: bool(stuck.told("lost")), stuck, living)
    assert stuck.told("lost") == set(EVERYTHING)
    assert stuck.told("revoked") == set()
    until(lambda: len(stuck.ours) == 2 == len(living.ours), stuck, living)
    assert all_of(stuck.ours, living.ours) == EVERYTHING


def test_groups_do_not_know_of_each_other(world: World) -> None:
    world.bus.ensure_topic(REGION, 4)
    world.put(EVERYTHING[2], numbered(0, 5))
    readers = [world.member(group=group).join() for group in ("delivery", "history")]
    until(lambda: all(len(reader.messages) == 5 for reader in readers), *readers)
    assert [len(reader.ours) for reader in readers] == [4, 4]


def test_more_readers_than_partitions_leave_one_idle_until_it_is_needed(world: World) -> None:
    world.bus.ensure_topic(REGION, 1)
    first = world.member("first").join()
    until(lambda: len(first.ours) == 1, first)
    second = world.member("second").join()
    steps(10, first, second)
    assert (len(first.ours), len(second.ours)) == (1, 0)
    first.reader.close()
    until(lambda: len(second.ours) == 1, second)


def test_changes_are_told_by_the_thread_that_polls(world: World) -> None:
    first, second, _ = two_members(world)
    first.reader.close()
    until(lambda: len(second.ours) == 4, second)
    assert first.threads == second.threads == {threading.get_ident()}


class Failing(Member):
    fails = True

    def assigned(self, partitions: Collection[Partition]) -> None:
        super().assigned(partitions)
        if self.fails:
            raise ZeroDivisionError("the listener failed")


def test_an_error_of_the_listener_comes_out_of_poll_and_nothing_is_lost_by_it(world: World) -> None:
    world.bus.ensure_topic(REGION, 2)
    for number in range(2):
        world.put(Partition(REGION, number), numbered(0, 5))
    reader = Failing(world.member().reader).join()
    with pytest.raises(ZeroDivisionError):
        until(lambda: False, reader)
    assert len(reader.ours) == 2
    until(lambda: len(reader.messages) >= 10, reader)
    assert sorted(reader.values()) == sorted(numbered(0, 5) * 2)


def test_closing_twice_is_once(world: World) -> None:
    world.bus.ensure_topic(REGION, 1)
    reader = world.member().join()
    until(lambda: bool(reader.ours), reader)
    reader.reader.close()
    reader.reader.close()
    assert reader.told("revoked") == {Partition(REGION, 0)}
    assert reader.ours == frozenset()

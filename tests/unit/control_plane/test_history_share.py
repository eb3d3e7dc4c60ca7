"""Indexing a share of partitions: each event once, whatever fails on the way, and no partition holds up another."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from opentrail_backends.event_bus.port import EventBusError
from opentrail_backends.state.port import HistoryCategory, OutcomeUnknown, StateError
from opentrail_control_plane.history import share
from tests.unit.control_plane.history_fakes import HERE, THERE, World, batch, message, place, places, record, worlds


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    with worlds() as make:
        yield make


# --- What is indexed, and when


def test_events_of_all_partitions_are_indexed_from_the_start_of_the_log(world):
    one = world(here=3, there=2)
    one.run(4)
    assert one.indexed() == places(HERE, range(3)) + places(THERE, range(2))
    assert (one.position(HERE), one.position(THERE)) == (3, 2)
    assert one.reader.commits[-1] in {(HERE, 3), (THERE, 2)}
    assert one.counted("events_total") == 5
    assert one.counted("lag_seconds_sum") == pytest.approx(0.7 * one.counted("lag_seconds_count"))


def test_management_and_insights_events_are_looked_up_apart_and_others_not_at_all(world):
    records = {name: [record(name)] for name in ("Management", "Insight", "Data", "NetworkActivity")}
    one = world(batch(HERE, 0, records))
    one.run(2)
    assert one.indexed() == ["Management"]
    assert one.indexed(HistoryCategory.INSIGHT) == ["Insight"]
    assert one.index.added == [2]


def test_what_holds_nothing_for_history_moves_the_position_all_the_same(world):
    one = world(*(message(HERE, n, category="Data") for n in range(3)))
    one.run(3, each=0.01)
    one.run(2)
    assert one.position(HERE) == 3
    assert one.index.added == [0]


def test_events_wait_half_a_second_for_others(world):
    one = world(here=4)
    one.run(4, each=0.1)
    assert one.index.added == []
    one.run(1, each=0.1)
    assert one.index.added == []
    one.run(1, each=0.1)
    assert one.index.added == [4]


def test_many_events_do_not_wait(world, monkeypatch):
    monkeypatch.setattr(share, "BATCH_EVENTS", 3)
    one = world(here=7)
    one.run(7, each=0)
    assert one.index.added == [3, 3]
    one.share.index_all()
    assert one.index.added == [3, 3, 1]
    assert one.indexed() == places(HERE, range(7))


def test_what_waits_of_all_partitions_is_bounded(world, monkeypatch):
    size = 100
    padded = {"Management": [record("x", pad="x" * size)]}
    monkeypatch.setattr(share, "BATCH_BYTES", 4 * size)
    one = world(*(batch(partition, n, padded) for partition in (HERE, THERE) for n in range(4)))
    one.run(2, each=0)
    assert sum(one.index.added) > 0


def test_an_event_that_came_before_is_counted_not_indexed(world):
    one = world(message(HERE, 0, "a", "b"), message(HERE, 1, "b", "c"))
    one.run(3, each=1)
    assert one.indexed() == ["a", "b", "c"]
    assert (one.counted("events_total"), one.counted("events_left_out_total")) == (3, 1)


# --- Going on


def test_another_process_goes_on_where_the_index_is(world):
    one = world(here=5)
    one.run(2, each=1)
    assert one.position(HERE) == 2
    one.reader.given.clear()
    one.begin()
    one.run(5)
    assert one.reader.given == [(HERE, offset) for offset in (2, 3, 4)]
    assert one.indexed() == places(HERE, range(5))
    assert one.counted("events_left_out_total") == 0


def test_what_was_read_of_a_partition_that_goes_to_another_is_left_to_it(world):
    one = world(here=2, there=2)
    one.run(2, each=0)
    one.share.revoked([HERE])
    one.share.lost([THERE])
    one.share.index_all()
    one.reader.positions = {}
    one.run(3)
    assert one.index.added == []
    one.begin()
    one.run(4)
    assert one.indexed() == places(HERE, range(2)) + places(THERE, range(2))


@pytest.mark.parametrize("kept", [True, False])
def test_an_outage_of_the_state_store_loses_and_doubles_nothing(world, kept):
    one = world(here=3, there=3)
    one.index.fail("add", OutcomeUnknown("no answer"), kept=kept)
    one.index.fail("position", StateError("away"))
    one.run(12, each=0.6)
    assert one.indexed() == places(HERE, range(3)) + places(THERE, range(3))
    assert one.counted("restarts_total", why="state") == 2
    assert (one.position(HERE), one.position(THERE)) == (3, 3)


def test_a_store_that_is_away_at_the_start_is_asked_again(world):
    one = world(here=1)
    one.index.fail("position", StateError("away"))
    one.begin()
    one.reader.positions[HERE] = 0  # the fake wants one; a real reader is silent without
    one.reader.pause([HERE])
    one.run(4)
    assert one.indexed() == [place(HERE, 0)]


def test_a_reader_that_was_overtaken_goes_on_behind_the_other(world):
    one = world(here=4)
    one.run(1)  # read, not indexed
    other = one.index.state.history
    other.add(*HERE, "topic-1", (None, 2), [])
    one.run(6)
    assert one.counted("restarts_total", why="moved") == 1
    assert one.position(HERE) == 4
    assert one.indexed() == places(HERE, (2, 3))


def test_a_fault_of_ours_holds_up_its_own_partition_only(world, caplog):
    one = world(here=1, there=3)
    one.index.fail("add", ZeroDivisionError("a fault"))
    with caplog.at_level(logging.ERROR):
        one.run(5, each=1)
    assert one.indexed() == places(THERE, range(3))
    assert one.counted("restarts_total", why="fault") == 1
    assert "a fault" in caplog.text
    one.run(8, each=1)
    assert one.indexed() == places(HERE, range(1)) + places(THERE, range(3))


@pytest.mark.parametrize("call", ["poll", "topic", "bounds"])
def test_an_outage_of_the_bus_is_waited_for(world, call):
    one = world(here=3)
    one.reader.failures = {call: [EventBusError("away")] * 2}
    one.begin()
    one.reader.positions[HERE] = one.reader.positions[HERE] or 0
    for _ in range(10):
        one.share.run_once()
        assert 0.0 <= one.share.waits <= 1.0
        one.seconds += 1
    assert one.indexed() == places(HERE, range(3))
    assert one.counted("restarts_total", why="bus") == 2


def test_messages_of_before_a_restart_are_not_taken_for_those_after_it(world):
    """A bus may still give what it had fetched: what lies between must not be skipped."""
    one = world(here=4)
    one.run(1, each=0)
    stale = message(HERE, 3)
    one.index.fail("add", StateError("away"))
    one.share._take(stale)
    one.share.index_all()
    one.share._take(stale)
    one.run(8)
    assert one.indexed() == places(HERE, range(4))

"""Indexing where the bus has not what comes next, or has what cannot be read: said loudly, and gone on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from opentrail_backends.event_bus.port import Message
from opentrail_backends.state.port import StateError
from tests.unit.control_plane.history_fakes import HERE, NOW, THERE, World, batch, message, places, record, worlds

POISON = b"OTEB\x01 and then nothing that makes sense"
NEWER = b"OTEB\x63"


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    with worlds() as make:
        yield make


def test_a_log_that_was_cut_is_gone_on_with_at_its_start(world, caplog):
    one = world(here=6)
    one.run(2)
    assert one.position(HERE) == 2
    one.begin()
    one.reader.starts[HERE] = 4
    with caplog.at_level(logging.ERROR):
        one.run(5)
    assert one.indexed() == places(HERE, (0, 1, 4, 5))
    assert one.counted("cut_logs_total") == 1
    assert "missing" in caplog.text
    assert one.position(HERE) == 6


def test_what_was_read_before_the_cut_is_indexed_too(world):
    one = world(here=6)
    one.run(2, each=0)
    one.reader.starts[HERE] = 4
    one.run(4)
    assert one.indexed() == places(HERE, (0, 1, 4, 5))


@pytest.mark.parametrize("assigned", [True, False])
def test_a_topic_that_was_made_anew_begins_at_its_start(world, assigned):
    one = world(here=3)
    one.run(4)
    one.reader.make_topic_anew(*(message(HERE, n, f"new {n}") for n in range(5)))
    if assigned:
        one.reader.assign(one.share, HERE)
    else:
        one.seconds += 60
    one.run(7)
    assert one.indexed() == sorted([*places(HERE, range(3)), *(f"new {n}" for n in range(5))])
    assert (one.position(HERE), one.position(HERE, "topic-2")) == (3, 5)
    assert one.counted("cut_logs_total") == 0


def test_what_was_read_of_a_topic_before_it_was_made_anew_is_indexed_and_that_is_no_cut_log(world):
    one = world(here=5)
    one.run(5, each=0)
    one.reader.make_topic_anew(message(HERE, 0, "new"))
    one.reader.positions[HERE] = -1  # the fake's way to be out of range
    one.run(4)
    assert one.indexed() == sorted([*places(HERE, range(5)), "new"])
    assert one.counted("cut_logs_total") == 0


def test_a_message_that_is_given_again_moves_nothing_back(world):
    one = world(here=3)
    one.run(5)
    one.share._take(message(HERE, 0))
    one.share.index_all()
    assert one.position(HERE) == 3
    assert one.counted("events_left_out_total") == 0


def test_poison_is_passed_over(world, caplog):
    one = world(message(HERE, 0), Message(HERE, 1, NOW * 1000, POISON), message(HERE, 2), there=1)
    with caplog.at_level(logging.ERROR):
        one.run(4)
    assert one.indexed() == places(HERE, (0, 2)) + places(THERE, range(1))
    assert one.counted("unreadable_total", what="messages") == 1
    assert "eu-central-1/0 at offset 1" in caplog.text


def test_poison_alone_is_passed_over_too(world):
    one = world(Message(HERE, 0, NOW * 1000, POISON))
    one.run(2)
    assert one.position(HERE) == 1


def test_a_record_that_cannot_be_read_costs_no_other(world, caplog):
    records = [record("a"), b'{"eventName":"Run"}', b'{"eventID":"\xff"}', record("b")]
    one = world(batch(HERE, 0, {"Management": records}))
    with caplog.at_level(logging.ERROR):
        one.run(2)
    assert one.indexed() == ["a", "b"]
    assert one.counted("unreadable_total", what="records") == 2
    assert "the record has no eventID" in caplog.text


def test_a_newer_format_stops_its_partition_and_is_not_passed_over(world, caplog):
    one = world(message(HERE, 0), Message(HERE, 1, NOW * 1000, NEWER), message(HERE, 2), there=3)
    with caplog.at_level(logging.ERROR):
        one.run(6)
    assert one.indexed() == places(HERE, range(1)) + places(THERE, range(3))
    assert one.position(HERE) == 1
    assert one.counted("halted_partitions") == 1
    assert "stands still" in caplog.text
    one.reader.logs[HERE][1] = message(HERE, 1)  # as a newer release reads it
    one.reader.assign(one.share, HERE)
    one.run(4)
    assert one.counted("halted_partitions") == 0
    assert one.indexed() == places(HERE, range(3)) + places(THERE, range(3))


def test_what_lies_before_a_newer_format_is_not_lost_to_an_outage(world):
    one = world(message(HERE, 0), Message(HERE, 1, NOW * 1000, NEWER))
    one.index.fail("add", StateError("away"))
    one.run(6, each=0.6)
    assert one.indexed() == places(HERE, range(1))
    assert one.counted("halted_partitions") == 1

from __future__ import annotations

from opentrail_backends.event_bus.kafka.watchdog import Watchdog
from opentrail_backends.event_bus.port import Partition

ZERO, ONE = Partition("eu-west-1", 0), Partition("eu-west-1", 1)


def due_at(watchdog: Watchdog, times: range, polls: int = 1) -> list[int]:
    return [time for time in times for _ in range(polls) if watchdog.is_due(time)]


def test_a_partition_that_stays_behind_over_two_checks_has_stalled() -> None:
    watchdog = Watchdog(10)
    assert watchdog.stalled(10, {ZERO: 5, ONE: 5}, {ZERO: 9, ONE: 9}) == []
    assert watchdog.stalled(20, {ZERO: 5, ONE: 6}, {ZERO: 9, ONE: 9}) == [ZERO]


def test_a_partition_at_its_end_has_not_stalled() -> None:
    watchdog = Watchdog(10)
    assert watchdog.stalled(10, {ZERO: 5}, {ZERO: 5}) == []
    assert watchdog.stalled(20, {ZERO: 5}, {ZERO: 9}) == []  # there is more only since now
    assert watchdog.stalled(30, {ZERO: 9}, {ZERO: 9}) == []


def test_what_was_touched_or_not_read_between_two_checks_has_not_stalled() -> None:
    watchdog = Watchdog(10)
    watchdog.stalled(10, {ZERO: 5, ONE: 5}, {ZERO: 9, ONE: 9})
    watchdog.touched(ZERO)
    assert watchdog.stalled(20, {ZERO: 5}, {ZERO: 9, ONE: 9}) == []
    assert watchdog.stalled(30, {ZERO: 5, ONE: 5}, {ZERO: 9, ONE: 9}) == [ZERO]


def test_a_cluster_that_does_not_answer_is_no_stall() -> None:
    watchdog = Watchdog(10)
    watchdog.stalled(10, {ZERO: 5}, {ZERO: 9})
    assert watchdog.stalled(20, {ZERO: 5}, {}) == []
    assert watchdog.stalled(30, {ZERO: 5}, {ZERO: 9}) == []


def test_checks_lie_as_many_seconds_apart_as_asked() -> None:
    watchdog = Watchdog(10)
    assert due_at(watchdog, range(100, 110)) == []
    assert due_at(watchdog, range(110, 111)) == [110]
    watchdog.stalled(110, {}, {})
    assert due_at(watchdog, range(111, 120)) == []
    assert due_at(watchdog, range(120, 121)) == [120]


def test_a_reader_that_did_not_poll_was_given_no_chance_to_move() -> None:
    watchdog = Watchdog(10)
    watchdog.stalled(0, {}, {})
    assert not watchdog.is_due(1000)  # the first poll after a long pause
    assert due_at(watchdog, range(1001, 1010))


def test_a_new_consumer_is_judged_anew() -> None:
    watchdog = Watchdog(10)
    watchdog.stalled(10, {ZERO: 5}, {ZERO: 9})
    watchdog.begin_anew()
    assert watchdog.stalled(20, {ZERO: 5}, {ZERO: 9}) == []
    watchdog.begin_anew()
    assert due_at(watchdog, range(100, 110)) == []

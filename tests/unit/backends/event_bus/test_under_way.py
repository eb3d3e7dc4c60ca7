from __future__ import annotations

import threading

from opentrail_backends.event_bus.under_way import UnderWay


def test_what_fits_enters_at_once_and_what_does_not_is_turned_away_in_time() -> None:
    under_way = UnderWay(100)
    assert under_way.enter(60, 0)
    assert under_way.enter(40, 0)
    assert not under_way.enter(1, 0)
    under_way.leave(40)
    assert under_way.enter(40, 0)


def test_one_message_above_the_limit_enters_alone() -> None:
    under_way = UnderWay(100)
    assert under_way.enter(500, 0)
    assert not under_way.enter(0, 0)
    under_way.leave(500)
    assert under_way.enter(0, 0)


def test_who_waits_enters_when_there_is_room() -> None:
    under_way = UnderWay(100)
    under_way.enter(100, 0)
    entered: list[bool] = []
    waiting = threading.Thread(target=lambda: entered.append(under_way.enter(50, 10)))
    waiting.start()
    under_way.leave(100)
    waiting.join()
    assert entered == [True]


def test_waiting_for_the_last_one_ends_with_it() -> None:
    under_way = UnderWay(100)
    assert under_way.wait_until_empty(0)
    under_way.enter(0, 0)  # an empty message counts too
    assert not under_way.wait_until_empty(0)
    under_way.leave(0)
    assert under_way.wait_until_empty(0)

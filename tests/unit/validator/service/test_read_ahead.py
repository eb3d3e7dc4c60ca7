"""Answers that are read ahead: in order, bounded, and let go though a server is silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from opentrail_validator.service.read_ahead import ReadAhead


def test_answers_come_in_order_and_then_their_error() -> None:
    def answers() -> Iterator[int]:
        yield from range(1_000)
        raise RuntimeError("a fault")

    ended = threading.Event()
    told: list[int] = []
    with pytest.raises(RuntimeError, match="a fault"):
        told.extend(ReadAhead(answers(), ended.set).answers(lambda: True))
    assert ended.wait(10)
    reading = ReadAhead(iter(range(1_000)), ended.set)
    assert list(reading.answers(lambda: True)) == list(range(1_000))


def test_one_who_reads_slowly_has_no_more_waiting_than_there_is_room_for() -> None:
    drawn: list[int] = []

    def answers() -> Iterator[int]:
        for number in range(10_000):
            drawn.append(number)
            yield number

    ended = threading.Event()
    told = ReadAhead(answers(), ended.set).answers(lambda: True)
    next(told)
    time.sleep(0.2)
    assert len(drawn) < 500
    told.close()  # type: ignore[attr-defined]  # a generator
    assert ended.wait(10)
    assert len(drawn) < 500


def test_whoever_goes_does_not_wait_for_a_server_that_is_silent() -> None:
    speaks, ended, active = threading.Event(), threading.Event(), [True]

    def answers() -> Iterator[int]:
        yield 1
        speaks.wait(60)
        yield 2

    told = ReadAhead(answers(), ended.set).answers(lambda: active[0])
    assert next(told) == 1
    active[0] = False
    began = time.monotonic()
    assert list(told) == []
    assert time.monotonic() - began < 10
    assert not ended.is_set()  # its place is taken until nothing is read any more
    speaks.set()
    assert ended.wait(10)

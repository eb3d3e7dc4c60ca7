"""Requests of one stream, read ahead."""

import queue
import threading

import pytest

from opentrail_producer.streams import Draining, ReadAhead


class Feed:
    """Requests that the test hands out one by one; None ends them."""

    def __init__(self):
        self.queue = queue.Queue()

    def __iter__(self):
        while (request := self.queue.get(timeout=10)) is not None:
            yield request


def wait_for(condition):
    done = threading.Event()
    for _ in range(1000):
        if condition():
            return True
        done.wait(0.01)
    return False


def test_requests_come_in_order_and_end():
    assert list(ReadAhead(range(100), lambda number: -number, 3)) == [-number for number in range(100)]


def test_requests_are_begun_before_earlier_ones_are_taken_but_at_most_so_many():
    begun = []
    stream = ReadAhead(range(100), begun.append, 3)
    assert wait_for(lambda: len(begun) == 3)
    answers = iter(stream)
    next(answers)
    assert wait_for(lambda: len(begun) == 4)
    stream.cancel()
    assert len(begun) <= 5


def test_a_failure_comes_after_all_earlier_answers():
    def begin(number):
        if number == 2:
            raise KeyError(number)
        return number

    answers = iter(ReadAhead(range(5), begin, 10))
    assert [next(answers), next(answers)] == [0, 1]
    with pytest.raises(KeyError):
        next(answers)


def test_draining_answers_what_was_taken_then_ends():
    feed = Feed()
    entered, go_on = threading.Event(), threading.Event()

    def begin(number):
        if number == 1:
            entered.set()
            assert go_on.wait(10)
        return number

    stream = ReadAhead(feed, begin, 10)
    feed.queue.put(0)
    feed.queue.put(1)
    assert entered.wait(10)
    stream.drain()
    answers = iter(stream)
    assert next(answers) == 0
    go_on.set()
    assert next(answers) == 1, "it was under way when draining began"
    feed.queue.put(2)
    with pytest.raises(Draining):
        next(answers)
    feed.queue.put(None)


def test_draining_ends_a_stream_that_waits_for_requests():
    feed = Feed()
    stream = ReadAhead(feed, lambda number: number, 10)
    stream.drain()
    with pytest.raises(Draining):
        next(iter(stream))
    feed.queue.put(None)


def test_a_cancelled_stream_frees_both_sides():
    begun = []
    stream = ReadAhead(range(100), begun.append, 2)
    assert wait_for(lambda: len(begun) == 2)
    stream.cancel()
    assert list(stream) == []
    assert wait_for(lambda: not any(thread.name == "stream-reader" for thread in threading.enumerate()))
    assert len(begun) == 2

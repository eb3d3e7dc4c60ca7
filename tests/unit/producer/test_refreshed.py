"""What is read from the state store from time to time."""

import threading

import pytest

from opentrail_backends.state.port import StateError
from opentrail_producer.refreshed import Refreshed


class Source:
    def __init__(self):
        self.seconds = 50.0
        self.readings = 0
        self.failure = None
        self.value = Refreshed("the count", 0, self.read, lambda: self.seconds, 5.0)

    def read(self, known):
        self.readings += 1
        if self.failure:
            raise self.failure
        return known + 1


@pytest.fixture
def source():
    return Source()


def test_it_is_read_at_the_first_request_and_then_at_its_age(source):
    assert source.readings == 0
    assert [source.value(), source.value()] == [1, 1]
    source.seconds += 4.9
    assert source.value() == 1
    source.seconds += 0.1
    assert source.value() == 2
    assert source.readings == 2


@pytest.mark.parametrize("failure", [StateError("down"), ValueError("a change of a newer release")])
def test_what_is_known_stays_in_force_while_the_store_is_down(source, failure):
    assert source.value() == 1
    source.failure = failure
    source.seconds += 5
    assert [source.value(), source.value()] == [1, 1]
    assert source.readings == 2, "a store that is down is asked no oftener"
    source.failure = None
    source.seconds += 5
    assert source.value() == 2


def test_who_comes_while_another_asks_the_store_does_not_wait(source):
    asked, answered = threading.Event(), threading.Event()

    def slow(known):
        asked.set()
        answered.wait(10)
        return known + 10

    value = Refreshed("the count", 0, slow, lambda: source.seconds, 5.0)
    waiting = threading.Thread(target=value)
    waiting.start()
    asked.wait(10)
    assert value() == 0
    answered.set()
    waiting.join(10)
    assert value() == 10

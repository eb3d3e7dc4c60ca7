import random
import threading
import time

import pytest

from opentrail_validator.readers.port import MAX_BYTES, CouldNotRead, ObjectDamaged, ObjectMissing, Place, StoredObject
from opentrail_validator.readers.threads import Begun, ReadingThreads, read_one


def stored(place):
    return StoredObject(place.key.encode(), {})


def begin(place):
    return Begun(len(place.key), lambda: stored(place))


def places(count):
    return [Place("b", f"{number:05}") for number in range(count)]


class Drawn:
    """A source of places that counts how many were drawn."""

    def __init__(self, count):
        self.count = 0
        self.thread = None
        self._places = iter(places(count))

    def __iter__(self):
        return self

    def __next__(self):
        self.thread = threading.current_thread()
        self.count += 1
        return next(self._places)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 500])
def test_results_come_in_the_order_of_places_whoever_finishes_first(count):
    chance = random.Random(count)
    pauses = {place: chance.choice([0, 0, 0, 0.001]) for place in places(count)}

    def slow(place):
        time.sleep(pauses[place])
        return begin(place)

    results = ReadingThreads(8).read_all(slow, places(count), lambda place, outcome: (place, outcome.body))
    assert list(results) == [(place, place.key.encode()) for place in places(count)]


def test_look_gets_the_very_place_that_was_drawn():
    drawn = places(50)
    seen = list(ReadingThreads(4).read_all(begin, drawn, lambda place, _: place))
    assert all(one is other for one, other in zip(seen, drawn, strict=True))


def test_places_are_drawn_a_bounded_number_ahead_and_on_the_asking_thread():
    drawn = Drawn(10_000)
    results = ReadingThreads(4).read_all(begin, drawn, lambda place, _: place.key)
    assert drawn.count == 0
    for number in range(200):
        assert next(results) == f"{number:05}"
        assert drawn.count <= number + (4 + 1) * 8
    assert drawn.thread is threading.current_thread()


def test_an_iterator_that_is_given_up_stops_reading():
    read = []

    def counted(place):
        read.append(place)
        return begin(place)

    results = ReadingThreads(2).read_all(counted, places(10_000), lambda place, _: place.key)
    next(results)
    results.close()
    time.sleep(0.1)
    assert len(read) <= (2 + 1) * 8, "of ten thousand"


def test_threads_end_when_nobody_has_their_reader_any_more():
    before = set(threading.enumerate())
    pool = ReadingThreads(3)
    given_up = pool.read_all(begin, places(10_000), lambda place, _: place.key)
    assert next(given_up) == "00000"
    mine = set(threading.enumerate()) - before
    assert mine
    del pool, given_up
    for thread in mine:
        thread.join(10)
        assert not thread.is_alive()


def test_errors_of_the_port_are_values_and_any_other_is_raised_where_results_are_asked_for():
    errors = {"00001": ObjectMissing("m"), "00002": ObjectDamaged("d"), "00003": CouldNotRead("c")}

    def failing(place):
        if place.key in errors:
            raise errors[place.key]
        return begin(place)

    def failing_later(place):
        def rest():
            if place.key in errors:
                raise errors[place.key]
            return stored(place)

        return Begun(1, rest)

    for begins in (failing, failing_later):
        outcomes = list(ReadingThreads(2).read_all(begins, places(5), lambda _, outcome: outcome))
        assert outcomes == [stored(places(5)[0]), *errors.values(), stored(places(5)[4])]

    def wrong(_place, _outcome):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(ReadingThreads(2).read_all(begin, places(5), wrong))


def test_what_places_raise_is_raised():
    def broken():
        yield from places(3)
        raise KeyError("gone")

    with pytest.raises(KeyError):
        list(ReadingThreads(2).read_all(begin, broken(), lambda place, _: place))


def test_places_may_be_drawn_from_another_reading_of_the_same_threads():
    pool = ReadingThreads(3)

    def derived():
        for name in pool.read_all(begin, places(40), lambda place, _: place.key):
            for number in range(5):
                yield Place("b", f"{name}-{number}")

    found = list(pool.read_all(begin, derived(), lambda place, _: place.key))
    assert found == [f"{place.key}-{number}" for place in places(40) for number in range(5)]


def test_several_threads_read_at_once():
    pool = ReadingThreads(4)
    results = {}

    def read(name):
        mine = [Place(name, f"{number}") for number in range(300)]
        results[name] = list(pool.read_all(begin, mine, lambda place, _: place)) == mine

    readers = [threading.Thread(target=read, args=(f"{number}",)) for number in range(6)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert list(results.values()) == [True] * 6


def test_bodies_in_memory_are_bounded_in_bytes():
    lock = threading.Lock()
    size = 2 << 20
    in_memory = most = 0

    def large(place):
        def rest():
            nonlocal in_memory, most
            with lock:
                in_memory += size
                most = max(most, in_memory)
            time.sleep(0.001)
            return stored(place)

        return Begun(size, rest)

    def look(_place, _outcome):
        nonlocal in_memory
        with lock:
            in_memory -= size

    list(ReadingThreads(64).read_all(large, places(200), look))
    assert size < most <= 8 * size


def test_one_body_that_is_larger_than_the_room_is_read_alone():
    def large(place):
        return Begun(MAX_BYTES, lambda: stored(place))

    assert list(ReadingThreads(4).read_all(large, places(3), lambda place, _: place)) == places(3)


def test_an_object_that_is_absurdly_large_is_damage_and_not_read():
    def absurd(_place):
        return Begun(MAX_BYTES + 1, lambda: pytest.fail("was read"))

    (outcome,) = ReadingThreads(1).read_all(absurd, places(1), lambda _, outcome: outcome)
    assert isinstance(outcome, ObjectDamaged)
    with pytest.raises(ObjectDamaged):
        read_one(absurd, places(1)[0])


def test_one_object_is_read_or_its_error_raised():
    def missing(_place):
        raise ObjectMissing("no")

    assert read_one(begin, places(1)[0]) == stored(places(1)[0])
    with pytest.raises(ObjectMissing):
        read_one(missing, places(1)[0])

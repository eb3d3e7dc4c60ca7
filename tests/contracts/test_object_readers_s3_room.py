"""S3Reader and objects that somebody made large so that whoever checks them runs out of memory."""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from opentrail_validator.readers import s3_transfers
from opentrail_validator.readers.port import CouldNotRead, Outcome, Place, StoredObject
from opentrail_validator.readers.s3 import S3Reader
from tests.contracts.s3_reading import Reading, reading
from tests.contracts.scripted_s3 import STORED, Answer, answer, serving

__all__ = ["reading"]

# The server is often cut off while it sends: there was no room.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

SIZE = 2 << 20
ROOM = 5 << 20
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % SIZE + bytes(SIZE)
PLACES = [Place("trail-logs", f"{number:02}") for number in range(40)]


@pytest.fixture(autouse=True)
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_transfers, "_ROOM", ROOM)


class Held:
    """Bodies that were looked at and wait for their turn: how many bytes at the most."""

    def __init__(self) -> None:
        self.most = self._bytes = 0
        self._lock = threading.Lock()

    def look(self, place: Place, outcome: Outcome) -> tuple[Place, Outcome]:
        self._add(_size(outcome))
        return place, outcome

    def let_go(self, results: Iterator[tuple[Place, Outcome]]) -> list[tuple[Place, int]]:
        found = []
        for place, outcome in results:
            self._add(-_size(outcome))
            found.append((place, _size(outcome)))
        return found

    def _add(self, size: int) -> None:
        with self._lock:
            self._bytes += size
            self.most = max(self.most, self._bytes)


def _size(outcome: Outcome) -> int:
    return len(outcome.body) if isinstance(outcome, StoredObject) else 0


@pytest.mark.parametrize("first", [LARGE, answer(503, "SlowDown")])
def test_large_objects_wait_until_there_is_room(reading: Reading, first: Answer) -> None:
    """Also behind one that has to be asked for again."""
    held = Held()
    with serving() as serve:
        server = serve(answer(403, "AccessDenied"), first, LARGE)
        reader = reading(server.endpoint)
        found = held.let_go(reader.read_all(PLACES, held.look))
    assert found == [(place, SIZE) for place in PLACES]
    assert SIZE <= held.most <= ROOM + SIZE


def test_room_is_given_back_by_whoever_stops_reading(reading: Reading) -> None:
    with serving() as serve:
        reader = reading(serve(answer(403, "AccessDenied"), LARGE).endpoint)
        for _ in range(4):
            results = reader.read_all(PLACES, lambda _, outcome: _size(outcome))
            assert next(results) == SIZE
            results.close()  # type: ignore[attr-defined]  # it is a generator
        assert list(reader.read_all(PLACES, lambda _, outcome: _size(outcome))) == [SIZE] * len(PLACES)


def test_readings_share_the_room_and_none_waits_for_ever(reading: Reading) -> None:
    with serving() as serve:
        reader = reading(serve(answer(403, "AccessDenied"), LARGE).endpoint)

        def places() -> Iterator[Place]:
            for place in reader.read_all(PLACES[:12], lambda place, _: place):
                yield place
                yield Place(place.bucket, f"{place.key}-again")

        assert list(reader.read_all(places(), lambda _, outcome: _size(outcome))) == [SIZE] * 24


def test_an_object_that_is_larger_than_the_room_is_read_in_its_turn(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_transfers, "_ROOM", SIZE - 1)
    with serving() as serve:
        reader = reading(serve(answer(403, "AccessDenied"), LARGE).endpoint, attempts=1)
        assert list(reader.read_all(PLACES, lambda _, outcome: _size(outcome))) == [SIZE] * len(PLACES)


def test_a_large_object_that_is_cut_off_gives_its_room_back(reading: Reading) -> None:
    with serving() as serve:
        reader = reading(serve(answer(403, "AccessDenied"), LARGE[:-1]).endpoint, attempts=2)
        outcomes = list(reader.read_all(PLACES[:8], lambda _, outcome: outcome))
        assert [type(outcome) for outcome in outcomes] == [CouldNotRead] * 8


def begin_and_drop(reader: S3Reader) -> None:
    """A reading that has begun, and that only itself refers to."""
    results: list[object] = []
    results.append(reader.read_all(PLACES, lambda _, outcome, circle=results: (outcome, circle)))
    next(results[0])  # type: ignore[call-overload]  # it is the iterator


@pytest.mark.parametrize("kept", [STORED, LARGE], ids=["small", "large"])
def test_a_reading_that_is_dropped_in_a_circle_of_references_takes_no_connection_with_it(
    reading: Reading, kept: Answer
) -> None:
    """As with an error whose traceback holds it: Python ends it, and what only it refers to, in no order."""
    with serving() as serve:
        reader = reading(serve(answer(403, "AccessDenied"), kept).endpoint)
        for _ in range(3):
            begin_and_drop(reader)
            gc.collect()
        under_way, deadline = reader._transfers._under_way, time.monotonic() + 30
        while (under_way._count, under_way._bytes) != (0, 0):  # threads may still look at what had come
            assert time.monotonic() < deadline
            gc.collect()
        assert len(list(reader.read_all(PLACES, lambda _, outcome: _size(outcome)))) == len(PLACES)


def test_a_reader_that_is_dropped_with_its_reading_ends_without_a_word(reading: Reading) -> None:
    """Python would tell of an error on the standard error."""
    told: list[object] = []
    before, sys.unraisablehook = sys.unraisablehook, told.append
    try:
        with serving() as serve:
            reader = reading(serve(answer(403, "AccessDenied"), STORED).endpoint)
            for _ in range(5):
                begin_and_drop(reader)
            del reader
            gc.collect()
    finally:
        sys.unraisablehook = before
    assert told == []

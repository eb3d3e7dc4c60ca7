"""Reading many objects at once by threads, with a bound on what is in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition, Lock
from typing import Final, Generic, NamedTuple, TypeVar

from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing, Outcome, Place, StoredObject

T = TypeVar("T")

MAX_BYTES: Final = (1 << 30) + (1 << 20)
"""Of an object: no file of evidence is larger, were it stored as it is."""
_SMALL: Final = 64 * 1024
"""Bytes of an object that needs no room of its own."""
_ROOM: Final = 64 << 20
"""Bytes of larger objects, and what is made of them, in memory at a time. What is larger has it for itself."""
_INFLATED: Final = 12
"""How much is reckoned for each byte of a larger object: itself, and its content."""
_MOST_LOOKERS: Final = 8
_AHEAD: Final = 3
"""Places that are drawn for each thread: one that it reads, others that wait for it or for their turn."""
AHEAD_BYTES: Final = 8 << 20
"""Bytes that the objects drawn have together, as far as the mean of those before them tells: some ten times as much is
kept of digests that wait for their turn."""
LEAST_AHEAD: Final = 16
_FIRST_MEAN: Final = 128 * 1024.0
_MEAN_OF: Final = 16
_BURST: Final = 8
"""Results that are waited for together, where that many are under way: waking somebody takes longer than reading."""


class Begun(NamedTuple):
    """An object of which the size is known, and how to read the rest of it (raises as `ObjectReader.get`)."""

    size: int
    rest: Callable[[], StoredObject]


Begin = Callable[[Place], Begun]
"""Begins to read an object. Raises as `ObjectReader.get`."""


class ReadingThreads:
    """Threads that all reading of one reader shares. Safe for use by several threads."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool = ThreadPoolExecutor(count, thread_name_prefix="reader")
        self._room = _Room(_ROOM)
        # glibc's malloc keeps what was freed for each thread: large objects are inflated by a few threads only.
        self._lookers = ThreadPoolExecutor(min(_MOST_LOOKERS, os.cpu_count() or 1), thread_name_prefix="look")

    def read_all(self, begin: Begin, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """`ObjectReader.read_all`. `places` is drawn from on the thread that asks for results."""
        return _Reading(self, begin, look).results(iter(places))

    def look_at_large(self, size: int, rest: Callable[[], StoredObject], look: Callable[[Outcome], T]) -> T:
        """Reads the rest of an object of so many bytes and looks at it, when there is room for it."""
        with self._room.taken(size * _INFLATED):
            return self._lookers.submit(look, _outcome(rest)).result()


class _Slot(Generic[T]):
    """A place, and what was made of it when it is there."""

    __slots__ = ("error", "place", "result", "there")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.there = False
        self.error: BaseException | None = None
        self.result: T


class _Reading(Generic[T]):
    """One call of `read_all`. Its threads take slots as long as there are some, and then go back to the pool."""

    def __init__(self, threads: ReadingThreads, begin: Begin, look: Callable[[Place, Outcome], T]) -> None:
        self._threads = threads
        self._begin = begin
        self._look = look
        self._slots: deque[_Slot[T]] = deque()  # in the order of the places
        self._lock = Lock()  # guards what follows
        self._untaken: deque[_Slot[T]] = deque()
        self._working = 0
        self._awaited: _Slot[T] | None = None
        self._mean = _FIRST_MEAN
        self._wake = Lock()
        self._wake.acquire()

    def results(self, places: Iterator[Place]) -> Iterator[T]:
        """Draws places as there is room, and yields what was made of each, in order."""
        slots = self._slots
        try:
            drawing = self._draw(places)
            while slots:
                self._wait()
                while slots and slots[0].there:
                    slot = slots.popleft()
                    if slot.error is not None:
                        raise slot.error
                    yield slot.result
                drawing = drawing and self._draw(places)
        finally:
            with self._lock:
                self._untaken.clear()

    def _draw(self, places: Iterator[Place]) -> bool:
        """Draws as many places as may be under way. False: there are no more."""
        ahead = min(_AHEAD * self._threads.count, max(LEAST_AHEAD, int(AHEAD_BYTES / self._mean)))
        while len(self._slots) < ahead:
            place = next(places, None)
            if place is None:
                return False
            slot: _Slot[T] = _Slot(place)
            self._slots.append(slot)
            with self._lock:
                self._untaken.append(slot)
                if self._working < min(self._threads.count, ahead):
                    self._working += 1
                    self._threads.pool.submit(self._work)
        return True

    def _wait(self) -> None:
        """Waits until the first result is there, and some of those after it."""
        for awaited in (self._slots[min(_BURST, len(self._slots)) - 1], self._slots[0]):
            with self._lock:
                if awaited.there:
                    continue
                self._awaited = awaited
            self._wake.acquire()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._untaken:
                    self._working -= 1
                    return
                slot = self._untaken.popleft()
            try:
                slot.result = self._read(slot.place)
            except BaseException as error:  # a fault of `look`: told where results are asked for
                slot.error = error
            with self._lock:
                slot.there = True
                if slot is self._awaited:
                    self._awaited = None
                    self._wake.release()

    def _read(self, place: Place) -> T:
        try:
            size, rest = _begun(self._begin, place)
            self._mean += (size - self._mean) / _MEAN_OF  # several threads at once make it less exact, no more
            if size <= _SMALL:
                return self._look(place, _outcome(rest))
            return self._threads.look_at_large(size, rest, lambda outcome: self._look(place, outcome))
        except (ObjectMissing, ObjectDamaged, CouldNotRead) as error:
            return self._look(place, error)


def read_one(begin: Begin, place: Place) -> StoredObject:
    """Reads one object. Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
    return _begun(begin, place).rest()


def read_in_threads(
    get: Callable[[str, str], StoredObject], places: Iterable[Place], look: Callable[[Place, Outcome], T], threads: int
) -> Iterator[T]:
    """`ObjectReader.read_all` of a reader that has only `get`."""

    def begin(place: Place) -> Begun:
        stored = get(place.bucket, place.key)
        return Begun(len(stored.body), lambda: stored)

    return ReadingThreads(threads).read_all(begin, places, look)


def _begun(begin: Begin, place: Place) -> Begun:
    begun = begin(place)
    if begun.size > MAX_BYTES:
        raise ObjectDamaged(f"it has {begun.size:,} bytes, more than any file of evidence")
    return begun


def _outcome(rest: Callable[[], StoredObject]) -> Outcome:
    try:
        return rest()
    except (ObjectMissing, ObjectDamaged, CouldNotRead) as error:
        return error


class _Room:
    """Bytes that may be in memory, for who takes them to give back."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._changed = Condition()

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Waits until there is room for so many bytes, or nobody else has any."""
        with self._changed:
            self._changed.wait_for(lambda: not self._taken or self._taken + size <= self._size)
            self._taken += size
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._changed.notify_all()

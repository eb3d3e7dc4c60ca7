"""Reading many objects at once by threads, in order, with a bound on what is in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Condition
from typing import Final, NamedTuple, TypeVar

from opentrail_validator.readers.port import (
    MAX_BYTES,
    CouldNotRead,
    ObjectDamaged,
    ObjectMissing,
    Outcome,
    Place,
    StoredObject,
)

T = TypeVar("T")

_BATCH: Final = 8
"""Places that a thread takes at a time: waking somebody takes longer than reading a small object."""
_SMALL: Final = 64 * 1024
"""Bytes of an object that needs no room of its own."""
_ROOM: Final = 64 << 20
"""Bytes of larger objects, and what is made of them, in memory at a time. What is larger has it for itself."""
_INFLATED: Final = 12
"""How much is reckoned for each byte of a larger object: itself, and its content."""


class Begun(NamedTuple):
    """An object of which the size is known, and how to read the rest of it (raises as `ObjectReader.get`)."""

    size: int
    rest: Callable[[], StoredObject]


Begin = Callable[[Place], Begun]
"""Begins to read an object. Raises as `ObjectReader.get`."""


class ReadingThreads:
    """Threads that all reading of one reader shares. Safe for use by several threads."""

    def __init__(self, count: int) -> None:
        """`count`: a few. glibc's malloc keeps for each thread what was freed there."""
        self._count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="reader")
        self._room = _Room(_ROOM)

    def read_all(self, begin: Begin, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """`ObjectReader.read_all`. `places` is drawn from on the thread that asks for results."""
        drawn = iter(places)
        under_way: deque[Future[list[T]]] = deque()
        try:
            while batch := list(islice(drawn, _BATCH)):
                under_way.append(self._pool.submit(self._read_batch, begin, batch, look))
                if len(under_way) > self._count:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()

    def _read_batch(self, begin: Begin, places: list[Place], look: Callable[[Place, Outcome], T]) -> list[T]:
        return [self._read(begin, place, look) for place in places]

    def _read(self, begin: Begin, place: Place, look: Callable[[Place, Outcome], T]) -> T:
        try:
            size, rest = _begun(begin, place)
        except (ObjectMissing, ObjectDamaged, CouldNotRead) as error:
            return look(place, error)
        if size <= _SMALL:
            return look(place, _outcome(rest))
        with self._room.taken(size * _INFLATED):
            return look(place, _outcome(rest))


def read_one(begin: Begin, place: Place) -> StoredObject:
    """Reads one object. Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
    return _begun(begin, place).rest()


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

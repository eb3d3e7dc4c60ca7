"""Many objects from S3 at once on one thread, by libcurl: it signs, sends, receives and keeps connections.

What is made of a large object is made on other threads; what is made of a small one right away, as waking a thread
takes longer. An answer that is not whole, and a server that fails, are asked again; whatever stays is told as such.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import RLock
from typing import Any, Final, Generic, TypeVar
from weakref import ref

import pycurl

from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing, Outcome, Place
from opentrail_validator.readers.s3_line import Line
from opentrail_validator.readers.s3_transfer import Attempt, Request

T = TypeVar("T")

_SMALL: Final = 64 * 1024
_AHEAD_BYTES: Final = 8 << 20
"""Bytes that the objects drawn have together, as far as the mean of those before them tells."""
_LEAST_AHEAD: Final = 16
_ROOM: Final = 128 << 20
"""Bytes of all objects that are under way or wait for their turn; whose turn it is needs none."""
_FIRST_MEAN: Final = 128 * 1024.0
_MEAN_OF: Final = 16
_WAIT: Final = 0.5
_MOMENT: Final = 0.02
"""Seconds for which nothing may happen before it is looked again; with what waits for its next try: the shorter."""
_STALE: Final = 3.0
"""Seconds after which what a server has begun to send is asked for anew."""
_BACK_OFF: Final = (0.2, 0.5, 1.0, 2.0)
"""Seconds before a request is made again."""

Begin = Callable[[Place], Request | Callable[[], Outcome]]
"""What is to be sent for an object; or how it is read in another way, on a thread. Raises as `ObjectReader.get`."""


@dataclass(slots=True)
class _Slot(Generic[T]):
    """A place, and what was made of it when it is there."""

    place: Place
    began: float
    is_there: bool = False
    result: Any = None
    future: Future[T] | None = None
    tries: int = 0
    size: int = 0
    """Bytes that it has taken of the room."""
    needs: int = 0
    """Bytes that it found no room for: until then it is not asked for again."""


class UnderWay:
    """How many objects all callers together have under way, and bytes of them in memory."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._count = 0
        self._bytes = 0
        self._lock = RLock()

    def may_hold(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        return self._bytes + size <= _ROOM

    def hold(self, size: int) -> None:
        """Counts bytes that are to be in memory, or are no longer (negative)."""
        with self._lock:
            self._bytes += size

    def add(self, count: int) -> None:
        """Counts some that begin, or that have ended (negative)."""
        with self._lock:
            self._count += count

    def has_room(self, own: int) -> bool:
        """Whether one more may begin. Who has none of its own under way need not wait for others."""
        return not own or self._count < self.most


class Transfers:
    """Safe for use by several threads: each call of `read_all` has a line of its own."""

    def __init__(self, count: int, patience: float) -> None:
        """`count`: objects under way at a time, of all calls. `patience`: seconds for which one is tried again."""
        self._under_way = UnderWay(count)
        self._patience = patience
        self._lines: list[Line] = []
        """All, also those in use: with a reading that was dropped in a circle of references its line must not go."""
        self._unused: list[Line] = []
        self._lock = RLock()
        """Python may end a dropped reading at any place, also where this one holds the lock."""
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="reader")

    def read_all(
        self, begin: Begin, places: Iterator[Place], look: Callable[[Place, Outcome], T], attempts: int
    ) -> Iterator[T]:
        """As `ObjectReader.read_all`."""
        line = self._take_line()
        reading = _Reading(line, self._pool, self._under_way, self._patience, begin, look, attempts)
        try:
            yield from reading.results(places)
        finally:
            reading.stop()
            with self._lock:
                self._unused.append(line)

    def _take_line(self) -> Line:
        """One that nobody uses. All of them together keep about as many connections as objects may be under way."""
        with self._lock:
            if not self._unused:
                self._lines.append(Line())
                self._unused.append(self._lines[-1])
            line = self._unused.pop()
            line.keep(max(1, self._under_way.most // len(self._lines)))
            return line


def _has_room(reading: ref[_Reading[T]], slot: _Slot[T], size: int) -> bool:
    """Of a reading that is still there: what is under way must not keep it, or nobody would ever end it."""
    there = reading()
    return there is not None and there.has_room(slot, size)


class _Reading(Generic[T]):
    """One call of `read_all`."""

    def __init__(
        self,
        line: Line,
        pool: ThreadPoolExecutor,
        under_way: UnderWay,
        patience: float,
        begin: Begin,
        look: Callable[[Place, Outcome], T],
        attempts: int,
    ) -> None:
        self._line = line
        self._pool = pool
        self._under_way = under_way
        self._patience = patience
        self._begin = begin
        self._look = look
        self._attempts = attempts
        self._slots: deque[_Slot[T]] = deque()  # in the order of the places
        self._active: dict[pycurl.Curl, tuple[Attempt, _Slot[T]]] = {}
        self._delayed: list[tuple[float, _Slot[T]]] = []
        self._mean = _FIRST_MEAN
        self._away = 0.0

    def results(self, places: Iterator[Place]) -> Iterator[T]:
        """Draws places as there is room, and yields what was made of each, in order."""
        slots = self._slots
        drawing = self._draw(places)
        while slots:
            while slots and self._is_there(slots[0], wait=not self._active and not self._delayed):
                slot = slots.popleft()
                self._let_go(slot)
                left = time.monotonic()
                yield slot.result
                self._come_back(time.monotonic() - left)
            drawing = drawing and self._draw(places)
            if slots and not self._is_there(slots[0], wait=False):
                self._go_on()

    def stop(self) -> None:
        """Gives up everything."""
        self._give_up()
        for slot in self._slots:
            self._let_go(slot)

    def _come_back(self, seconds: float) -> None:
        """Whoever asks was away for so long, and nothing was received meanwhile: that is not the server's fault."""
        self._away += seconds
        if seconds > _STALE:
            for slot in self._give_up():
                slot.tries -= 1
                self._send(slot)

    def _now(self) -> float:
        """Seconds that this reading has been at work."""
        return time.monotonic() - self._away

    def _give_up(self) -> list[_Slot[T]]:
        """Gives up what is under way: whose answers that were."""
        slots = [slot for _, slot in self._active.values()]
        for attempt, slot in self._active.values():
            self._line.give_up(attempt)
            self._let_go(slot)
        self._under_way.add(-len(self._active))
        self._active.clear()
        return slots

    def _draw(self, places: Iterator[Place]) -> bool:
        """Draws as many places as may be under way. False: there are no more."""
        ahead = min(2 * self._under_way.most, max(_LEAST_AHEAD, int(_AHEAD_BYTES / self._mean)))
        while len(self._slots) < ahead and self._under_way.has_room(len(self._active)):
            left = time.monotonic()
            place = next(places, None)
            if place is not None:
                slot: _Slot[T] = _Slot(place, self._now())
                self._slots.append(slot)
                self._send(slot)
            self._come_back(time.monotonic() - left)
            if place is None:
                return False
        return True

    def _send(self, slot: _Slot[T]) -> None:
        """Asks for an object, with the credentials that there are now."""
        try:
            request = self._begin(slot.place)
        except (ObjectMissing, ObjectDamaged, CouldNotRead) as error:
            self._make(slot, error)
            return
        if not isinstance(request, Request):
            slot.future = self._pool.submit(lambda: self._look(slot.place, request()))
            return
        attempt = self._line.attempt()
        slot.tries += 1
        attempt.prepare(request, partial(_has_room, ref(self), slot))
        self._active[attempt.handle] = attempt, slot
        self._under_way.add(1)
        self._line.send(attempt)

    def has_room(self, slot: _Slot[T], size: int) -> bool:
        """Takes room for an object, if there is some; whose turn it is may always have it."""
        if slot is not self._slots[0] and not self._under_way.may_hold(size):
            slot.needs = size
            return False
        slot.size = size
        self._under_way.hold(size)
        return True

    def _let_go(self, slot: _Slot[T]) -> None:
        """Gives back the room that it has."""
        self._under_way.hold(-slot.size)
        slot.size = 0

    def _go_on(self) -> None:
        """Moves transfers on until something has happened, or for a moment."""
        self._send_delayed()
        if not self._active:
            time.sleep(_MOMENT)
            return
        for handle, code, message in self._line.go_on(_MOMENT if self._delayed else _WAIT):
            self._take(handle, code, message)

    def _take(self, handle: pycurl.Curl, code: int, message: str) -> None:
        """Takes what a transfer that has ended brought; one that failed is made again, if that may help."""
        attempt, slot = self._active.pop(handle)
        self._under_way.add(-1)
        outcome, may_pass = attempt.outcome(code, message)
        self._line.take_back(attempt)
        if attempt.found_no_room or attempt.found_no_connection:
            slot.tries, slot.began = 0, self._now()
            self._delayed.append((0.0, slot))
            return
        tries_left = slot.tries < self._attempts and self._now() - slot.began < self._patience
        if may_pass and tries_left:
            self._let_go(slot)
            pause = _BACK_OFF[min(slot.tries, len(_BACK_OFF)) - 1]
            self._delayed.append((time.monotonic() + pause, slot))
            return
        self._make(slot, outcome)

    def _send_delayed(self) -> None:
        delayed, self._delayed = self._delayed, []
        now = time.monotonic()
        for at, slot in delayed:
            if at <= now and (slot is self._slots[0] or self._under_way.may_hold(slot.needs)):
                slot.needs = 0
                self._send(slot)
            else:
                self._delayed.append((at, slot))

    def _make(self, slot: _Slot[T], outcome: Outcome) -> None:
        size = 0 if isinstance(outcome, Exception) else len(outcome.body)
        self._mean += (size - self._mean) / _MEAN_OF
        if size > _SMALL:
            slot.future = self._pool.submit(self._look, slot.place, outcome)
        else:
            slot.result, slot.is_there = self._look(slot.place, outcome), True

    def _is_there(self, slot: _Slot[T], *, wait: bool) -> bool:
        if not slot.is_there and slot.future is not None and (wait or slot.future.done()):
            slot.result, slot.is_there = slot.future.result(), True
        return slot.is_there

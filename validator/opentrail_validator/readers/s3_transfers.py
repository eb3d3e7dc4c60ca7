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
from threading import Lock
from typing import Any, Final, Generic, TypeVar

import pycurl

from opentrail_validator.readers.port import CouldNotRead, ObjectDamaged, ObjectMissing, Outcome, Place
from opentrail_validator.readers.s3_line import Line
from opentrail_validator.readers.s3_transfer import Attempt, Request
from opentrail_validator.readers.threads import AHEAD_BYTES, LEAST_AHEAD

T = TypeVar("T")

_SMALL: Final = 64 * 1024
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
    request: Request | None = None
    tries: int = 0


class UnderWay:
    """How many objects all callers together have under way."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._count = 0
        self._lock = Lock()

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
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(max(2, os.cpu_count() or 1), thread_name_prefix="reader")

    def read_all(
        self, begin: Begin, places: Iterator[Place], look: Callable[[Place, Outcome], T], attempts: int
    ) -> Iterator[T]:
        """As `ObjectReader.read_all`."""
        with self._lock:
            line = self._lines.pop() if self._lines else Line(self._under_way.most)
        reading = _Reading(line, self._pool, self._under_way, self._patience, begin, look, attempts)
        try:
            yield from reading.results(places)
        finally:
            reading.stop()
            with self._lock:
                self._lines.append(line)


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
                left = time.monotonic()
                yield slots.popleft().result
                self._come_back(time.monotonic() - left)
            drawing = drawing and self._draw(places)
            if slots and not self._is_there(slots[0], wait=False):
                self._go_on()

    def _come_back(self, seconds: float) -> None:
        """The caller was away for so long, and nothing was received meanwhile: that is not the server's fault."""
        self._away += seconds
        if seconds > _STALE:
            sent = [slot for _, slot in self._active.values()]
            self.stop()
            for slot in sent:
                slot.tries -= 1
                self._send(slot)

    def _now(self) -> float:
        """Seconds that this reading has been at work."""
        return time.monotonic() - self._away

    def stop(self) -> None:
        """Gives up what is still under way."""
        for attempt, _ in self._active.values():
            self._line.give_up(attempt)
        self._under_way.add(-len(self._active))
        self._active.clear()

    def _draw(self, places: Iterator[Place]) -> bool:
        """Draws as many places as may be under way. False: there are no more."""
        ahead = min(2 * self._under_way.most, max(LEAST_AHEAD, int(AHEAD_BYTES / self._mean)))
        while len(self._slots) < ahead and self._under_way.has_room(len(self._active)):
            place = next(places, None)
            if place is None:
                return False
            slot: _Slot[T] = _Slot(place, self._now())
            self._slots.append(slot)
            try:
                request = self._begin(place)
            except (ObjectMissing, ObjectDamaged, CouldNotRead) as error:
                self._make(slot, error)
                continue
            if isinstance(request, Request):
                slot.request = request
                self._send(slot)
            else:
                slot.future = self._pool.submit(partial(_look_at, self._look, place, request))
        return True

    def _send(self, slot: _Slot[T]) -> None:
        assert slot.request is not None
        attempt = self._line.attempt()
        slot.tries += 1
        attempt.prepare(slot.request)
        self._active[attempt.handle] = attempt, slot
        self._under_way.add(1)
        self._line.send(attempt)

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
        assert slot.request is not None
        outcome, may_pass = attempt.outcome(slot.request, code, message)
        self._line.take_back(attempt)
        tries_left = slot.tries < self._attempts and self._now() - slot.began < self._patience
        if may_pass and tries_left:
            pause = _BACK_OFF[min(slot.tries, len(_BACK_OFF)) - 1]
            self._delayed.append((time.monotonic() + pause, slot))
            return
        self._make(slot, outcome)

    def _send_delayed(self) -> None:
        now = time.monotonic()
        due = [slot for at, slot in self._delayed if at <= now]
        self._delayed = [(at, slot) for at, slot in self._delayed if at > now]
        for slot in due:
            self._send(slot)

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


def _look_at(look: Callable[[Place, Outcome], T], place: Place, read: Callable[[], Outcome]) -> T:
    return look(place, read())

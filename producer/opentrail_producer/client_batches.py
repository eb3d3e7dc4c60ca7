"""The client's queue: events that wait, cut into batches that never change again.

An event has its number from the moment it is put: the next one of its region, or the one that the caller gives. So
numbers depend on the order of the events only, never on how they are cut into batches. A batch's events are of one
region and have consecutive numbers; every try sends the same batch.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from opentrail_producer.client_outcomes import Outcome


class QueueFull(Exception):
    """There was no room within the time allowed: the service is slower than its callers."""


class QueueClosed(Exception):
    """The client is closed and takes no more events."""


class Event(NamedTuple):
    """One record's bytes and where its outcome goes."""

    record: bytes
    outcome: Future[Outcome]


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to send together, numbered from `first`."""

    region: str
    first: int
    events: Sequence[Event]

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return sum(len(event.record) for event in self.events)


class _Region:
    """What waits for one region, each with its number, and the number of its next event."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, Event]] = deque()
        self.size = 0
        self.next_number = 0
        self.oldest_at = 0.0


class BatchQueue:
    """A bounded queue of events by region. Safe for use by several threads.

    A batch is ready when it is full (`batch_events`, `batch_bytes`), when its first event has waited for
    `linger` seconds, or when somebody flushes. Room is given back by `done`, not by cutting a batch: what is under
    way counts, so memory is bounded by `queue_events` and `queue_bytes`.
    """

    def __init__(
        self,
        *,
        batch_events: int,
        batch_bytes: int,
        linger: float,
        queue_events: int,
        queue_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        self._batch_events = batch_events
        self._batch_bytes = batch_bytes
        self._linger = linger
        self._queue_events = queue_events
        self._queue_bytes = queue_bytes
        self._clock = clock
        self._changed = threading.Condition()
        self._regions: dict[str, _Region] = {}
        self._held_events = 0
        self._held_bytes = 0
        self._flushing = 0
        self._closed = False

    def put(self, region: str, event: Event, timeout: float | None, number: int | None = None) -> None:
        """Adds an event; waits up to `timeout` seconds for room (None: as long as it takes).

        `number` is the event's in its region; None: the one after the last that was put, at first 0.
        Raises QueueFull and QueueClosed; then no number is used up. An event greater than the whole queue gets in when
        it is alone.
        """
        size = len(event.record)
        with self._changed:
            has_room = self._changed.wait_for(lambda: self._closed or self._has_room(size), timeout)
            if self._closed:
                raise QueueClosed("the client is closed")
            if not has_room:
                raise QueueFull(f"{self._held_events} events ({self._held_bytes} bytes) wait for their answers")
            self._held_events += 1
            self._held_bytes += size
            queue = self._regions.setdefault(region, _Region())
            if not queue.waiting:
                queue.oldest_at = self._clock()
                self._changed.notify_all()
            if number is None:
                number = queue.next_number
            queue.next_number = number + 1
            queue.waiting.append((number, event))
            queue.size += size
            if self._is_full(queue):
                self._changed.notify_all()

    def next_batch(self) -> Batch | None:
        """Waits for a batch that is ready; None once closed and empty."""
        with self._changed:
            while True:
                region = self._ready_region()
                if region is not None:
                    return self._cut(region)
                if self._closed and not any(queue.waiting for queue in self._regions.values()):
                    return None
                self._changed.wait(self._until_linger_ends())

    def done(self, batch: Batch) -> None:
        """A batch's outcome is known: gives its room back."""
        with self._changed:
            self._held_events -= len(batch.events)
            self._held_bytes -= batch.size
            self._changed.notify_all()

    def flush(self, timeout: float | None) -> bool:
        """Sends without lingering until nothing is held; False if something still is after `timeout` seconds."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self._held_events == 0, timeout)
            finally:
                self._flushing -= 1

    def close(self) -> None:
        """Takes no more events; what waits is ready at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        if self._held_events == 0:
            return True
        return self._held_events < self._queue_events and self._held_bytes + size <= self._queue_bytes

    def _is_full(self, queue: _Region) -> bool:
        return len(queue.waiting) >= self._batch_events or queue.size >= self._batch_bytes

    def _ready_region(self) -> str | None:
        """The region whose oldest event has waited longest, of those that have a batch ready."""
        at_once = self._closed or self._flushing > 0
        ready_before = self._clock() - self._linger
        ready = [
            (queue.oldest_at, region)
            for region, queue in self._regions.items()
            if queue.waiting and (at_once or self._is_full(queue) or queue.oldest_at <= ready_before)
        ]
        return min(ready)[1] if ready else None

    def _until_linger_ends(self) -> float | None:
        waiting = [queue.oldest_at for queue in self._regions.values() if queue.waiting]
        return max(min(waiting) + self._linger - self._clock(), 0.0) if waiting else None

    def _cut(self, region: str) -> Batch:
        queue = self._regions[region]
        first = queue.waiting[0][0]
        events: list[Event] = []
        size = 0
        while queue.waiting and len(events) < self._batch_events:
            number, event = queue.waiting[0]
            length = len(event.record)
            if number != first + len(events) or (events and size + length > self._batch_bytes):
                break
            size += length
            events.append(event)
            queue.waiting.popleft()
        queue.size -= size
        queue.oldest_at = self._clock()
        return Batch(region, first, events)

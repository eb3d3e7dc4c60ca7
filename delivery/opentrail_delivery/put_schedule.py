"""Who puts when: threads for step 4, so shared out that no bucket takes what another one needs.

Each bucket has a lane. One that is failing gets one thread at a time, one that nobody knows a quarter of them, one that
works all but a quarter. No thread sleeps between two tries: what waits lies in a heap. A thread whose put has no answer
for long counts no more, and its file is tried, or parked, as if the put had ended.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Collection
from concurrent.futures import Future
from dataclasses import dataclass, field

from opentrail_delivery.log_file_put import Put, PutOutcome, PutResult, PutTools
from opentrail_delivery.rate_limits import RateLimits
from opentrail_delivery.spool import LogFilePut

_RATE_PATIENCE = 1.0
"""A file that would wait for longer than this for our own rate limits is parked."""
_MOST_EXTRA_THREADS = 3
"""Times the normal number of threads may wait for buckets that do not answer, beside the normal ones."""


@dataclass(slots=True, eq=False)
class _Task:
    """A put that waits for a thread, or has one."""

    put: Put
    future: Future[PutOutcome]
    has_slot: bool = False
    """Whether the rate limits gave it a time, which has come."""
    started_at: float = 0.0
    is_overtaken: bool = False
    """Whether its thread counts no more."""


@dataclass(slots=True)
class _Lane:
    """One bucket's puts."""

    ready: deque[_Task] = field(default_factory=deque)
    running: int = 0


class PutSchedule:
    """Runs puts on threads of its own. Safe for use by several threads."""

    def __init__(
        self, tools: PutTools, threads: int, limits: RateLimits | None = None, *, silent: float = 10.0
    ) -> None:
        self._tools = tools
        self._threads = threads
        self._limits = limits or RateLimits()
        self._watch_seconds = min(silent / 4, 1.0)
        self._changed = threading.Condition()
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()
        self._later: list[tuple[float, int, _Task]] = []
        self._numbers = itertools.count()
        self._running: set[_Task] = set()
        self._alive = 0
        self._idle = 0
        self._overtaken = 0
        self._watch: threading.Thread | None = None
        self._closed = threading.Event()

    def submit(self, file: LogFilePut, *, redone: bool) -> Future[PutOutcome]:
        """Puts a file or parks it; the future raises on a fault of ours only.

        `redone`: an earlier owner's put may be under way.
        """
        task = _Task(Put(file, self._tools, redone=redone), Future())
        with self._changed:
            if self._closed.is_set():
                task.future.set_result(PutOutcome(PutResult.STOPPED))
                return task.future
            self._ready(task)
            self._start_threads()
            self._changed.notify()
        return task.future

    def abandon(self, futures: Collection[Future[PutOutcome]]) -> None:
        """These are not wanted any more: STOPPED, whatever becomes of tries that are under way."""
        unwanted = set(futures)
        with self._changed:
            for future in unwanted:
                _resolve(future, PutOutcome(PutResult.STOPPED))
            for lane in self._lanes.values():
                lane.ready = deque(task for task in lane.ready if task.future not in unwanted)
            self._later = [entry for entry in self._later if entry[2].future not in unwanted]
            heapq.heapify(self._later)

    def close(self) -> None:
        """Takes nothing more and lets the threads end; tries under way are left to themselves."""
        with self._changed:
            self._closed.set()
            waiting = [task for lane in self._lanes.values() for task in lane.ready]
            for task in [*waiting, *(task for _, _, task in self._later), *self._running]:
                _resolve(task.future, PutOutcome(PutResult.STOPPED))
            self._changed.notify_all()

    # --- threads ----------------------------------------------------------------------------------

    def _start_threads(self) -> None:
        if self._watch is None:
            self._watch = threading.Thread(target=self._run_watch, name="put-watch", daemon=True)
            self._watch.start()
        limit = self._threads + min(self._overtaken, _MOST_EXTRA_THREADS * self._threads)
        if self._idle == 0 and self._alive < limit:
            self._alive += 1
            threading.Thread(target=self._run, name="put", daemon=True).start()

    def _run(self) -> None:
        while (task := self._next()) is not None:
            result: PutOutcome | float | BaseException
            try:
                result = self._attempt(task)
            except BaseException as error:  # a fault of ours: the partition's thread is told
                result = error
            self._ended(task, result)
            del task, result  # the body's memory

    def _next(self) -> _Task | None:
        """The next task that may run; None: this thread is not needed any more."""
        with self._changed:
            while not self._closed.is_set():
                if self._alive - self._overtaken > self._threads:
                    break
                now = self._tools.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._ready(heapq.heappop(self._later)[2])
                task = self._choose()
                if task is not None:
                    task.started_at = now
                    self._running.add(task)
                    return task
                self._idle += 1
                self._changed.wait(self._later[0][0] - now if self._later else None)
                self._idle -= 1
            self._alive -= 1
            return None

    def _choose(self) -> _Task | None:
        """The first lane, in turn, that has something and may have one more thread."""
        for _ in range(len(self._lanes)):
            bucket, lane = next(iter(self._lanes.items()))
            self._lanes.move_to_end(bucket)
            while lane.ready and lane.ready[0].future.done():  # what overtook it, or what it overtook, was faster
                lane.ready.popleft()
            if lane.ready and lane.running < self._most_threads(bucket):
                lane.running += 1
                return lane.ready.popleft()
            if not lane.ready and not lane.running:
                del self._lanes[bucket]
        return None

    def _most_threads(self, bucket: str) -> int:
        health = self._tools.health
        if health.is_proven(bucket):
            return max(1, self._threads * 3 // 4)
        if health.is_failing(bucket) and not (self._tools.can_park and health.is_given_up(bucket, "")):
            return 1
        return max(1, self._threads // 4)

    def _attempt(self, task: _Task) -> PutOutcome | float:
        file = task.put.file
        if not task.has_slot and not task.put.wants_parking:
            place = (file.file.bucket, file.file.incarnation, len(file.body))
            wait = self._limits.reserve(*place, _RATE_PATIENCE)
            if wait is None:
                outcome = task.put.park()
                is_parked = isinstance(outcome, PutOutcome)
                self._tools.metrics.rate_limited.labels("parked" if is_parked else "waits").inc()
                if isinstance(outcome, PutOutcome):
                    return outcome
                wait = self._limits.reserve(*place) or 0.0
            elif wait:
                self._tools.metrics.rate_limited.labels("waits").inc()
            task.has_slot = True
            if wait:
                return wait
        task.has_slot = False
        return task.put.attempt()

    def _ended(self, task: _Task, result: PutOutcome | float | BaseException) -> None:
        with self._changed:
            self._running.discard(task)
            if task.is_overtaken:
                self._overtaken -= 1
            else:
                self._lane(task).running -= 1
            if isinstance(result, PutOutcome):
                _resolve(task.future, result)
            elif isinstance(result, BaseException):
                if not task.future.done():
                    task.future.set_exception(result)
            elif not task.is_overtaken and not task.future.done():
                self._wait(task, result)
            self._changed.notify()

    def _wait(self, task: _Task, seconds: float) -> None:
        heapq.heappush(self._later, (self._tools.monotonic() + seconds, next(self._numbers), task))

    def _ready(self, task: _Task) -> None:
        if not task.future.done():
            self._lane(task).ready.append(task)

    def _lane(self, task: _Task) -> _Lane:
        return self._lanes.setdefault(task.put.file.file.bucket, _Lane())

    # --- buckets that do not answer ---------------------------------------------------------------

    def _run_watch(self) -> None:
        while not self._closed.wait(self._watch_seconds):
            with self._changed:
                running = [task for task in self._running if not task.is_overtaken]
            for task in running:
                silent = self._tools.health.is_silent(task.put.file.file.bucket, task.started_at)
                if silent or task.put.wants_parking:
                    self._overtake(task)

    def _overtake(self, task: _Task) -> None:
        """The file goes on without its thread: it is parked now, or tried again once the put has ended."""
        with self._changed:
            if task not in self._running:
                return
            task.is_overtaken = True
            self._overtaken += 1
            self._lane(task).running -= 1
            self._ready(_Task(task.put, task.future))
            self._start_threads()
            self._changed.notify()


def _resolve(future: Future[PutOutcome], outcome: PutOutcome) -> None:
    if not future.done():
        future.set_result(outcome)

"""A kafka-python consumer whose rebalances are told to the thread that polls.

Since 3.0 the library calls a rebalance listener on its own I/O thread, where no consumer method that waits may be
called and heartbeats stop meanwhile. So `poll` runs on a thread of ours here, the listener hands each change to the
caller of `poll` and awaits its end, while heartbeats go on.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

from kafka import AsyncConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.future import Future

from opentrail_backends.event_bus.kafka.library import connect

_JOIN_MILLISECONDS = 10_000

Tell = Callable[[str, Collection[TopicPartition]], None]
_Work = Callable[[], Any]


class _Done(NamedTuple):
    work: _Work
    answer: Any
    error: BaseException | None


class _Told(NamedTuple):
    event: str
    places: Collection[TopicPartition]
    heard: Future


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # the library is untyped
    def __init__(self, outbox: queue.SimpleQueue[_Done | _Told]) -> None:
        self._outbox = outbox

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        await self._tell("revoked", revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        await self._tell("assigned", assigned)

    async def on_partitions_lost(self, lost: Collection[TopicPartition]) -> None:
        await self._tell("lost", lost)

    async def _tell(self, event: str, places: Collection[TopicPartition]) -> None:
        if places:
            heard = Future()
            self._outbox.put(_Told(event, places, heard))
            await heard


class GroupConsumer:
    """A consumer of the topics that match `pattern`. For one thread only.

    `tell` is called with "assigned", "revoked" or "lost" inside `poll` and `close`, by their caller's thread; it must
    not raise. While it runs, it may use `consumer`.
    """

    def __init__(self, options: dict[str, Any], pattern: str, tell: Tell) -> None:
        self._tell = tell
        self._inbox: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[_Done | _Told] = queue.SimpleQueue()
        self._joining: _Work | None = None
        # Cooperative: a reader that comes or goes moves only the partitions that must change hands. Under an eager
        # protocol every reader would drop all its open windows each time.
        self.consumer = connect(KafkaConsumer, partition_assignment_strategy=(CooperativeStickyAssignor,), **options)
        self.consumer.subscribe(pattern=pattern, listener=_Listener(self._outbox))
        self._thread = threading.Thread(target=self._work, name="opentrail-kafka-poll", daemon=True)
        self._thread.start()

    def poll(self, timeout: float) -> dict[TopicPartition, list[Any]]:
        """The next records; tells of changes meanwhile. Empty after `timeout` seconds without any."""
        deadline = time.monotonic() + timeout
        if not self._have_joined(deadline):
            return {}
        left = max(0, int((deadline - time.monotonic()) * 1000))
        return self._call(lambda: self.consumer.poll(timeout_ms=left))  # type: ignore[no-any-return]

    @property
    def is_joining(self) -> bool:
        """Whether joining the group goes on between polls."""
        return self._joining is not None

    def _have_joined(self, deadline: float) -> bool:
        """Joining goes on beyond the deadline, between polls.

        The library begins it anew with each of its own polls; polls that are shorter than it would never join.
        """
        coordinator = self.consumer._coordinator  # noqa: SLF001 (no public way)
        if self._joining is None:
            if coordinator.rejoining:
                # A join that began because of new metadata and outlasted its poll: the library (3.0.12) would take it
                # for done, never apply the new assignment, and send no heartbeats.
                coordinator.request_rejoin()
            if not coordinator.need_rejoin():
                return True
            self._joining = partial(coordinator.poll, timeout_ms=_JOIN_MILLISECONDS)
            self._inbox.put(self._joining)
        done = self._serve(self._joining, deadline)
        if done is None:
            return False
        self._joining = None
        return bool(_answer(done))

    def _call(self, work: _Work) -> Any:
        self._inbox.put(work)
        done = self._serve(work, None)
        assert done is not None
        return _answer(done)

    def _serve(self, work: _Work, deadline: float | None) -> _Done | None:
        """Tells of changes until `work` is done; None if it is not by the deadline."""
        while True:
            try:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                said = self._outbox.get(timeout=left)
            except queue.Empty:
                return None
            if isinstance(said, _Told):
                self._pass_on(said)
            elif said.work is work:  # not what an interrupted call left behind
                return said

    def _pass_on(self, told: _Told) -> None:
        async def go_on() -> None:
            told.heard.success(None)

        try:
            self._tell(told.event, told.places)
        finally:
            # On the I/O thread, which sleeps until something is scheduled: the library has no public way to do that.
            self.consumer._net.call_soon_with_future(go_on)  # noqa: SLF001 (as said)

    def _work(self) -> None:
        while (work := self._inbox.get()) is not None:
            self._do(work)

    def _do(self, work: _Work) -> None:
        try:
            self._outbox.put(_Done(work, work(), None))
        except BaseException as error:  # raised again in the caller's thread
            self._outbox.put(_Done(work, None, error))

    def close(self, timeout: float) -> None:
        """Tells of what is given up and leaves the group. Ends a join that goes on."""
        leave = partial(self.consumer.close, autocommit=False, timeout_ms=int(timeout * 1000))
        leaving = threading.Thread(target=self._do, args=[leave], name="opentrail-kafka-close", daemon=True)
        leaving.start()
        done = self._serve(leave, None)
        self._inbox.put(None)
        for thread in (leaving, self._thread):
            thread.join(timeout)
        assert done is not None
        _answer(done)


def _answer(done: _Done) -> Any:
    if done.error is not None:
        raise done.error
    return done.answer

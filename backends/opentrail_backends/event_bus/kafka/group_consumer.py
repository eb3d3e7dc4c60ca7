"""A kafka-python consumer whose rebalances are told to the thread that polls.

Since 3.0 the library calls a rebalance listener on its own I/O thread, where no consumer method that waits may be
called and heartbeats stop meanwhile. So `poll` runs on a thread of ours here, the listener hands each change to the
caller of `poll` and awaits its end, while heartbeats go on.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeVar

from kafka import AsyncConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.future import Future

from opentrail_backends.event_bus.kafka.errors import connect

Answer = TypeVar("Answer")
Tell = Callable[[str, Collection[TopicPartition]], None]


class _Done(NamedTuple):
    work: Callable[[], Any]
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

    `tell` is called with "assigned", "revoked" or "lost" inside `call` and `close`, by their caller's thread; it must
    not raise. While it runs, it may use `consumer`.
    """

    def __init__(self, options: dict[str, Any], pattern: str, tell: Tell) -> None:
        self._tell = tell
        self._inbox: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[_Done | _Told] = queue.SimpleQueue()
        # Cooperative: a reader that comes or goes moves only the partitions that must change hands. Under an eager
        # protocol every reader would drop all its open windows each time.
        self.consumer = connect(KafkaConsumer, partition_assignment_strategy=(CooperativeStickyAssignor,), **options)
        self.consumer.subscribe(pattern=pattern, listener=_Listener(self._outbox))
        self._thread = threading.Thread(target=self._work, name="opentrail-kafka-poll", daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], Answer]) -> Answer:
        """Runs `work`, which may rebalance, and tells of changes meanwhile."""
        self._inbox.put(work)
        while True:
            said = self._outbox.get()
            if isinstance(said, _Told):
                self._pass_on(said)
            elif said.work is work:  # not what an interrupted call left behind
                if said.error is not None:
                    raise said.error
                return said.answer  # type: ignore[no-any-return]

    def _pass_on(self, told: _Told) -> None:
        async def go_on() -> None:
            told.heard.success(None)

        try:
            self._tell(told.event, told.places)
        finally:
            # On the I/O thread, which sleeps until something is scheduled: the library has no public way to do that.
            self.consumer._net.call_soon_with_future(go_on)  # noqa: SLF001

    def _work(self) -> None:
        while (work := self._inbox.get()) is not None:
            try:
                self._outbox.put(_Done(work, work(), None))
            except BaseException as error:  # raised again in the caller's thread
                self._outbox.put(_Done(work, None, error))

    def close(self, timeout: float) -> None:
        """Tells of what is given up and leaves the group."""
        try:
            self.call(lambda: self.consumer.close(autocommit=False, timeout_ms=int(timeout * 1000)))
        finally:
            self._inbox.put(None)
            self._thread.join(timeout)

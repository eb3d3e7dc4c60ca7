"""Our share of the bus's partitions, indexed: each from its position in the state store, in batches, again and again.

The index decides: what was added and the position are one transaction. So whatever fails, the way on is the same: ask
for the position, read on from there. A partition that cannot go on holds up no other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from opentrail.events.batch import MalformedBatch
from opentrail_backends.event_bus.batches import NewerFormat
from opentrail_backends.event_bus.port import EventBusError, EventReader, Message, OffsetOutOfRange, Partition
from opentrail_backends.state.port import StateError
from opentrail_backends.state.port.event_history import EventHistory, HistoryEvent, HistoryMoved
from opentrail_control_plane.history.messages import events_of
from opentrail_control_plane.history.metrics import HistoryMetrics

log = logging.getLogger(__name__)

BATCH_EVENTS = 5_000
BATCH_BYTES = 16 * 1024 * 1024
"""Of records: what is read of all partitions is indexed at the latest when it is as much."""
BATCH_SECONDS = 0.5
"""How long an event waits for others to be indexed with."""

_POLL_SECONDS = 0.1
_RETRY_SECONDS = 1.0
_AFTER_FAULT_SECONDS = 10.0
_TOPIC_SECONDS = 60.0
"""How often it is asked whether a topic is still the one whose position is known."""


@dataclass(slots=True)
class _Backlog:
    """What was read of a partition and is not indexed yet."""

    topic_id: str
    position: int | None
    """As the index has it."""
    next_offset: int
    events: list[HistoryEvent] = field(default_factory=list)
    record_bytes: int = 0
    oldest: int = 0
    """When the bus took the oldest message of these (ms); 0: there is none."""
    since: float = 0.0
    """When that one was read."""


class HistoryShare:
    """Our partitions: told by the bus what is ours, and working through it. For one thread only."""

    def __init__(
        self,
        reader: EventReader,
        history: EventHistory,
        metrics: HistoryMetrics,
        clock: Callable[[], int],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the wall clock in milliseconds, `monotonic` counts seconds."""
        self._reader = reader
        self._history = history
        self._metrics = metrics
        self._clock = clock
        self._monotonic = monotonic
        self._backlogs: dict[Partition, _Backlog] = {}
        self._begin_at: dict[Partition, float] = {}
        """Partitions that are ours and to be begun, and when."""
        self._halted: set[Partition] = set()
        self._read_at = 0.0
        self._ask_topics_at = 0.0

    # --- the bus tells (PartitionListener) ----------------------------------------------------------

    def assigned(self, partitions: Collection[Partition]) -> None:
        """Each is read from its position on."""
        for partition in partitions:
            self._begin(partition)

    def revoked(self, partitions: Collection[Partition]) -> None:
        """What is not indexed is read again by the next owner."""
        for partition in partitions:
            self._let_go(partition)

    def lost(self, partitions: Collection[Partition]) -> None:
        """Another owner has them already."""
        self.revoked(partitions)

    # --- one round of work --------------------------------------------------------------------------

    @property
    def waits(self) -> float:
        """The seconds for which another round makes no sense: the bus does not answer."""
        return max(0.0, self._read_at - self._monotonic())

    def run_once(self) -> None:
        """Reads, and indexes what is due. Waits for the bus for a tenth of a second at most."""
        self._begin_again()
        self._ask_topics()
        for message in self._read():
            self._take(message)
        due = self._monotonic() - BATCH_SECONDS
        for partition, backlog in list(self._backlogs.items()):
            if backlog.oldest and backlog.since <= due:
                self._index(partition)

    def index_all(self) -> None:
        """Indexes what was read, due or not."""
        for partition, backlog in list(self._backlogs.items()):
            if backlog.oldest:
                self._index(partition)

    # --- reading ------------------------------------------------------------------------------------

    def _read(self) -> Sequence[Message]:
        try:
            return self._reader.poll(_POLL_SECONDS)
        except OffsetOutOfRange as error:
            self._go_on_at_start(error)
        except EventBusError as error:
            log.warning("event history: the bus does not answer: %s", error)
            self._metrics.restarts.labels("bus").inc()
            self._read_at = self._monotonic() + _RETRY_SECONDS
        return ()

    def _take(self, message: Message) -> None:
        backlog = self._backlogs.get(message.partition)
        if backlog is None or message.offset < backlog.next_offset:
            return
        try:
            found = events_of(message.value)
        except NewerFormat as error:
            self._index(message.partition)
            if message.partition in self._backlogs:  # else what lies before it comes again, and so does it
                self._halt(message.partition, f"{_place(message)}: {error}")
            return
        except MalformedBatch:
            log.exception("event history passes over a message that cannot be read, %s", _place(message))
            self._metrics.unreadable.labels("messages").inc()
            backlog.next_offset = message.offset + 1
            self._wait_with(backlog, message)
            return
        for reason in found.unreadable:
            log.error("event history passes over a record, %s: %s", _place(message), reason)
            self._metrics.unreadable.labels("records").inc()
        backlog.next_offset = message.offset + 1
        backlog.events += found.events
        backlog.record_bytes += found.record_bytes
        self._wait_with(backlog, message)
        if len(backlog.events) >= BATCH_EVENTS:
            self._index(message.partition)
        elif sum(one.record_bytes for one in self._backlogs.values()) >= BATCH_BYTES:
            self._index(max(self._backlogs, key=lambda one: self._backlogs[one].record_bytes))

    def _wait_with(self, backlog: _Backlog, message: Message) -> None:
        if not backlog.oldest:
            backlog.oldest, backlog.since = max(message.append_time, 1), self._monotonic()

    def _go_on_at_start(self, error: OffsetOutOfRange) -> None:
        """The bus does not have what comes next: it was deleted before it was indexed, or the topic was made anew."""
        partition = error.partition
        backlog = self._backlogs.get(partition)
        if backlog is None:
            return  # it is begun again anyhow
        try:
            if self._reader.topic(partition.region).id != backlog.topic_id:
                self._begin_anew(partition)
                return
            start = self._reader.bounds(partition).start
            self._reader.seek(partition, start)
        except EventBusError as failure:
            self._restart(partition, "bus", failure)
            return
        log.error("event history goes on at the start of the log, %s; what lay before is missing in it", error)
        self._metrics.cut_logs.inc()
        backlog.next_offset = start

    def _ask_topics(self) -> None:
        """Notices a topic that was made anew while its partitions stayed ours."""
        if self._monotonic() < self._ask_topics_at:
            return
        self._ask_topics_at = self._monotonic() + _TOPIC_SECONDS
        for region in {partition.region for partition in self._backlogs}:
            with suppress(EventBusError):
                topic_id = self._reader.topic(region).id
                for partition, backlog in list(self._backlogs.items()):
                    if partition.region == region and backlog.topic_id != topic_id:
                        self._begin_anew(partition)

    # --- indexing -----------------------------------------------------------------------------------

    def _index(self, partition: Partition) -> None:
        """Adds what was read of a partition. After a failure it is read again from its position on."""
        backlog = self._backlogs.get(partition)
        if backlog is None or not backlog.oldest:
            return
        offsets = backlog.position, backlog.next_offset
        try:
            with self._metrics.add_seconds.time():
                added = self._history.add(*partition, backlog.topic_id, offsets, backlog.events)
        except HistoryMoved as error:
            self._restart(partition, "moved", error)
        except StateError as error:
            self._restart(partition, "state", error)
        except Exception as error:  # a fault of ours: other partitions must go on
            log.exception("event history: %s/%s cannot be indexed", *partition)
            self._restart(partition, "fault", error, _AFTER_FAULT_SECONDS)
        else:
            self._metrics.events.inc(added)
            self._metrics.left_out.inc(len(backlog.events) - added)
            self._metrics.lag.observe(max(0, self._clock() - backlog.oldest) / 1000)
            self._backlogs[partition] = _Backlog(backlog.topic_id, backlog.next_offset, backlog.next_offset)
            self._reader.commit(partition, backlog.next_offset)  # a hint, for `opentrail status`

    # --- beginning and ending -------------------------------------------------------------------------

    def _begin(self, partition: Partition) -> None:
        """Reads a partition from its position on; without one, from the start of the log."""
        self._let_go(partition)
        try:
            topic = self._reader.topic(partition.region)
            position = self._history.position(*partition, topic.id)
            start = self._reader.bounds(partition).start if position is None else position
            self._reader.seek(partition, start)
            self._reader.resume([partition])
        except StateError as error:
            self._restart(partition, "state", error)
        except EventBusError as error:
            self._restart(partition, "bus", error)
        else:
            self._backlogs[partition] = _Backlog(topic.id, position, start)

    def _begin_anew(self, partition: Partition) -> None:
        """The topic was made anew: what was read of the one before is indexed, for nobody can read it again."""
        self._index(partition)
        self._begin(partition)

    def _restart(self, partition: Partition, why: str, error: Exception, after: float = _RETRY_SECONDS) -> None:
        """Forgets what was read of a partition and begins it again, a little later."""
        log.warning("event history: %s/%s is begun again: %s", *partition, error)
        self._metrics.restarts.labels(why).inc()
        self._let_go(partition)
        self._reader.pause([partition])
        self._begin_at[partition] = self._monotonic() + after

    def _begin_again(self) -> None:
        now = self._monotonic()
        for partition in [partition for partition, at in self._begin_at.items() if at <= now]:
            self._begin(partition)

    def _halt(self, partition: Partition, reason: str) -> None:
        """Not poison: a newer release reads it (design §3, *formats*)."""
        log.error("event history stands still, %s. Start a release that knows this format.", reason)
        self._let_go(partition)
        self._reader.pause([partition])
        self._halted.add(partition)
        self._metrics.halted_partitions.set(len(self._halted))

    def _let_go(self, partition: Partition) -> None:
        self._backlogs.pop(partition, None)
        self._begin_at.pop(partition, None)
        self._halted.discard(partition)
        self._metrics.halted_partitions.set(len(self._halted))


def _place(message: Message) -> str:
    """For the log."""
    return f"{message.partition.region}/{message.partition.number} at offset {message.offset}"

"""Reading from Kafka as a member of a consumer group."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from kafka import OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError
from kafka.structs import MemberState

from opentrail_backends.event_bus.kafka.cluster import KafkaCluster
from opentrail_backends.event_bus.kafka.group_consumer import GroupConsumer
from opentrail_backends.event_bus.kafka.library import kafka_errors
from opentrail_backends.event_bus.kafka.watchdog import Watchdog
from opentrail_backends.event_bus.port import (
    Bounds,
    CommittedPosition,
    EventBusError,
    Message,
    OffsetOutOfRange,
    Partition,
    PartitionListener,
    Topic,
)

_COMMIT_MILLISECONDS = 3000
_CLOSE_SECONDS = 5.0


class KafkaReader:
    """A member of a consumer group. For one thread only.

    `on_reopen` is told of the partitions that stood still whenever the consumer was made anew for their sake.
    """

    reopened = 0
    """How often the consumer was made anew."""

    def __init__(
        self,
        cluster: KafkaCluster,
        group: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_reopen: Callable[[Collection[Partition]], None] | None = None,
    ) -> None:
        self._cluster = cluster
        self._group = group
        self._clock = clock
        self._on_reopen = on_reopen
        self._watchdog = Watchdog(cluster.settings.stall_after)
        self._listener: PartitionListener | None = None
        self._listener_error: BaseException | None = None
        self._member: GroupConsumer | None = None
        self._ours: set[Partition] = set()
        self._sought: set[Partition] = set()
        self._paused: set[Partition] = set()

    def subscribe(self, listener: PartitionListener) -> None:
        """See EventReader. Raises EventBusError where the cluster cannot be reached."""
        self._listener = listener
        self._open()

    def _open(self) -> None:
        options = self._cluster.settings.consumer(self._group)
        with kafka_errors("the consumer cannot be made"):
            self._member = GroupConsumer(options, self._cluster.pattern, self._told)

    def assigned_to_us(self) -> frozenset[Partition]:
        """See EventReader."""
        return frozenset(self._ours)

    def poll(self, timeout: float) -> Sequence[Message]:
        """See EventReader. A partition that was found out of range is silent until it is sought anew."""
        if self._listener is None:
            raise EventBusError("poll before subscribe")
        if self._member is None:  # it could not be made anew the last time
            self._open()
            assert self._member is not None
        with kafka_errors("polling failed"):
            try:
                found = self._member.poll(timeout)
            except OffsetOutOfRangeError as error:
                raise self._out_of_range(error) from error
        self._raise_error_of_listener(found)
        messages = self._messages(found)
        if self._watchdog.is_due(self._clock()) and not self._member.is_joining:
            self._look_for_stalls()
        return messages

    def _raise_error_of_listener(self, found: dict[TopicPartition, list[Any]]) -> None:
        """What was fetched meanwhile is fetched again by the next poll."""
        error, self._listener_error = self._listener_error, None
        if error is not None:
            for place, records in found.items():
                self._consumer.seek(place, records[0].offset)
            raise error

    def _messages(self, found: dict[TopicPartition, list[Any]]) -> list[Message]:
        messages: list[Message] = []
        for place, records in found.items():
            partition = self._cluster.partition(place)
            messages.extend(
                Message(partition, record.offset, record.timestamp, record.value or b"") for record in records
            )
        return messages

    def _out_of_range(self, error: OffsetOutOfRangeError) -> OffsetOutOfRange:
        (place, offset), *_ = error.args[0].items()
        partition = self._cluster.partition(place)
        self._sought.discard(partition)
        self._hold(place)
        bounds = None
        with contextlib.suppress(EventBusError):
            bounds = self.bounds(partition)
        return OffsetOutOfRange(partition, offset, bounds)

    # --- Our share of the partitions

    def _told(self, event: str, places: Collection[TopicPartition]) -> None:
        assert self._listener is not None
        partitions = [self._cluster.partition(place) for place in sorted(places)]
        if event == "assigned":
            self._ours.update(partitions)
            for place in places:
                self._hold(place)
        try:
            getattr(self._listener, event)(partitions)
        except BaseException as error:  # raised by `poll`, once the rebalance is through
            self._listener_error = self._listener_error or error
        if event != "assigned":
            for known in (self._ours, self._sought, self._paused):
                known.difference_update(partitions)
        for partition in partitions:
            self._watchdog.touched(partition)

    def _hold(self, place: TopicPartition) -> None:
        """Without a position the library would take the committed one; so it gets any, and is paused until `seek`."""
        self._consumer.pause(place)
        self._consumer.seek(place, 0)

    @property
    def _consumer(self) -> Any:
        if self._member is None:
            raise EventBusError("the reader is not subscribed")
        return self._member.consumer

    def close(self) -> None:
        """See EventReader."""
        member = self._member
        if member is not None:
            with contextlib.suppress(KafkaError, RuntimeError, OSError):  # the session ends by itself
                member.close(_CLOSE_SECONDS)
        self._member = None
        self._ours.clear()
        self._raise_error_of_listener({})

    # --- Positions

    def seek(self, partition: Partition, offset: int) -> None:
        """See EventReader. Raises EventBusError if the partition is not ours."""
        place = self._cluster.place(partition)
        with kafka_errors(f"cannot seek {partition}"):
            self._consumer.seek(place, offset)
        self._sought.add(partition)
        self._watchdog.touched(partition)
        if partition not in self._paused:
            self._consumer.resume(place)

    def pause(self, partitions: Collection[Partition]) -> None:
        """See EventReader. What is not ours is left out."""
        for partition in self._ours.intersection(partitions):
            self._paused.add(partition)
            self._watchdog.touched(partition)
            if partition in self._still_assigned():
                self._consumer.pause(self._cluster.place(partition))

    def resume(self, partitions: Collection[Partition]) -> None:
        """See EventReader."""
        for partition in self._paused.intersection(partitions):
            self._paused.discard(partition)
            self._watchdog.touched(partition)
            if partition in self._sought and partition in self._still_assigned():
                self._consumer.resume(self._cluster.place(partition))

    def _still_assigned(self) -> set[Partition]:
        """In `revoked` a partition is ours, but not the library's any more."""
        return {self._cluster.partition(place) for place in self._consumer.assignment()}

    # --- The log and the hints

    def bounds(self, partition: Partition) -> Bounds:
        """See EventReader. Raises EventBusError if it cannot be known."""
        return self._cluster.bounds([partition])[partition]

    def topic(self, region: str) -> Topic:
        """See EventReader."""
        return self._cluster.topic(region)

    def commit(self, partition: Partition, offset: int, metadata: str = "") -> None:
        """See EventReader."""
        if partition not in self._ours or not self._is_stable():
            return
        hint = OffsetAndMetadata(offset, metadata, -1)
        with contextlib.suppress(KafkaError, RuntimeError, ValueError, OSError):
            self._consumer.commit({self._cluster.place(partition): hint}, timeout_ms=_COMMIT_MILLISECONDS)

    def _is_stable(self) -> bool:
        """While it joins, a member cannot commit, and the library would try until the time is up."""
        return self._member is not None and self._consumer.group_metadata().state == MemberState.STABLE

    def committed(self, partition: Partition) -> CommittedPosition | None:
        """See EventReader."""
        return self._cluster.committed(self._group, [partition]).get(partition)

    # --- The watchdog

    def _look_for_stalls(self) -> None:
        reading = self._sought & self._ours - self._paused
        positions = {partition: self._position(partition) for partition in reading}
        try:
            ends = {partition: bounds.end for partition, bounds in self._cluster.bounds(reading).items()}
        except EventBusError:
            ends = {}  # a cluster that does not answer is no stall
        stalled = self._watchdog.stalled(self._clock(), positions, ends)
        if stalled:
            self._reopen(stalled)

    def _position(self, partition: Partition) -> int:
        with kafka_errors(f"the position of {partition} cannot be read"):
            position = self._consumer.position(self._cluster.place(partition), timeout_ms=100)
        return int(position or 0)

    def _reopen(self, stalled: Collection[Partition]) -> None:
        self.reopened += 1
        self.close()
        self._watchdog.begin_anew()
        if self._on_reopen is not None:
            self._on_reopen(stalled)
        self._open()

"""Reading from the embedded bus."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from opentrail_backends.event_bus.embedded.database import (
    Database,
    all_topics,
    committed_positions,
    forget,
    partition_bounds,
)
from opentrail_backends.event_bus.embedded.membership import Membership
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

_MOST_MESSAGES = 500  # in one poll
_MOST_BYTES = 16 * 1024 * 1024
_FORGOTTEN_AT_ONCE = 64
_GLANCE_SECONDS = 0.01  # how often a waiting reader looks for changes


class EmbeddedReader:
    """A member of a group. For one thread only."""

    def __init__(self, database: Database, group: str, lease: float, now: Callable[[], float]) -> None:
        self._database = database
        self._group = group
        self._membership = Membership(database, group, lease, now)
        self._listener: PartitionListener | None = None
        self._ours: dict[Partition, int] = {}
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._turn = 0
        self._to_forget: dict[Partition, int] = {}

    def subscribe(self, listener: PartitionListener) -> None:
        """See EventReader."""
        self._listener = listener

    def assigned_to_us(self) -> frozenset[Partition]:
        """See EventReader."""
        return frozenset(self._ours)

    def poll(self, timeout: float) -> Sequence[Message]:
        """See EventReader. A partition that was found out of range is silent until it is sought anew."""
        deadline = time.monotonic() + timeout
        self._forget_some()
        while True:
            seen = self._database.change_count()
            self._keep_share()
            messages = self._read()
            if messages or not self._wait_for_change(seen, deadline):
                return messages

    def _wait_for_change(self, seen: int, deadline: float) -> bool:
        """Whether to look again before the deadline."""
        while (left := deadline - time.monotonic()) > 0:
            if self._database.change_count() != seen or self._membership.seconds_to_heartbeat() == 0.0:
                return True
            time.sleep(min(_GLANCE_SECONDS, left))
        return False

    # --- Our share of the partitions

    def _keep_share(self) -> None:
        if self._listener is None or not self._membership.is_due():
            return
        change = self._membership.renew(self._ours)
        self._drop(change.lost)
        self._ours.update(change.gained)
        with contextlib.ExitStack() as last_first:  # each is told, also when another one raises
            if change.gained:
                last_first.callback(self._listener.assigned, list(change.gained))
            if change.surplus:
                last_first.callback(self._give_up, self._listener, change.surplus)
            if change.lost:
                last_first.callback(self._listener.lost, list(change.lost))

    def _give_up(self, listener: PartitionListener, surplus: Mapping[Partition, int]) -> None:
        try:
            listener.revoked(list(surplus))
        finally:
            self._drop(surplus)
            self._membership.release(surplus.values())

    def _drop(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            self._ours.pop(partition, None)
            self._positions.pop(partition, None)
            self._paused.discard(partition)
            self._to_forget.pop(partition, None)

    def close(self) -> None:
        """See EventReader."""
        try:
            if self._listener is not None and self._ours:
                self._listener.revoked(list(self._ours))
        finally:
            self._drop(list(self._ours))
            self._listener = None
            with contextlib.suppress(EventBusError):  # the lease ends by itself
                self._membership.leave()
            self._database.close()

    # --- Reading

    def _read(self) -> list[Message]:
        wanted = [
            partition for partition in self._ours if partition in self._positions and partition not in self._paused
        ]
        if not wanted:
            return []
        self._turn += 1  # each partition is the first in its turn
        begin = self._turn % len(wanted)
        messages: list[Message] = []
        with self._database.read() as connection:
            everything = partition_bounds(connection)
            for partition in wanted:
                self._check_position(partition, everything.get(partition))
            size = 0
            for partition in wanted[begin:] + wanted[:begin]:
                size = self._read_partition(connection, partition, messages, size)
        for message in messages:
            self._positions[message.partition] = message.offset + 1
        return messages

    def _check_position(self, partition: Partition, known: tuple[int, Bounds] | None) -> None:
        if known is None or known[0] != self._ours[partition]:
            return  # the topic was deleted; our share will follow
        _, bounds = known
        if not bounds.start <= self._positions[partition] <= bounds.end:
            raise OffsetOutOfRange(partition, self._positions.pop(partition), bounds)

    def _read_partition(
        self, connection: sqlite3.Connection, partition: Partition, messages: list[Message], size: int
    ) -> int:
        if size >= _MOST_BYTES or len(messages) >= _MOST_MESSAGES:
            return size
        rows = connection.execute(
            "SELECT offset, append_time, value FROM messages"
            " WHERE partition = ? AND offset >= ? ORDER BY offset LIMIT ?",
            [self._ours[partition], self._positions[partition], _MOST_MESSAGES - len(messages)],
        )
        for offset, append_time, value in rows:
            messages.append(Message(partition, offset, append_time, value))
            size += len(value)
            if size >= _MOST_BYTES:
                break
        return size

    def seek(self, partition: Partition, offset: int) -> None:
        """See EventReader. Raises EventBusError if the partition is not ours."""
        if partition not in self._ours:
            raise EventBusError(f"cannot seek {partition}: it is not assigned to this reader")
        self._positions[partition] = offset

    def pause(self, partitions: Collection[Partition]) -> None:
        """See EventReader. What is not ours is left out."""
        self._paused.update(partition for partition in partitions if partition in self._ours)

    def resume(self, partitions: Collection[Partition]) -> None:
        """See EventReader."""
        self._paused.difference_update(partitions)

    # --- The log and the hints

    def bounds(self, partition: Partition) -> Bounds:
        """See EventReader. Raises EventBusError if there is no such partition."""
        with self._database.read() as connection:
            known = partition_bounds(connection).get(partition)
        if known is None:
            raise EventBusError(f"the bus has no partition {partition}")
        return known[1]

    def topic(self, region: str) -> Topic:
        """See EventReader."""
        with self._database.read() as connection:
            topic = all_topics(connection).get(region)
        if topic is None:
            raise EventBusError(f"the bus has no topic for region {region}")
        return topic

    def commit(self, partition: Partition, offset: int, metadata: str = "") -> None:
        """See EventReader. What every group has passed is forgotten, a little now, the rest while polling."""
        with contextlib.suppress(EventBusError):
            with self._database.write() as connection:
                kept = connection.execute(
                    "INSERT INTO committed SELECT consumer_group, partition, ?, ? FROM owners"
                    " WHERE member = ? AND partition = ?"
                    " ON CONFLICT DO UPDATE SET offset = excluded.offset, metadata = excluded.metadata",
                    [offset, metadata, self._membership.id, self._ours.get(partition)],
                ).rowcount
            if kept:
                self._to_forget[partition] = offset
                self._forget_some()

    def _forget_some(self) -> None:
        for partition, below in list(self._to_forget.items()):
            with contextlib.suppress(EventBusError), self._database.write() as connection:
                if forget(connection, self._ours[partition], below, _FORGOTTEN_AT_ONCE) == _FORGOTTEN_AT_ONCE:
                    return  # more next time
            del self._to_forget[partition]

    def committed(self, partition: Partition) -> CommittedPosition | None:
        """See EventReader."""
        with self._database.read() as connection:
            known = partition_bounds(connection).get(partition)
            return committed_positions(connection, self._group).get(known[0]) if known else None

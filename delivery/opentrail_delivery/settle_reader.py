"""How `opentrail settle` reads the bus: as a member of delivery's own group, while no delivery process runs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Self

from opentrail_backends.event_bus.port import EventBus, EventBusError, Message, Partition


class SettleRefused(Exception):
    """A partition cannot be settled now; the message says what to do first."""


class SettleReader:
    """Reads partitions and sets their hints.

    A group of our own would keep the embedded bus from forgetting what delivery has passed, and could set no hints.
    """

    def __init__(self, bus: EventBus, group: str, patience: float) -> None:
        """`patience`: seconds to wait until a partition is ours; a process that was killed holds it for a while."""
        self._reader = bus.reader(group)
        self._patience = patience
        self._reader.subscribe(self)

    def assigned(self, partitions: Collection[Partition]) -> None:
        """Nothing is read before it is sought."""

    def revoked(self, partitions: Collection[Partition]) -> None:
        """What we read of it ends with an error."""

    def lost(self, partitions: Collection[Partition]) -> None:
        """What we read of it ends with an error."""

    def hold(self, partition: Partition) -> None:
        """Waits until the partition is ours. Raises SettleRefused if another process keeps it, EventBusError."""
        deadline = time.monotonic() + self._patience
        while partition not in self._reader.assigned_to_us():
            self._reader.poll(0.1)
            if time.monotonic() > deadline:
                raise SettleRefused(
                    f"a delivery process holds partition {partition.region}/{partition.number}: stop all delivery "
                    "processes (opentrail up, opentrail serve delivery), then settle again"
                )

    def read(self, partition: Partition, first: int, end: int) -> Iterator[Message]:
        """The messages of [first, end), in order. Raises SettleRefused, EventBusError."""
        self.hold(partition)
        if first >= end:
            return
        self._reader.seek(partition, first)
        self._reader.resume([partition])
        expected = first
        deadline = time.monotonic() + self._patience
        while expected < end:
            for message in self._reader.poll(0.2):
                if message.partition != partition or message.offset < expected:
                    continue
                if message.offset > expected:
                    raise EventBusError(f"offsets {expected} to {message.offset - 1} were passed over")
                expected += 1
                deadline = time.monotonic() + self._patience
                yield message
                if expected >= end:
                    break
            if partition not in self._reader.assigned_to_us() or time.monotonic() > deadline:
                raise SettleRefused(
                    f"reading partition {partition.region}/{partition.number} stopped at offset {expected}: see that "
                    "no delivery process runs and that the bus answers, then settle again"
                )
        self._reader.pause([partition])

    def set_hint(self, partition: Partition, offset: int, metadata: str) -> bool:
        """Commits where delivery goes on; whether the bus kept it. Raises SettleRefused, EventBusError."""
        self.hold(partition)
        deadline = time.monotonic() + self._patience
        while True:
            self._reader.commit(partition, offset, metadata)
            kept = self._reader.committed(partition)
            if kept is not None and kept.offset == offset:
                return True
            if time.monotonic() > deadline:
                return False
            self._reader.poll(0.2)

    def close(self) -> None:
        """Leaves the group."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

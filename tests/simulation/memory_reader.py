"""A member of the group that reads the bus in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

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
from tests.simulation.scheduler import Process

if TYPE_CHECKING:
    from tests.simulation.memory_bus import MemoryBus

_MOST = (8, 8, 8, 1, 2, 3)


class MemoryReader:
    """What it believes to own may lag behind what the group decided: it hears of changes in `poll`."""

    def __init__(self, bus: MemoryBus, process: Process, fail: Callable[[], bool]) -> None:
        self._bus = bus
        self._scheduler = bus.scheduler
        self.process = process
        self._fail = fail
        self._listener: PartitionListener | None = None
        self._told: deque[tuple[str, Partition]] = deque()
        self._ours: set[Partition] = set()
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._turn = 0

    def tell(self, what: str, partition: Partition) -> None:
        """The group decided something about a partition."""
        before = next((told for told, of in reversed(self._told) if of == partition), None)
        if what != before:
            self._told.append((what, partition))

    def subscribe(self, listener: PartitionListener) -> None:
        self._listener = listener
        self._bus.join(self)

    def assigned_to_us(self) -> frozenset[Partition]:
        return frozenset(self._ours)

    def poll(self, timeout: float) -> Sequence[Message]:
        self._scheduler.pause()
        if self._fail():
            raise EventBusError("simulated: the bus does not answer")
        self._hear()
        messages = self._read()
        if messages:
            self._scheduler.pause()
        else:
            self._scheduler.sleep(max(timeout, 0.1))
        return messages

    def _hear(self) -> None:
        assert self._listener is not None
        while self._told:
            what, partition = self._told.popleft()
            if what == "assigned":
                self._ours.add(partition)
                self._paused.discard(partition)
                self._positions.pop(partition, None)
                self._listener.assigned([partition])
                continue
            if partition not in self._ours:
                self._hand_over(what, partition)
                continue
            try:
                self._listener.revoked([partition]) if what == "revoked" else self._listener.lost([partition])
            finally:
                self._ours.discard(partition)
                self._positions.pop(partition, None)
                self._paused.discard(partition)
                self._hand_over(what, partition)

    def _hand_over(self, what: str, partition: Partition) -> None:
        if what == "revoked" and self._bus.owners.get(partition) is self and self.process.is_alive:
            self._bus.owners[partition] = None
            self._bus.give()

    def _read(self) -> list[Message]:
        wanted = [p for p in sorted(self._ours) if p in self._positions and p not in self._paused]
        messages: list[Message] = []
        self._turn += 1
        most = self._scheduler.choices.pick(_MOST) if wanted else 0
        for partition in wanted:
            bounds = self._bus.bounds(partition)
            if not bounds.start <= self._positions[partition] <= bounds.end:
                raise OffsetOutOfRange(partition, self._positions.pop(partition), bounds)
        for index in range(len(wanted)):
            partition = wanted[(index + self._turn) % len(wanted)]
            found = self._bus.read(partition, self._positions[partition], most - len(messages))
            messages += found
            self._positions[partition] += len(found)
        return messages

    def seek(self, partition: Partition, offset: int) -> None:
        if partition not in self._ours:
            raise EventBusError(f"cannot seek {partition}: it is not assigned to this reader")
        self._positions[partition] = offset

    def pass_over(self, partition: Partition) -> None:
        """A fault of the bus's client: it goes on behind messages that it has not given."""
        position = self._positions.get(partition)
        if position is not None and position + 1 < self._bus.bounds(partition).end:  # the next message shows it
            self._positions[partition] = position + 1

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused.update(partition for partition in partitions if partition in self._ours)

    def resume(self, partitions: Collection[Partition]) -> None:
        self._paused.difference_update(partitions)

    def bounds(self, partition: Partition) -> Bounds:
        self._ask()
        return self._bus.bounds(partition)

    def topic(self, region: str) -> Topic:
        self._ask()
        return self._bus.topics()[region]

    def commit(self, partition: Partition, offset: int, metadata: str = "") -> None:
        self._scheduler.pause()
        if not self._fail():
            self._bus.commit(self, partition, offset, metadata)
        self._scheduler.pause()

    def committed(self, partition: Partition) -> CommittedPosition | None:
        self._ask()
        return self._bus.hints.get(partition)

    def _ask(self) -> None:
        self._scheduler.pause()
        if self._fail():
            raise EventBusError("simulated: the bus does not answer")

    def close(self) -> None:
        self._scheduler.pause()
        if self._listener is not None:
            if self._ours:
                self._listener.revoked(sorted(self._ours))
            self._listener = None
            self._bus.leave(self)

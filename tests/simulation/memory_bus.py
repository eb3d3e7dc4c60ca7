"""An event bus in memory: it keeps what it ever took, loses answers, lets messages land late, and moves partitions.

Who owns which partition is the schedule's business (`rebalance`, `expel`); a member hears of it in its next poll.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentrail_backends.event_bus.port import (
    Bounds,
    CommittedPosition,
    EventBusError,
    Message,
    Partition,
    Topic,
)
from tests.simulation.memory_reader import MemoryReader
from tests.simulation.scheduler import Process, Scheduler


@dataclass(slots=True)
class Log:
    """One partition: what was taken, and what of it is still there."""

    start: int = 0
    messages: list[tuple[int, bytes]] = field(default_factory=list)
    """(append time, value); the index is the offset."""

    @property
    def end(self) -> int:
        return len(self.messages)


@dataclass(frozen=True, slots=True)
class Taken:
    """A message as the bus took it: the truth that the buckets are compared with."""

    partition: Partition
    topic_id: str
    offset: int
    append_time: int
    value: bytes
    revision: int
    """The newest revision of the configuration at that moment, whatever the clocks said."""


@dataclass
class MemoryBus:
    """The bus as a whole, and its one group of readers."""

    scheduler: Scheduler
    revision: Callable[[], int] = lambda: 0
    clock_offset: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    """Partitions of each region's topic."""
    logs: dict[Partition, Log] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    owners: dict[Partition, MemoryReader | None] = field(default_factory=dict)
    wanted: dict[Partition, MemoryReader | None] = field(default_factory=dict)
    members: list[MemoryReader] = field(default_factory=list)
    hints: dict[Partition, CommittedPosition] = field(default_factory=dict)
    history: list[Taken] = field(default_factory=list)
    late: list[Callable[[], None]] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    blocked: set[Partition] = field(default_factory=set)
    """Partitions that take nothing."""

    # --- the log ---------------------------------------------------------------------------------

    def now(self) -> int:
        """The clock of append times."""
        return self.scheduler.now + self.clock_offset

    def append(self, partition: Partition, value: bytes) -> None:
        """The bus takes a message."""
        log = self.logs[partition]
        taken = Taken(partition, self.ids[partition.region], log.end, self.now(), value, self.revision())
        log.messages.append((taken.append_time, value))
        self.history.append(taken)

    def make_anew(self, region: str) -> None:
        """The topic is deleted and made again; what was committed for it is gone."""
        generation = int(self.ids[region].rpartition("-")[2]) + 1
        self.ids[region] = f"topic-{region}-{generation}"
        for partition in self.partitions_of(region):
            self.logs[partition] = Log()
            self.hints.pop(partition, None)
            owner = self.owners[partition]
            if owner is not None:  # shares of the old topic end
                owner.tell("lost", partition)
                self.owners[partition] = None

    def partitions_of(self, region: str) -> list[Partition]:
        return [Partition(region, number) for number in range(self.counts[region])]

    # --- the group -------------------------------------------------------------------------------

    def join(self, member: MemoryReader) -> None:
        """A member subscribed; it owns nothing until the group is balanced again."""
        self.members.append(member)

    def leave(self, member: MemoryReader) -> None:
        """A member is gone, in order or not."""
        self.members.remove(member)
        for partition, owner in self.owners.items():
            if owner is member:
                self.owners[partition] = None
        for partition, owner in self.wanted.items():
            if owner is member:
                self.wanted[partition] = None
        self.give()

    def rebalance(self, wanted: Mapping[Partition, MemoryReader | None]) -> None:
        """In order: who has a partition hands it over in its next poll, then the next one gets it."""
        for partition, member in wanted.items():
            self.wanted[partition] = member
            owner = self.owners.get(partition)
            if owner is not None and owner is not member:
                owner.tell("revoked", partition)
        self.give()

    def expel(self, member: MemoryReader) -> None:
        """The group takes a member for dead: others get its partitions at once, it hears of it when it wakes."""
        for partition, owner in list(self.owners.items()):
            if owner is member:
                member.tell("lost", partition)
                self.owners[partition] = None
                if self.wanted.get(partition) is member:
                    self.wanted[partition] = None

    def give(self) -> None:
        """Assigns what is free to who is to have it."""
        for partition, member in self.wanted.items():
            if self.owners.get(partition) is None and member is not None:
                self.owners[partition] = member
                member.tell("assigned", partition)

    # --- the port --------------------------------------------------------------------------------

    def ensure_topic(self, region: str, partitions: int) -> Topic:
        if region not in self.counts:
            self.counts[region] = partitions
            self.ids[region] = f"topic-{region}-1"
            for partition in self.partitions_of(region):
                self.logs[partition] = Log()
                self.owners[partition] = None
        return self.topics()[region]

    def topics(self) -> dict[str, Topic]:
        return {
            region: Topic(region, f"events-{region}", self.ids[region], count) for region, count in self.counts.items()
        }

    def bounds(self, partition: Partition) -> Bounds:
        if partition not in self.logs:
            raise EventBusError(f"the bus has no partition {partition}")
        return Bounds(self.logs[partition].start, self.logs[partition].end)

    def lag(self, _group: str) -> dict[Partition, tuple[CommittedPosition | None, Bounds]]:
        return {partition: (self.hints.get(partition), self.bounds(partition)) for partition in self.logs}

    def read(self, partition: Partition, position: int, most: int) -> Sequence[Message]:
        log = self.logs[partition]
        return [
            Message(partition, offset, *log.messages[offset])
            for offset in range(position, min(log.end, position + most))
        ]

    def commit(self, member: Any, partition: Partition, offset: int, metadata: str) -> None:
        """A hint of who is not the owner any more is refused, and nobody hears of it."""
        if self.owners.get(partition) is member:
            self.hints[partition] = CommittedPosition(offset, metadata)

    def unmet_conditions(self) -> Collection[str]:
        return list(self.unmet)

    def close(self) -> None:
        """Nothing to free."""


class BusOfProcess:
    """The bus as one process sees it: each call may fail, and others may go on before and after it."""

    def __init__(self, bus: MemoryBus, process: Process, fail: Callable[[], bool]) -> None:
        self._bus = bus
        self._process = process
        self._fail = fail

    def topics(self) -> Mapping[str, Topic]:
        return self._call(self._bus.topics)

    def lag(self, group: str) -> Mapping[Partition, tuple[CommittedPosition | None, Bounds]]:
        return self._call(self._bus.lag, group)

    def unmet_conditions(self) -> Collection[str]:
        return self._call(self._bus.unmet_conditions)

    def reader(self, group: str) -> MemoryReader:
        return MemoryReader(self._bus, self._process, self._fail)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        scheduler = self._bus.scheduler
        scheduler.pause()
        if self._fail():
            raise EventBusError("simulated: the bus does not answer")
        answer = function(*arguments)
        scheduler.pause()
        return answer

    def close(self) -> None:
        """Nothing to free."""

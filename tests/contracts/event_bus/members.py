"""Readers for the contract suite: each notes what it is told and what it reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from opentrail_backends.event_bus.port import EventReader, Message, Partition

PATIENCE = 40.0
"""Seconds after which a condition is taken never to come true."""


@dataclass
class Member:
    """A reader with its listener. `story` may be shared by several, to see who was told first."""

    reader: EventReader
    name: str = "reader"
    story: list[tuple[str, str, Partition]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    positions: dict[Partition, int] = field(default_factory=dict)
    """Where to begin; without an entry at the start of the log."""
    seeks: bool = True
    in_revoked: Callable[[Partition], None] = lambda partition: None
    threads: set[int] = field(default_factory=set)
    patience: float = 0.05
    """Seconds of one poll."""

    def assigned(self, partitions: Collection[Partition]) -> None:
        self._note("assigned", partitions)
        for partition in partitions if self.seeks else []:
            start = self.reader.bounds(partition).start
            self.reader.seek(partition, self.positions.get(partition, start))

    def revoked(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            self.in_revoked(partition)
        self._note("revoked", partitions)

    def lost(self, partitions: Collection[Partition]) -> None:
        self._note("lost", partitions)

    def _note(self, event: str, partitions: Collection[Partition]) -> None:
        self.threads.add(threading.get_ident())
        self.story.extend((self.name, event, partition) for partition in partitions)

    def told(self, event: str) -> set[Partition]:
        return {partition for name, what, partition in self.story if (name, what) == (self.name, event)}

    def join(self) -> Member:
        self.reader.subscribe(self)
        return self

    def step(self) -> None:
        self.messages.extend(self.reader.poll(self.patience))

    @property
    def ours(self) -> frozenset[Partition]:
        return self.reader.assigned_to_us()

    def values(self, partition: Partition | None = None) -> list[bytes]:
        return [message.value for message in self.messages if partition in {None, message.partition}]


def until(condition: Callable[[], bool], *members: Member) -> None:
    """Lets the members poll in turn until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        told = [(member.name, sorted(member.ours), member.story[-4:], len(member.messages)) for member in members]
        assert time.monotonic() < deadline, f"it did not come true; the members: {told}"
        for member in members:
            member.step()


def steps(count: int, *members: Member) -> None:
    """For what must not happen: some rounds in which it could have."""
    for _ in range(count):
        for member in members:
            member.step()


def numbered(begin: int, end: int) -> list[bytes]:
    return [b"message %d" % number for number in range(begin, end)]


def all_of(*groups: Iterable[Partition]) -> list[Partition]:
    return sorted(partition for group in groups for partition in group)

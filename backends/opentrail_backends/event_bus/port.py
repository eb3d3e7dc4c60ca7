"""The event bus: ordered, durable partitions of messages, one topic per region.

What the bus must give, whatever its make: a published message is durable when its future resolves; each
message has an append time set by the bus, in milliseconds; a group's partitions are spread over its
readers; positions are the reader's own business, and a committed position is only a hint (design, step 6).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Partition(NamedTuple):
    """One partition of one region's topic."""

    region: str
    number: int


class Message(NamedTuple):
    """One event batch as the bus keeps it."""

    partition: Partition
    offset: int
    append_time: int
    """Milliseconds since the epoch, set by the bus."""
    value: bytes


@dataclass(frozen=True, slots=True)
class Topic:
    """A region's topic. `id` changes when a topic of the same name is made anew."""

    region: str
    name: str
    id: str
    partitions: int


class Bounds(NamedTuple):
    """The offsets that a partition holds: `start` is the first, `end` the one after the last."""

    start: int
    end: int


class CommittedPosition(NamedTuple):
    """What a group last committed for a partition: a hint (step 6)."""

    offset: int
    metadata: str


class EventBusError(Exception):
    """The bus refused or could not be reached; the message says what to do."""


class MessageTooLarge(EventBusError):
    """The bus does not take a message of this size."""


class PublishFailed(EventBusError):
    """The bus did not confirm the message. It may be there all the same."""


class OffsetOutOfRange(EventBusError):
    """The asked position is not (or no longer) in the log: data was deleted, or the topic was made anew."""

    def __init__(self, partition: Partition, offset: int, bounds: Bounds | None) -> None:
        super().__init__(f"{partition.region}/{partition.number}: offset {offset} is outside of the log ({bounds})")
        self.partition = partition
        self.offset = offset
        self.bounds = bounds


class EventPublisher(Protocol):
    """Puts messages on the bus. Safe for use by several threads."""

    def topics(self) -> Mapping[str, Topic]:
        """The topics that exist, by region (refreshed at most every few seconds)."""
        ...

    def publish(self, partition: Partition, key: bytes, value: bytes) -> Future[None]:
        """Sends a message; the future resolves when it is durable (Kafka: acks=all, idempotent).

        The future raises MessageTooLarge or PublishFailed.
        """
        ...

    def close(self, timeout: float) -> None:
        """Waits up to `timeout` seconds for what is under way, then closes."""
        ...


class PartitionListener(Protocol):
    """Told of changes in a reader's share of the partitions; called inside `poll`, by its thread."""

    def assigned(self, partitions: Collection[Partition]) -> None:
        """These are ours now. The listener must `seek` each: there is no automatic position.

        What is not sought is silent until it is.
        """
        ...

    def revoked(self, partitions: Collection[Partition]) -> None:
        """These go to another reader after this call; committing is still possible in it."""
        ...

    def lost(self, partitions: Collection[Partition]) -> None:
        """These went to another reader already; nothing may be committed."""
        ...


class EventReader(Protocol):
    """A member of a consumer group that reads all regions' topics. For one thread only."""

    def subscribe(self, listener: PartitionListener) -> None:
        """Joins the group, for every region's topic, also those that appear later."""
        ...

    def assigned_to_us(self) -> frozenset[Partition]:
        """The partitions that are ours now."""
        ...

    def poll(self, timeout: float) -> Sequence[Message]:
        """The next messages, in order within each partition; empty after `timeout` seconds without any.

        Raises OffsetOutOfRange; never resets a position by itself: the partition is silent until the next `seek`,
        others are read on. An error of the listener is raised too, once all changes have been told.
        """
        ...

    def seek(self, partition: Partition, offset: int) -> None:
        """Sets the position of an assigned partition: the next message read has this offset or a higher one.

        Raises EventBusError if the partition is not ours.
        """
        ...

    def pause(self, partitions: Collection[Partition]) -> None:
        """Stops reading these until `resume`; they stay ours. What is not ours is left out."""
        ...

    def resume(self, partitions: Collection[Partition]) -> None:
        """Goes on reading them."""
        ...

    def bounds(self, partition: Partition) -> Bounds:
        """The offsets that the partition holds now. Raises EventBusError if they cannot be known."""
        ...

    def topic(self, region: str) -> Topic:
        """The region's topic as it is now. Raises EventBusError if there is none."""
        ...

    def commit(self, partition: Partition, offset: int, metadata: str = "") -> None:
        """Commits a hint (step 6). A failure to do so is not raised: the ledger decides."""
        ...

    def committed(self, partition: Partition) -> CommittedPosition | None:
        """The group's hint for a partition."""
        ...

    def close(self) -> None:
        """Leaves the group; the listener is told of the revoked partitions first."""
        ...


class EventBus(Protocol):
    """A bus as a whole: makes topics, publishers and readers."""

    def ensure_topic(self, region: str, partitions: int) -> Topic:
        """Makes the region's topic if there is none; an existing one is left as it is."""
        ...

    def topics(self) -> Mapping[str, Topic]:
        """All regions' topics, by region."""
        ...

    def publisher(self) -> EventPublisher:
        """A new publisher."""
        ...

    def reader(self, group: str) -> EventReader:
        """A new reader in a consumer group."""
        ...

    def lag(self, group: str) -> Mapping[Partition, tuple[CommittedPosition | None, Bounds]]:
        """For `opentrail status`: each partition's committed hint and bounds."""
        ...

    def unmet_conditions(self) -> Sequence[str]:
        """What the bus lacks of what delivery stands on (design §3), one sentence each; asked at start and hourly.

        Raises EventBusError if it cannot be known.
        """
        ...

    def close(self) -> None:
        """Frees what the bus itself holds."""
        ...

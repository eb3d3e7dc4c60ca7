"""`opentrail redrive`: what lies in the spool because it could not be delivered is sent in again, each event once.

Poison comes onto the bus again once this release can read it; of dead letters, the events that are surely new. Each
message bears the time at which the bus took it first, so the configuration of that time governs it, and numbers, so
that a redrive that was killed and is repeated delivers nothing twice: delivery drops what it has seen. The copy in the
spool is removed after the bus has the message.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum

import msgspec

from opentrail.events.batch import EventBatch, attributes_of, numbers_of, ranges_of, select
from opentrail.events.client_numbers import Ranges, covers
from opentrail.events.columns import packed
from opentrail.events.partition import partition_of
from opentrail_backends.event_bus.batches import MalformedBatch, NewerFormat, pack, peek, unpack
from opentrail_backends.event_bus.port import EventBus, EventBusError, EventPublisher, Partition
from opentrail_backends.state.port import Ledger
from opentrail_delivery.intent_body import FORMAT_VERSION as INTENT_FORMAT
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import HeldMessage, Spool

_BATCH_FORMAT = 2
"""The format of messages that say when they were accepted first."""
_PUBLISH_SECONDS = 60.0
_KEPT_MS = int(DeliverySettings().kept_seconds * 1000)
"""The state store keeps the configuration of all times that are not longer ago."""
_TOO_OLD = (
    "the bus took it more than 35 days ago, and which trails wanted it then is not known any more: --as-now sends it "
    "to those that want it today"
)


class RedriveRefused(Exception):
    """Nothing can be sent in again now; the message says why."""


class Kept(StrEnum):
    """Why something lies in the spool; the value is its folder there."""

    POISON = "poison"
    DEAD_LETTERS = "dead-letters"
    PARKED = "parked"


class Outcome(StrEnum):
    """What became of a kept message."""

    SENT = "sent"
    """On the bus again, and removed from the spool (a dry run: would be)."""
    DROPPED = "dropped"
    """Each of its events was delivered before: removed from the spool."""
    UNREADABLE = "unreadable"
    """Left in the spool: this release cannot read it either."""
    FAILED = "failed"
    """Left in the spool: the bus did not take it. Try again."""
    TOO_OLD = "too-old"
    """Left in the spool: the configuration of its time is forgotten (`as_now`: that of today governs it)."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of one message of the spool."""

    kept: Kept
    key: str
    outcome: Outcome
    events: int = 0
    """Events that were sent."""
    repeats: int = 0
    """Events that were delivered before, and are not sent."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedriveTools:
    """What a redrive reads from and writes to."""

    event_bus: EventBus
    ledger: Ledger
    spool: Spool


class Redrive:
    """One run. For one thread; a second run at the same time sends some messages twice, which delivery drops."""

    def __init__(self, tools: RedriveTools, *, dry_run: bool = False, as_now: bool = False) -> None:
        """`as_now`: what is older than any configuration that is kept goes to the trails that want it today."""
        self._tools = tools
        self._dry_run = dry_run
        self._as_now = as_now

    def run(self, kinds: Collection[Kept]) -> Iterator[Redriven]:
        """Sends poison and dead letters in again, one message at a time.

        Raises RedriveRefused, EventBusError, ObjectStoreError, StateError. What was yielded before is done.
        """
        wanted = [kept for kept in (Kept.POISON, Kept.DEAD_LETTERS) if kept in kinds]
        if not wanted:
            return
        with self._formats_checked(), self._publisher() as publisher:
            for kept in wanted:
                for held in self._tools.spool.held_messages(kept):
                    yield self._one(kept, held, publisher)

    def retry_parked(self) -> int:
        """Parked files that are not tried any more are tried again; returns how many. Raises StateError."""
        if self._dry_run:
            return sum(trail.expired for trail in self._tools.ledger.parked_by_trail())
        return self._tools.ledger.retry_expired()

    # --- helpers ----------------------------------------------------------------------------------

    @contextmanager
    def _formats_checked(self) -> Iterator[None]:
        """Messages that say when they were accepted are read by this release only. Raises RedriveRefused."""
        if self._dry_run:
            yield
            return
        worker_id = f"redrive-{uuid.uuid4()}"
        try:
            formats = self._tools.ledger.report_worker(worker_id, {"batch": _BATCH_FORMAT, "intent": INTENT_FORMAT})
            if formats.get("batch", 1) < _BATCH_FORMAT:
                raise RedriveRefused(
                    "Delivery processes of an older release are running, or ran in the last ten minutes; they do not "
                    "know the format of redriven messages. Upgrade them all, then redrive: nothing is lost meanwhile."
                )
            yield
        finally:
            self._tools.ledger.remove_worker(worker_id)

    @contextmanager
    def _publisher(self) -> Iterator[EventPublisher | None]:
        if self._dry_run:
            yield None
            return
        publisher = self._tools.event_bus.publisher()
        try:
            yield publisher
        finally:
            publisher.close(_PUBLISH_SECONDS)

    def _one(self, kept: Kept, held: HeldMessage, publisher: EventPublisher | None) -> Redriven:
        message, unknown = self._tools.spool.message(held)
        try:
            new, repeats = self._to_send(kept, held, message.value, unknown)
        except (MalformedBatch, NewerFormat) as error:
            return Redriven(kept, held.key, Outcome.UNREADABLE, reason=str(error))
        accepted_at = peek(message.value).accepted_at or message.append_time
        if new is not None and self._tools.ledger.now() - accepted_at > _KEPT_MS:
            if not self._as_now:
                return Redriven(kept, held.key, Outcome.TOO_OLD, reason=_TOO_OLD)
            accepted_at = 0
        if publisher is not None:
            if new is not None:
                try:
                    self._publish(publisher, new, accepted_at)
                except EventBusError as error:
                    return Redriven(kept, held.key, Outcome.FAILED, reason=str(error))
            # A crash here: the message is sent again, and delivery drops its events as repeats.
            self._tools.spool.forget_message(held)
        outcome = Outcome.DROPPED if new is None else Outcome.SENT
        return Redriven(kept, held.key, outcome, 0 if new is None else new.count, repeats)

    def _to_send(self, kept: Kept, held: HeldMessage, value: bytes, unknown: Ranges) -> tuple[EventBatch | None, int]:
        """What is to be sent of a message, and how many of its events are not. Raises MalformedBatch, NewerFormat."""
        batch = _read(value)
        if batch.region != held.partition.region:
            raise MalformedBatch(f"the batch is of region {batch.region}")
        if kept is Kept.POISON:
            return _numbered(batch, held), 0
        if not unknown:
            raise MalformedBatch("an older release kept it, without the numbers that may be new")
        return self._surely_new(batch, unknown)

    def _publish(self, publisher: EventPublisher, batch: EventBatch, accepted_at: int) -> None:
        topic = publisher.topics().get(batch.region)
        if topic is None:
            raise EventBusError(f"the bus has no topic for region {batch.region}")
        partition = Partition(batch.region, partition_of(batch.account_id, topic.partitions))
        value = pack(batch, accepted_at)
        publisher.publish(partition, batch.account_id.encode(), value).result(_PUBLISH_SECONDS)

    def _surely_new(self, batch: EventBatch, unknown: Ranges) -> tuple[EventBatch | None, int]:
        """The events of a dead letter that lie in holes which were given up, and how many others it doubted.

        A hole holds what was never delivered. They go under a client of their own, since their numbers lie below what
        is remembered of the client: two dead letters with the same number are delivered once.
        """
        given_up = self._tools.spool.given_up(batch.region, batch.account_id, batch.client_id)
        groups, repeats = [], 0
        for group in batch.groups:
            asked = [(i, n) for i, n in enumerate(numbers_of(group)) if covers(unknown, n)]
            new = [i for i, number in asked if covers(given_up, number)]
            repeats += len(asked) - len(new)
            if new:
                groups.append(select(group, new))
        if not groups:
            return None, repeats
        numbers = ranges_of(number for group in groups for number in numbers_of(group))
        return replace(batch, groups=groups, client_id=_derived(batch.client_id), number_ranges=numbers), repeats


def _read(value: bytes) -> EventBatch:
    """The batch, read with all its columns. Raises MalformedBatch, NewerFormat."""
    batch = unpack(value)
    for group in batch.groups:
        if group.attributes:
            attributes_of(group)
    return batch


def _numbered(batch: EventBatch, held: HeldMessage) -> EventBatch:
    """The batch with numbers: its client's, or those of a client that stands for this one message."""
    if batch.client_id:
        return batch
    place = "\n".join((held.topic_id, str(held.partition.number), str(held.offset)))
    groups, first = [], 0
    for group in batch.groups:
        groups.append(msgspec.structs.replace(group, numbers=packed("Q", range(first, first + group.count))))
        first += group.count
    return replace(batch, groups=groups, client_id=_derived(place.encode()), number_ranges=[(0, first - 1)])


def _derived(source: bytes) -> bytes:
    """A client id that every redrive of the same thing finds again."""
    return hashlib.sha256(b"redrive" + source).digest()[:16]

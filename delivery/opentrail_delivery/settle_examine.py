"""Whether ledger and bus fit, partition by partition, for `opentrail settle` and `opentrail fsck`. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from opentrail_backends.event_bus.port import Bounds, CommittedPosition, EventBus, Partition, Topic
from opentrail_backends.state.port import Intent, KnownTopic, Ledger, LostOffsets
from opentrail_backends.state.port.inspection import Inspection


class Trouble(StrEnum):
    """In what a partition's ledger and bus do not fit."""

    TOPIC_GONE = "topic-gone"
    """The bus has no topic for the region."""
    TOPIC_ANEW = "topic-anew"
    """The topic was deleted and made anew: other messages lie at the ledger's offsets."""
    PARTITION_COUNT = "partition-count"
    """The topic has another number of partitions than the ledger knows."""
    LEDGER_BEHIND = "ledger-behind"
    """The bus was told of offsets that the ledger has not delivered: the ledger was restored from a backup."""
    CUT_AT_START = "cut-at-start"
    """Messages were deleted before they were delivered."""
    CUT_AT_END = "cut-at-end"
    """The log ends below what the ledger has read: messages were lost at its end."""
    OPEN_INTENTS = "open-intents"
    """All fits, but for open intents. Only where an operator names the partition: a redo gave other files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A partition that does not fit, and all that is known of it."""

    partition: Partition
    trouble: Trouble
    next_offset: int
    """The ledger's: where delivery would go on."""
    last_needed: int
    """The end of its last open intent, or `next_offset`."""
    open_intents: Sequence[Intent]
    known: KnownTopic
    """The topic that the ledger's offsets belong to."""
    topic: Topic | None
    """The topic as it is."""
    bounds: Bounds | None
    """Of the partition in the topic as it is; None if it has no such partition."""
    hint: CommittedPosition | None
    is_known: bool = True
    """Whether the ledger has the partition at all."""

    def lost(self, first_offset: int, end_offset: int, reason: str, accounts: Sequence[str] = ()) -> LostOffsets:
        """A row about messages that are gone; their offsets are those of the topic that the ledger knows."""
        return LostOffsets(
            region=self.partition.region,
            partition=self.partition.number,
            topic_id=self.known.topic_id,
            first_offset=first_offset,
            end_offset=end_offset,
            reason=reason,
            accounts=tuple(accounts),
        )


def examine(
    bus: EventBus, ledger: Ledger, inspection: Inspection, group: str, region: str | None, number: int | None
) -> list[Case]:
    """The partitions that do not fit, by region and number. Raises EventBusError, StateError.

    No false alarm while delivery goes on: hints and starts are read before the ledger, which is ahead of them then, and
    ends after it.
    """
    topics = bus.topics()
    before = bus.lag(group)
    windows = {
        Partition(row["region"], row["partition"]): (
            row["next_offset"],
            inspection.open_intents(row["region"], row["partition"]) if row["open_intents"] else (),
        )
        for row in ledger.windows()
    }
    after = bus.lag(group)
    lag = {
        partition: (hint, Bounds(bounds.start, after[partition][1].end if partition in after else bounds.end))
        for partition, (hint, bounds) in before.items()
    }
    cases: list[Case] = []
    for partition in sorted({*windows, *lag}):
        if region not in {None, partition.region} or number not in {None, partition.number}:
            continue
        named = number is not None
        cases += _examine_one(partition, topics, lag, windows, ledger, with_open_intents=named)
    return cases


def _examine_one(
    partition: Partition,
    topics: Mapping[str, Topic],
    lag: Mapping[Partition, tuple[CommittedPosition | None, Bounds]],
    windows: Mapping[Partition, tuple[int, Sequence[Intent]]],
    ledger: Ledger,
    *,
    with_open_intents: bool,
) -> Iterator[Case]:
    topic = topics.get(partition.region)
    hint, bounds = lag.get(partition, (None, None))
    known = ledger.known_topic(partition.region)
    if known is None:
        if topic is None or hint is None:
            return  # delivery has not looked at the region yet
        known = KnownTopic(topic.id, topic.partitions)
    is_known = partition in windows
    next_offset, intents = windows.get(partition, (bounds.start if bounds else 0, ()))
    last_needed = max([next_offset, *(intent.end_offset for intent in intents)])
    trouble = _trouble(topic, known, bounds, hint, next_offset, last_needed, is_known=is_known)
    if trouble is None and intents and with_open_intents:
        trouble = Trouble.OPEN_INTENTS
    if trouble is not None:
        yield Case(
            partition=partition,
            trouble=trouble,
            next_offset=next_offset,
            last_needed=last_needed,
            open_intents=intents,
            known=known,
            topic=topic,
            bounds=bounds,
            hint=hint,
            is_known=is_known,
        )


def _trouble(
    topic: Topic | None,
    known: KnownTopic,
    bounds: Bounds | None,
    hint: CommittedPosition | None,
    next_offset: int,
    last_needed: int,
    *,
    is_known: bool,
) -> Trouble | None:
    if topic is None:
        return Trouble.TOPIC_GONE
    if known.topic_id != topic.id:
        return Trouble.TOPIC_ANEW
    if known.partitions != topic.partitions:
        return Trouble.PARTITION_COUNT
    if bounds is None or (not is_known and hint is None):
        return None
    if bounds.end < next_offset:
        return Trouble.CUT_AT_END
    if hint is not None and hint.offset > next_offset:
        return Trouble.LEDGER_BEHIND
    if bounds.end < last_needed:
        return Trouble.CUT_AT_END
    if bounds.start > next_offset:
        return Trouble.CUT_AT_START
    return None

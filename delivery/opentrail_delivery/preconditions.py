"""What delivery stands on. What does not hold could lose or double events: delivery stops before it writes anything.

What bus and ledger must agree on before a partition is read is checked when it is owned (step 1); what concerns all
partitions, the settings of bus and state store, and the clock, at the start and hourly (`unmet_conditions`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from opentrail_backends.event_bus.port import Bounds, CommittedPosition, EventBus, Partition, Topic
from opentrail_backends.state.port import Intent, Lease, Ledger, StateStore
from opentrail_delivery.errors import PartitionHalted
from opentrail_delivery.settings import DeliverySettings


def check_topic(partition: Partition, topic: Topic, ledger: Ledger) -> Topic:
    """A topic made anew has other events at the ledger's offsets. Raises PartitionHalted, StateError."""
    known = ledger.record_topic(topic.region, topic.id, topic.partitions)
    check_same_topic(partition, replace(topic, id=known.topic_id, partitions=known.partitions), topic)
    return topic


def check_same_topic(partition: Partition, known: Topic, topic: Topic) -> None:
    """Whether the topic is the one that the ledger's offsets are of. Raises PartitionHalted."""
    if (known.id, known.partitions) != (topic.id, topic.partitions):
        raise PartitionHalted(
            partition,
            f"the ledger knows topic {topic.name} as {known.id} with {known.partitions} partitions; "
            f"the bus has {topic.id} with {topic.partitions}: it was made anew or grew. `opentrail settle` tells what "
            "became of what was open, and goes on with the topic as it is now",
        )


def check_positions(
    partition: Partition,
    lease: Lease,
    open_intents: Sequence[Intent],
    bounds: Bounds,
    committed: CommittedPosition | None,
) -> None:
    """What the ledger wants to read must lie in the log, and the bus's hint not ahead of it. Raises PartitionHalted."""
    last_needed = max([lease.next_offset, *(intent.end_offset for intent in open_intents)])
    if lease.next_offset < bounds.start or last_needed > bounds.end:
        raise PartitionHalted(
            partition,
            f"the ledger needs offsets from {lease.next_offset} to {last_needed}, the log holds {bounds.start} to "
            f"{bounds.end}: messages were deleted before they were delivered, or the log was cut. `opentrail settle` "
            "tells what is lost, and goes on",
        )
    if committed is not None and committed.offset > lease.next_offset:
        raise PartitionHalted(
            partition,
            f"the bus was told that offset {committed.offset} is next (intent {committed.metadata}), the ledger says "
            f"{lease.next_offset}: the ledger was restored from a backup. `opentrail settle` finds what was delivered "
            "since, and goes on",
        )


def unmet_conditions(
    event_bus: EventBus, state_store: StateStore, settings: DeliverySettings, clock: Callable[[], int]
) -> list[str]:
    """What does not hold, one sentence each that says what to do. Raises EventBusError, StateError."""
    unmet = [*event_bus.unmet_conditions(), *state_store.unmet_conditions()]
    drift = abs(clock() - state_store.ledger.now()) / 1000
    if drift > settings.clock_tolerance_seconds:
        unmet.append(f"this worker's clock is {drift:.0f} s off the state store's: set both by NTP")
    return [*unmet, *gone_back(event_bus, state_store.ledger, settings.group)]


def newer_formats(switched_on: Mapping[str, int], known: Mapping[str, int]) -> list[str]:
    """Formats that are switched on and that this release does not know, one sentence each."""
    return [
        f"format {version} of each {kind} is switched on, this release knows {known.get(kind, 0)}: upgrade this worker"
        for kind, version in sorted(switched_on.items())
        if version > known.get(kind, 0)
    ]


def gone_back(event_bus: EventBus, ledger: Ledger, group: str) -> Iterator[str]:
    """A bus that was told more than the ledger knows. It is asked first: the ledger is always ahead of its hints."""
    lag = event_bus.lag(group)
    next_offsets = {Partition(row["region"], row["partition"]): row["next_offset"] for row in ledger.windows()}
    for partition, (committed, bounds) in sorted(lag.items()):
        next_offset = next_offsets.get(partition, bounds.start)
        if committed is not None and committed.offset > next_offset:
            yield (
                f"the bus was told that offset {committed.offset} of {partition.region}/{partition.number} is next, "
                f"the ledger says {next_offset}: the ledger was restored from a backup. `opentrail settle` finds what "
                "was delivered since, and goes on"
            )

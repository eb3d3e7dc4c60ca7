"""What bus and ledger must agree on before a partition is read: checked when it is owned (step 1).

What does not fit means that data was lost or a backup was restored. Delivery stops before it writes anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentrail_backends.event_bus.port import Bounds, CommittedPosition, Partition, Topic
from opentrail_backends.state.port import Intent, Lease, Ledger
from opentrail_delivery.errors import PartitionHalted


def check_topic(partition: Partition, topic: Topic, ledger: Ledger) -> Topic:
    """A topic made anew has other events at the ledger's offsets. Raises PartitionHalted, StateError."""
    known = ledger.record_topic(topic.region, topic.id, topic.partitions)
    if (known.topic_id, known.partitions) != (topic.id, topic.partitions):
        raise PartitionHalted(
            partition,
            f"the ledger knows topic {topic.name} as {known.topic_id} with {known.partitions} partitions; "
            f"the bus has {topic.id} with {topic.partitions}: it was made anew or grew",
        )
    return topic


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
            f"{bounds.end}: messages were deleted before they were delivered, or the log was cut",
        )
    if committed is not None and committed.offset > lease.next_offset:
        raise PartitionHalted(
            partition,
            f"the bus was told that offset {committed.offset} is next (intent {committed.metadata}), the ledger says "
            f"{lease.next_offset}: the ledger was restored from a backup",
        )

"""Why delivery stops for an operator: loudly, with what to do, before anything is written."""

from __future__ import annotations

from collections.abc import Sequence

from opentrail_backends.event_bus.port import Partition


class DeliveryHalted(Exception):
    """Base: going on could lose or double events."""


class PartitionHalted(DeliveryHalted):
    """One partition stops; the others go on."""

    def __init__(self, partition: Partition, reason: str) -> None:
        super().__init__(f"{partition.region}/{partition.number}: {reason}")
        self.partition = partition
        self.reason = reason


class ConditionsUnmet(DeliveryHalted):
    """What delivery stands on does not hold: bus, state store or clock. The process does not start."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = tuple(sentences)

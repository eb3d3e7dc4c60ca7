"""How far delivery has come: whether it has passed what the bus held at some time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from opentrail.events.partition import partition_of
from opentrail_backends.event_bus.port import EventBus, Partition, Topic
from opentrail_backends.state.port import Chain, KnownTopic, Ledger


class _End(NamedTuple):
    """Where a partition ended when a chain was first asked about; offsets of another topic say nothing about it."""

    topic_id: str
    partition: Partition
    offset: int


class DeliveryProgress:
    """Answers for chains by the offsets of their accounts' partitions."""

    def __init__(self, ledger: Ledger, event_bus: EventBus, group: str) -> None:
        self._ledger = ledger
        self._event_bus = event_bus
        self._group = group
        self._now = _Offsets(ledger, event_bus, group)
        self._ends: dict[str, _End] = {}

    def look_again(self) -> None:
        """The next question reads the offsets anew; those after it share what was read."""
        self._now = _Offsets(self._ledger, self._event_bus, self._group)

    def has_passed(self, chain: Chain) -> bool:
        """Whether all was delivered that the bus held for the chain's account when this was first asked.

        First asked after a change was in force: what comes later to the bus is not for this chain. A builder that was
        started again asks for the first time again. No, while it cannot be known: also where the bus has another
        topic than the ledger, until an operator has accepted it. Raises EventBusError, StateError.
        """
        topic = self._now.topics.get(chain.region)
        if topic is None or not self._now.is_known(topic):
            return False
        partition = Partition(chain.region, partition_of(chain.account_id, topic.partitions))
        if partition not in self._now.ends:
            return False
        end = self._ends.get(chain.id)
        if end is None or (end.topic_id, end.partition) != (topic.id, partition):
            end = self._ends[chain.id] = _End(topic.id, partition, self._now.ends[partition])
        return self._now.delivered.get(partition, 0) >= end.offset

    def keep(self, chain_ids: Iterable[str]) -> None:
        """Forgets all other chains: the next question about one of them is a first one."""
        kept = set(chain_ids)
        self._ends = {chain_id: end for chain_id, end in self._ends.items() if chain_id in kept}


class _Offsets:
    """Bus and ledger at one time, read when first asked for: the bus before the ledger."""

    def __init__(self, ledger: Ledger, event_bus: EventBus, group: str) -> None:
        self._ledger = ledger
        self._event_bus = event_bus
        self._group = group
        self._known: dict[str, KnownTopic | None] = {}

    @cached_property
    def topics(self) -> Mapping[str, Topic]:
        return self._event_bus.topics()

    @cached_property
    def ends(self) -> Mapping[Partition, int]:
        return {partition: bounds.end for partition, (_, bounds) in self._event_bus.lag(self._group).items()}

    @cached_property
    def delivered(self) -> Mapping[Partition, int]:
        return {Partition(row["region"], row["partition"]): row["next_offset"] for row in self._ledger.windows()}

    def is_known(self, topic: Topic) -> bool:
        """Whether the ledger's offsets are of this topic; one without any is as good."""
        if topic.region not in self._known:
            self._known[topic.region] = self._ledger.known_topic(topic.region)
        return self._known[topic.region] in {None, KnownTopic(topic.id, topic.partitions)}

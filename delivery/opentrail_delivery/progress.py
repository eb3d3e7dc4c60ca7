"""How far delivery has come: whether it has passed what the bus held at some time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from opentrail.events.partition import partition_of
from opentrail_backends.event_bus.port import EventBus, Partition, Topic
from opentrail_backends.state.port import Chain, Ledger


class DeliveryProgress:
    """Answers for chains by the offsets of their accounts' partitions."""

    def __init__(self, ledger: Ledger, event_bus: EventBus, group: str) -> None:
        self._ledger = ledger
        self._event_bus = event_bus
        self._group = group
        self._now = _Offsets(ledger, event_bus, group)
        self._ends: dict[str, int] = {}

    def look_again(self) -> None:
        """The next question reads the offsets anew; those after it share what was read."""
        self._now = _Offsets(self._ledger, self._event_bus, self._group)

    def has_passed(self, chain: Chain) -> bool:
        """Whether all was delivered that the bus held for the chain's account when this was first asked.

        First asked after a change was in force: what comes later to the bus is not for this chain.
        Raises EventBusError, StateError.
        """
        topic = self._now.topics.get(chain.region)
        if topic is None:
            return False
        partition = Partition(chain.region, partition_of(chain.account_id, topic.partitions))
        end = self._ends.setdefault(chain.id, self._now.ends.get(partition, 0))
        return self._now.delivered.get(partition, 0) >= end

    def forget(self, chain_id: str) -> None:
        """The next question about the chain is a first one."""
        self._ends.pop(chain_id, None)


class _Offsets:
    """Bus and ledger at one time, read when first asked for: the bus before the ledger."""

    def __init__(self, ledger: Ledger, event_bus: EventBus, group: str) -> None:
        self._ledger = ledger
        self._event_bus = event_bus
        self._group = group

    @cached_property
    def topics(self) -> Mapping[str, Topic]:
        return self._event_bus.topics()

    @cached_property
    def ends(self) -> Mapping[Partition, int]:
        return {partition: bounds.end for partition, (_, bounds) in self._event_bus.lag(self._group).items()}

    @cached_property
    def delivered(self) -> Mapping[Partition, int]:
        return {Partition(row["region"], row["partition"]): row["next_offset"] for row in self._ledger.windows()}

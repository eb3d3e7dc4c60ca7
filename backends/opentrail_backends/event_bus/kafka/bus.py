"""Kafka as a whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from opentrail_backends.event_bus.kafka.cluster import KafkaCluster
from opentrail_backends.event_bus.kafka.publisher import KafkaPublisher
from opentrail_backends.event_bus.kafka.reader import KafkaReader
from opentrail_backends.event_bus.kafka.settings import KafkaSettings
from opentrail_backends.event_bus.port import Bounds, CommittedPosition, Partition, Topic


class KafkaEventBus:
    """An event bus on a Kafka cluster; connects when it is first used. Safe for use by several threads.

    `on_reopen` is told of partitions that stood still, whenever a reader made its consumer anew (a metric).
    """

    def __init__(
        self, settings: KafkaSettings, *, on_reopen: Callable[[Collection[Partition]], None] | None = None
    ) -> None:
        self._cluster = KafkaCluster(settings)
        self._on_reopen = on_reopen

    def ensure_topic(self, region: str, partitions: int) -> Topic:
        """See EventBus."""
        return self._cluster.ensure_topic(region, partitions)

    def topics(self) -> Mapping[str, Topic]:
        """See EventBus."""
        return self._cluster.topics()

    def publisher(self) -> KafkaPublisher:
        """See EventBus."""
        return KafkaPublisher(self._cluster)

    def reader(self, group: str) -> KafkaReader:
        """See EventBus."""
        return KafkaReader(self._cluster, group, on_reopen=self._on_reopen)

    def lag(self, group: str) -> Mapping[Partition, tuple[CommittedPosition | None, Bounds]]:
        """See EventBus."""
        partitions = [
            Partition(topic.region, number) for topic in self.topics().values() for number in range(topic.partitions)
        ]
        hints = self._cluster.committed(group, partitions)
        return {
            partition: (hints.get(partition), bounds) for partition, bounds in self._cluster.bounds(partitions).items()
        }

    def unmet_conditions(self) -> Sequence[str]:
        """See EventBus."""
        return self._cluster.unmet_conditions()

    def close(self) -> None:
        """See EventBus."""
        self._cluster.close()

"""Publishing on Kafka: idempotent, confirmed by all in-sync replicas."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from opentrail_backends.event_bus.kafka.cluster import KafkaCluster
from opentrail_backends.event_bus.kafka.errors import connect, explain, kafka_errors
from opentrail_backends.event_bus.port import EventBusError, MessageTooLarge, Partition, PublishFailed, Topic
from opentrail_backends.event_bus.under_way import UnderWay

# kafka-python 3.0 has no `buffer_memory`: what is not confirmed yet would grow without limit.
_BYTES_UNDER_WAY = 64 * 1024 * 1024


class KafkaPublisher:
    """A producer. Safe for use by several threads. Raises EventBusError where the cluster cannot be reached."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._settings = cluster.settings
        self._under_way = UnderWay(_BYTES_UNDER_WAY)
        with kafka_errors("the producer cannot be made"):
            self._producer = connect(KafkaProducer, **self._settings.producer())

    def topics(self) -> Mapping[str, Topic]:
        """See EventPublisher."""
        return self._cluster.recent_topics()

    def publish(self, partition: Partition, key: bytes, value: bytes) -> Future[None]:
        """See EventPublisher. Waits for room when much is under way."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # what was handed over cannot be called back
        size = len(key) + len(value)
        if size > self._settings.max_message_bytes:
            future.set_exception(
                MessageTooLarge(f"a message of {size} bytes; the bus takes {self._settings.max_message_bytes}")
            )
        elif not self._exists(partition):
            future.set_exception(PublishFailed(f"the bus has no partition {partition}"))
        elif not self._under_way.enter(size, self._settings.delivery_timeout):
            future.set_exception(PublishFailed("Kafka is behind: too much is under way"))
        else:
            self._send(partition, key, value, future)
        return future

    def _exists(self, partition: Partition) -> bool:
        try:
            topic = self.topics().get(partition.region)
        except EventBusError:
            return True  # not known: the producer finds out
        return topic is not None and 0 <= partition.number < topic.partitions

    def _send(self, partition: Partition, key: bytes, value: bytes, future: Future[None]) -> None:
        size = len(key) + len(value)

        def confirmed(_: object) -> None:
            self._under_way.leave(size)
            future.set_result(None)

        def failed(error: BaseException) -> None:
            self._under_way.leave(size)
            kind = MessageTooLarge if isinstance(error, MessageSizeTooLargeError) else PublishFailed
            future.set_exception(kind(f"Kafka did not confirm the message: {explain(error)}"))

        place = self._cluster.place(partition)
        try:
            sent = self._producer.send(place.topic, value=value, key=key, partition=place.partition)
        except (KafkaError, ValueError, RuntimeError) as error:
            failed(error)
        else:
            sent.add_callback(confirmed)
            sent.add_errback(failed)

    def close(self, timeout: float) -> None:
        """See EventPublisher."""
        if not self._under_way.wait_until_empty(timeout):
            # The library's close() gives up, open, where its flush takes too long; this lets the messages fail first.
            self._producer._sender.force_close()  # noqa: SLF001 (no public way)
            self._under_way.wait_until_empty(1.0)
        with kafka_errors("the producer did not close"):
            self._producer.close(timeout=max(timeout, 1.0))

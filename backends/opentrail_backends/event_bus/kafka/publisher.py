"""Publishing on Kafka: idempotent, confirmed by all in-sync replicas."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError

from opentrail_backends.event_bus.kafka.cluster import KafkaCluster
from opentrail_backends.event_bus.kafka.library import connect, explain, kafka_errors
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
        self._lock = threading.Lock()
        self._closed = False
        self._producer = self._connect()

    def _connect(self) -> Any:
        with kafka_errors("the producer cannot be made"):
            return connect(KafkaProducer, **self._settings.producer())

    def topics(self) -> Mapping[str, Topic]:
        """See EventPublisher."""
        return self._cluster.recent_topics()

    def publish(self, partition: Partition, key: bytes, value: bytes) -> Future[None]:
        """See EventPublisher. Waits for room when much is under way."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()  # what was handed over cannot be called back
        size = len(key) + len(value)
        try:
            self._check(partition, size)
            producer = self._living_producer()
        except EventBusError as error:
            known = isinstance(error, MessageTooLarge | PublishFailed)
            future.set_exception(error if known else PublishFailed(str(error)))
            return future
        if self._under_way.enter(size, self._settings.delivery_timeout):
            self._send(producer, partition, key, value, future)
        else:
            future.set_exception(PublishFailed("Kafka is behind: too much is under way"))
        return future

    def _check(self, partition: Partition, size: int) -> None:
        topic = self.topics().get(partition.region)
        if topic is None or not 0 <= partition.number < topic.partitions:
            raise PublishFailed(f"the bus has no partition {partition}")
        limit = self._cluster.largest_message(topic)
        if size > limit:
            raise MessageTooLarge(f"a message of {size} bytes; the bus takes {limit}")

    def _living_producer(self) -> Any:
        """The library (3.0.12) fails everything for ever once a broker has refused one message for good."""
        with self._lock:
            if self._closed:
                raise PublishFailed("the publisher is closed")
            if self._producer._transaction_manager.has_fatal_error():  # noqa: SLF001 (no public way)
                dead, self._producer = self._producer, self._connect()
                with kafka_errors("the failed producer did not close"):
                    _close(dead, 1.0)
            return self._producer

    def _send(self, producer: Any, partition: Partition, key: bytes, value: bytes, future: Future[None]) -> None:
        size = len(key) + len(value)

        def confirmed(_: object) -> None:
            self._under_way.leave(size)
            future.set_result(None)

        def failed(error: BaseException) -> None:
            # The library gives one message's error to all that are under way with it: so this is no verdict on the
            # size of this one. A second try is refused before it is sent.
            if isinstance(error, MessageSizeTooLargeError):
                self._cluster.forget_largest_messages()
            self._under_way.leave(size)
            future.set_exception(PublishFailed(f"Kafka did not confirm the message: {explain(error)}"))

        place = self._cluster.place(partition)
        try:
            sent = producer.send(place.topic, value=value, key=key, partition=place.partition)
        except (KafkaError, ValueError, RuntimeError) as error:
            failed(error)
        else:
            sent.add_callback(confirmed)
            sent.add_errback(failed)

    def close(self, timeout: float) -> None:
        """See EventPublisher."""
        with self._lock:
            self._closed = True
        finished = self._under_way.wait_until_empty(timeout)
        with kafka_errors("the producer did not close"):
            _close(self._producer, max(timeout, 1.0), at_once=not finished)


def _close(producer: Any, timeout: float, *, at_once: bool = True) -> None:
    if at_once:
        # The library's own close() gives up, and leaves the producer open, where its flush takes too long.
        producer._sender.force_close()  # noqa: SLF001 (no public way)
    producer.close(timeout=timeout)

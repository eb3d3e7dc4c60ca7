"""The embedded bus as a whole."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence

from opentrail_backends.event_bus.embedded.database import (
    Database,
    all_topics,
    committed_positions,
    forget,
    partition_bounds,
)
from opentrail_backends.event_bus.embedded.publisher import EmbeddedPublisher
from opentrail_backends.event_bus.embedded.reader import EmbeddedReader
from opentrail_backends.event_bus.embedded.settings import EmbeddedSettings
from opentrail_backends.event_bus.port import Bounds, CommittedPosition, Partition, Topic

_FORGOTTEN_AT_ONCE = 1000


class EmbeddedEventBus:
    """An event bus in one SQLite file. Safe for use by several threads.

    `now` is the wall clock, in seconds since the epoch. Raises EventBusError where the file cannot be opened.
    """

    def __init__(self, settings: EmbeddedSettings, *, now: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._now = now
        self._database = Database(settings.path)

    def ensure_topic(self, region: str, partitions: int) -> Topic:
        """See EventBus."""
        with self._database.write() as connection:
            known = all_topics(connection).get(region)
            if known is not None:
                return known
            topic = Topic(region, region, str(uuid.uuid4()), partitions)
            connection.execute("INSERT INTO topics VALUES (?, ?)", [topic.id, region])
            connection.executemany(
                "INSERT INTO partitions (topic, number) VALUES (?, ?)",
                [(topic.id, number) for number in range(partitions)],
            )
        return topic

    def topics(self) -> Mapping[str, Topic]:
        """See EventBus."""
        with self._database.read() as connection:
            return all_topics(connection)

    def publisher(self) -> EmbeddedPublisher:
        """See EventBus."""
        return EmbeddedPublisher(Database(self._settings.path), self._settings.max_message_bytes, self._now)

    def reader(self, group: str) -> EmbeddedReader:
        """See EventBus."""
        return EmbeddedReader(Database(self._settings.path), group, self._settings.lease, self._now)

    def lag(self, group: str) -> Mapping[Partition, tuple[CommittedPosition | None, Bounds]]:
        """See EventBus."""
        with self._database.read() as connection:
            hints = committed_positions(connection, group)
            return {
                partition: (hints.get(key), bounds) for partition, (key, bounds) in partition_bounds(connection).items()
            }

    def unmet_conditions(self) -> Sequence[str]:
        """See EventBus. Each connection sets what it needs by itself."""
        return []

    def forget(self, partition: Partition, below_offset: int) -> int:
        """Deletes messages below an offset that every group has passed, at most 1,000; returns how many.

        Readers do the same when they commit (design, "What is forgotten").
        """
        with self._database.write() as connection:
            known = partition_bounds(connection).get(partition)
            return forget(connection, known[0], below_offset, _FORGOTTEN_AT_ONCE) if known else 0

    def close(self) -> None:
        """See EventBus."""
        self._database.close()

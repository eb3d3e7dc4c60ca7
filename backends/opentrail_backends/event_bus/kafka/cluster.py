"""What is asked of the cluster itself: topics with their ids, bounds, committed positions."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from kafka import KafkaAdminClient, OffsetSpec, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError

from opentrail_backends.event_bus.kafka.conditions import unmet_conditions
from opentrail_backends.event_bus.kafka.library import connect, kafka_errors, patiently
from opentrail_backends.event_bus.kafka.settings import OVERHEAD_BYTES, KafkaSettings
from opentrail_backends.event_bus.port import Bounds, CommittedPosition, EventBusError, Partition, Topic

_REGION = r"[a-z0-9][a-z0-9-]*"
_MOST_CACHE_SECONDS = 5.0


class KafkaCluster:
    """An admin client. Safe for use by several threads; connects when it is first needed."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._admin: Any = None
        self._known: Mapping[str, Topic] = {}
        self._known_until = float("-inf")
        self._limits: dict[str, int] = {}

    # --- Names

    @property
    def pattern(self) -> str:
        """The regular expression of all regions' topics."""
        return rf"{re.escape(self.settings.prefix)}{_REGION}\Z"

    def place(self, partition: Partition) -> TopicPartition:
        """A partition in Kafka's terms."""
        return TopicPartition(self.settings.prefix + partition.region, partition.number)

    def partition(self, place: TopicPartition) -> Partition:
        """A partition in our terms."""
        return Partition(place.topic.removeprefix(self.settings.prefix), place.partition)

    # --- Topics

    def topics(self) -> Mapping[str, Topic]:
        """All regions' topics as they are now, by region."""
        with kafka_errors("the topics cannot be listed"):
            found = patiently(lambda: self._client().describe_topics())
        topics = [self._topic(one) for one in found if re.match(self.pattern, one["name"]) and not one["error_code"]]
        self._known = {topic.region: topic for topic in topics}
        self._known_until = time.monotonic() + min(self.settings.metadata_max_age, _MOST_CACHE_SECONDS)
        return self._known

    def recent_topics(self) -> Mapping[str, Topic]:
        """The same, some seconds old at most; older where the cluster does not answer."""
        if time.monotonic() < self._known_until:
            return self._known
        try:
            return self.topics()
        except EventBusError:
            if not self._known:
                raise
            return self._known

    def topic(self, region: str) -> Topic:
        """The region's topic as it is now. Raises EventBusError if there is none."""
        with kafka_errors(f"the topic of region {region} cannot be described"):
            found = patiently(lambda: self._client().describe_topics([self.settings.prefix + region]))
        if not found or found[0]["error_code"]:
            raise EventBusError(f"Kafka has no topic {self.settings.prefix}{region}")
        return self._topic(found[0])

    def largest_message(self, topic: Topic) -> int:
        """How many bytes a message may have: the smaller of our setting and the topic's own."""
        if topic.id not in self._limits:
            limit = self.settings.max_message_bytes
            with contextlib.suppress(EventBusError, LookupError):  # not allowed to know: the broker has the last word
                found = self._configurations([topic.name])[topic.name]
                limit = min(limit, int(found["max.message.bytes"]) - OVERHEAD_BYTES)
            self._limits[topic.id] = limit
        return self._limits[topic.id]

    def forget_largest_messages(self) -> None:
        """A broker found a message too large that we did not: ask again."""
        self._limits.clear()

    def ensure_topic(self, region: str, partitions: int) -> Topic:
        """Makes the region's topic if there is none."""
        if not re.fullmatch(_REGION, region):
            raise EventBusError(f"{region!r} names no region: small letters, digits and hyphens")
        name = self.settings.prefix + region
        wanted = {
            "num_partitions": partitions,
            "replication_factor": self.settings.replication,
            "configs": self.settings.topic(),
        }
        with kafka_errors(f"the topic {name} cannot be made"):
            with contextlib.suppress(TopicAlreadyExistsError):
                self._client().create_topics({name: wanted})
            self._client().wait_for_topics([name])
        self._known_until = float("-inf")
        return self.topic(region)

    def _topic(self, described: Mapping[str, Any]) -> Topic:
        name = described["name"]
        return Topic(
            name.removeprefix(self.settings.prefix), name, str(described["topic_id"]), len(described["partitions"])
        )

    def unmet_conditions(self) -> list[str]:
        """What the topics lack of what delivery stands on, one sentence each."""
        topics = self.topics()
        names = sorted(topic.name for topic in topics.values())
        if not names:
            return []
        configurations = self._configurations(names)
        with kafka_errors("the topics cannot be described"):
            found = patiently(lambda: self._client().describe_topics(names))
        described = {one["name"]: one["partitions"] for one in found}
        return [
            sentence
            for name in names
            for sentence in unmet_conditions(
                name,
                configurations[name],
                min(len(partition["replica_nodes"]) for partition in described[name]),
                self.settings,
            )
        ]

    def _configurations(self, names: Collection[str]) -> dict[str, dict[str, str]]:
        with kafka_errors("the topics' configuration cannot be read"):
            resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
            found = patiently(lambda: self._client().describe_configs(resources, config_filter="all"))["topic"]
        return {
            name: {key: str(details["value"]) for key, details in configuration.items()}
            for name, configuration in found.items()
        }

    # --- Positions

    def bounds(self, partitions: Collection[Partition]) -> dict[Partition, Bounds]:
        """The offsets that each holds."""
        places = [self.place(partition) for partition in partitions]
        if not places:
            return {}
        with kafka_errors("the bounds of partitions cannot be read"):
            ends, starts = (
                patiently(partial(self._client().list_partition_offsets, dict.fromkeys(places, which)))
                for which in (OffsetSpec.LATEST, OffsetSpec.EARLIEST)
            )
        return {self.partition(place): Bounds(starts[place].offset, ends[place].offset) for place in places}

    def committed(self, group: str, partitions: Collection[Partition]) -> dict[Partition, CommittedPosition]:
        """The group's hints, where there are any."""
        places = [self.place(partition) for partition in partitions]
        if not places:
            return {}
        group_id = self.settings.group_id(group)
        with kafka_errors(f"the positions of group {group_id} cannot be read"):
            found = patiently(lambda: self._client().list_group_offsets({group_id: places}))[group_id]
        return {
            self.partition(place): CommittedPosition(hint.offset, hint.metadata or "")
            for place, hint in found.items()
            if hint.offset >= 0
        }

    # --- The client

    def _client(self) -> Any:
        with self._lock:
            if self._admin is None:
                self._admin = connect(KafkaAdminClient, **self.settings.client())
            return self._admin

    def close(self) -> None:
        """Closes the connections."""
        with self._lock:
            if self._admin is not None:
                self._admin.close()
                self._admin = None

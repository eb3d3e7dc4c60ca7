"""What delivery stands on, against what a topic has (design §3, "What it stands on")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from opentrail_backends.event_bus.kafka.settings import OVERHEAD_BYTES, RETENTION_MILLISECONDS, KafkaSettings

CHECKED = (
    "cleanup.policy",
    "max.message.bytes",
    "message.timestamp.type",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
    "unclean.leader.election.enable",
)
"""The configuration that is looked at."""


def unmet_conditions(
    name: str, configuration: Mapping[str, str], fewest_replicas: int, settings: KafkaSettings
) -> Iterator[str]:
    """One sentence for each condition that the topic does not meet."""
    for key, wanted in settings.topic().items():
        if key in CHECKED and not _suffices(key, configuration[key], settings):
            yield f"topic {name} has {key}={configuration[key]}; it must be {wanted}{_or_more(key)}"
    if fewest_replicas < settings.replication:
        yield f"topic {name} has partitions with {fewest_replicas} replicas; it must be {settings.replication} or more"


def _suffices(key: str, value: str, settings: KafkaSettings) -> bool:
    match key:
        case "retention.ms":
            return int(value) == -1 or int(value) >= RETENTION_MILLISECONDS
        case "min.insync.replicas":
            return int(value) >= settings.min_insync
        case "max.message.bytes":
            return int(value) >= settings.max_message_bytes + OVERHEAD_BYTES
    return value == settings.topic()[key]


def _or_more(key: str) -> str:
    return " or more" if key in {"retention.ms", "min.insync.replicas", "max.message.bytes"} else ""

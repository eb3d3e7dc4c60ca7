"""How a Kafka cluster is named, and what its topics and clients are given."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opentrail_backends.event_bus.url_options import one_of, read_options, seconds, truth, whole, words

FORM = "kafka://HOST:PORT,HOST:PORT?prefix=opentrail.events.&replication=3&min_insync=2"

_PROTOCOLS = {"plaintext": "PLAINTEXT", "tls": "SSL", "sasl_plaintext": "SASL_PLAINTEXT", "sasl_tls": "SASL_SSL"}
_SERVER = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}")
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,200}")  # Kafka's topic names, with room for a region
_DEFAULT_PREFIX = "opentrail.events."
_BATCH_BYTES = 1024 * 1024
RETENTION_MILLISECONDS = 35 * 24 * 3600 * 1000
OVERHEAD_BYTES = 64 * 1024
"""More than a record batch adds to one message."""


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError("1 to 200 letters, digits, dots, underscores or hyphens")
    return text


_OPTIONS = {
    "prefix": _prefix,
    "replication": whole(1),
    "min_insync": whole(1),
    "security": one_of(*_PROTOCOLS),
    "ca_file": words,
    "cert_file": words,
    "key_file": words,
    "check_hostname": truth,
    "sasl_mechanism": one_of("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
    "username": words,
    "password_file": words,
    "max_message_bytes": whole(1024),
    "connect_timeout": seconds(0.1),
    "metadata_max_age": seconds(0.1),
    "session_timeout": seconds(1),
    "heartbeat": seconds(0.1),
    "poll_interval": seconds(1),
    "stall_after": seconds(0.1),
    "delivery_timeout": seconds(1),
}


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """A cluster, its topics, its clients. Times are in seconds."""

    servers: tuple[str, ...]
    prefix: str = _DEFAULT_PREFIX
    """A region's topic is named by this and the region."""
    replication: int = 3
    min_insync: int = 2
    """How many replicas must have a message before it is confirmed; 1 is for a cluster of one broker."""
    security: str = "plaintext"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    check_hostname: bool = True
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    max_message_bytes: int = 8 * 1024 * 1024
    connect_timeout: float = 10.0
    """A client that has not found the cluster after this gives up."""
    metadata_max_age: float = 10.0
    """How soon a region that appears later is noticed."""
    session_timeout: float = 45.0
    """A reader whose process is gone loses its partitions after this."""
    heartbeat: float = 3.0
    """How soon a reader notices that others come or go."""
    poll_interval: float = 300.0
    """A reader that does not poll for this long loses its partitions."""
    stall_after: float = 60.0
    """A reader whose position stands still for this long, though there is more, is made anew."""
    delivery_timeout: float = 30.0
    """After this a message that Kafka did not confirm has failed."""

    def client(self) -> dict[str, Any]:
        """What every client is given, in kafka-python's names."""
        options: dict[str, Any] = {
            "bootstrap_servers": list(self.servers),
            "client_id": "opentrail",
            "security_protocol": _PROTOCOLS[self.security],
            "metadata_max_age_ms": milliseconds(self.metadata_max_age),
            "bootstrap_timeout_ms": milliseconds(self.connect_timeout),
            "request_timeout_ms": 10_000,
            "reconnect_backoff_max_ms": 1_000,
        }
        if self.security in {"tls", "sasl_tls"}:
            options |= {
                "ssl_cafile": self.ca_file,
                "ssl_certfile": self.cert_file,
                "ssl_keyfile": self.key_file,
                "ssl_check_hostname": self.check_hostname,
            }
        if self.security.startswith("sasl"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.sasl_password,
            }
        return options

    def producer(self) -> dict[str, Any]:
        """What a producer is given. No compression: the values are compressed already."""
        return self.client() | {
            "enable_idempotence": True,
            "acks": "all",
            "compression_type": None,
            "batch_size": min(_BATCH_BYTES, self.max_message_bytes),
            "linger_ms": 0,
            "max_request_size": self.max_message_bytes + OVERHEAD_BYTES,
            "delivery_timeout_ms": milliseconds(self.delivery_timeout),
            "request_timeout_ms": milliseconds(min(10.0, self.delivery_timeout)),
            "max_block_ms": milliseconds(min(10.0, self.delivery_timeout)),
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
        }

    def group_id(self, group: str) -> str:
        """A consumer group's name in the cluster.

        Installations that share a cluster by prefixes of their own have groups of their own: a join waits for every
        member, whatever topics it reads, and their positions are none of the others' business.
        """
        return group if self.prefix == _DEFAULT_PREFIX else self.prefix + group

    def consumer(self, group: str) -> dict[str, Any]:
        """What a member of a consumer group is given.

        Memory: a poll's messages come from fetched answers of at most `fetch_max_bytes` for each broker, or one
        message where that is larger.
        """
        return self.client() | {
            "group_id": self.group_id(group),
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "session_timeout_ms": milliseconds(self.session_timeout),
            "heartbeat_interval_ms": milliseconds(min(self.heartbeat, self.session_timeout / 3)),
            "max_poll_interval_ms": milliseconds(self.poll_interval),
            "fetch_max_bytes": 2 * self.max_message_bytes,
            "max_partition_fetch_bytes": self.max_message_bytes + OVERHEAD_BYTES,
            "max_poll_records": 500,
            "retry_backoff_ms": 50,
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
        }

    def topic(self) -> dict[str, str]:
        """The configuration of a region's topic (design, "What it stands on")."""
        return {
            "cleanup.policy": "delete",
            "compression.type": "producer",
            "max.message.bytes": str(self.max_message_bytes + OVERHEAD_BYTES),
            "message.timestamp.type": "LogAppendTime",
            "min.insync.replicas": str(self.min_insync),
            "retention.bytes": "-1",
            "retention.ms": str(RETENTION_MILLISECONDS),
            "unclean.leader.election.enable": "false",
        }


def milliseconds(of_seconds: float) -> int:
    """Seconds as kafka-python wants them."""
    return int(of_seconds * 1000)


def parse_kafka_url(url: str, sasl_password: str | None = None) -> KafkaSettings:
    """The settings in `kafka://HOST:PORT,HOST:PORT?OPTIONS`.

    Raises ValueError with a sentence that says what is allowed and never repeats a secret.
    """
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a secret does not belong in the event bus's URL: use ?username=NAME&password_file=FILE")
    servers = tuple(parts.netloc.split(","))
    if parts.path not in {"", "/"} or parts.fragment or not all(map(_SERVER.fullmatch, servers)):
        raise ValueError(f"Kafka is named by {FORM}")
    options = read_options(parts.query, _OPTIONS, FORM)
    password_file = options.pop("password_file", None)
    if password_file is not None:
        sasl_password = _read_secret(Path(password_file))
    settings = KafkaSettings(servers, sasl_password=sasl_password, **options)
    _check(settings, options)
    return settings


def _check(settings: KafkaSettings, given: Mapping[str, Any]) -> None:
    if settings.min_insync > settings.replication:
        raise ValueError(
            f"min_insync={settings.min_insync} is above replication={settings.replication}: nothing could be written"
        )
    if settings.security.startswith("sasl") and not (settings.username and settings.sasl_password):
        raise ValueError(f"security={settings.security} needs username and a password (password_file=FILE)")
    if not settings.security.endswith("tls") and given.keys() & {"ca_file", "cert_file", "key_file", "check_hostname"}:
        raise ValueError("ca_file, cert_file, key_file and check_hostname need security=tls or security=sasl_tls")
    if not settings.security.startswith("sasl") and given.keys() & {"username", "sasl_mechanism"}:
        raise ValueError("username and sasl_mechanism need security=sasl_tls or security=sasl_plaintext")


def _read_secret(path: Path) -> str:
    try:
        return path.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the password file {path} of the event bus cannot be read: {type(error).__name__}") from None

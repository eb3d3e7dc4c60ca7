"""The event bus: `port`, the adapters `kafka` and `embedded`, chosen by a URL, and a message's form (`batches`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from opentrail_backends.event_bus.embedded.settings import FORM as _EMBEDDED_FORM
from opentrail_backends.event_bus.embedded.settings import parse_embedded_url
from opentrail_backends.event_bus.kafka.settings import FORM as _KAFKA_FORM
from opentrail_backends.event_bus.kafka.settings import parse_kafka_url
from opentrail_backends.event_bus.port import EventBus, EventBusError

__all__ = ["open_event_bus"]


def open_event_bus(url: str, *, sasl_password: str | None = None, now: Callable[[], float] = time.time) -> EventBus:
    """Opens the bus that a URL names; the adapter and its libraries are imported only then.

    `sasl_password` is for Kafka, where the URL names no `password_file`. `now` is the wall clock in seconds since
    the epoch; the embedded bus takes append times and leases from it, Kafka has its own. Raises ValueError with a
    sentence that says what is allowed, and EventBusError where the bus cannot be opened.
    """
    scheme = urlsplit(url).scheme
    if scheme == "kafka":
        kafka = parse_kafka_url(url, sasl_password)
        try:
            from opentrail_backends.event_bus.kafka.bus import KafkaEventBus  # noqa: PLC0415 (only when chosen)
        except ModuleNotFoundError as error:
            raise EventBusError(f"Kafka needs {error.name}: install opentrail[kafka]") from error
        return KafkaEventBus(kafka)
    if scheme == "embedded":
        embedded = parse_embedded_url(url)
        from opentrail_backends.event_bus.embedded.bus import EmbeddedEventBus  # noqa: PLC0415 (as above)

        return EmbeddedEventBus(embedded, now=now)
    raise ValueError(
        f"the event bus's URL begins with {scheme!r}, which is none; allowed are {_EMBEDDED_FORM} and {_KAFKA_FORM}"
    )

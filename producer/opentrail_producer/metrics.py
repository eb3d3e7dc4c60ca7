"""What the producer counts, for Prometheus. No label names an account: their number has no bound."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

LATENCY_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)


class ProducerMetrics:
    """Counters of one producer process. `registry` None makes one that nobody reads (a library's use, tests)."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self._accepted = Counter("opentrail_producer_events_accepted", "Events that the bus has.", registry=registry)
        self._bytes = Counter("opentrail_producer_bytes_accepted", "JSON bytes that the bus has.", registry=registry)
        self._rejected = Counter(
            "opentrail_producer_events_rejected", "Events refused, by reason.", ["code"], registry=registry
        )
        self._refused = Counter(
            "opentrail_producer_requests_refused",
            "Requests refused as a whole, by status.",
            ["status"],
            registry=registry,
        )
        self._throttled = Counter(
            "opentrail_producer_events_throttled", "Events in requests over an account's rate.", registry=registry
        )
        self._held_back = Counter(
            "opentrail_producer_events_held_back",
            "Events in requests of accounts whose share of the spool, or whose organization's, is used up.",
            registry=registry,
        )
        self._bus_failures = Counter(
            "opentrail_producer_bus_failures", "Requests that the bus did not confirm.", registry=registry
        )
        self._latency = Histogram(
            "opentrail_producer_request_seconds",
            "From a request's arrival to the bus's confirmation.",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )

    def answered(self, accepted: int, accepted_bytes: int, rejected_codes: Iterable[str], seconds: float) -> None:
        """A request was answered event by event."""
        self._accepted.inc(accepted)
        self._bytes.inc(accepted_bytes)
        for code, count in Tally(rejected_codes).items():
            self._rejected.labels(code).inc(count)
        self._latency.observe(seconds)

    def throttled(self, events: int) -> None:
        """A request was over its account's rate."""
        self._throttled.inc(events)

    def held_back(self, events: int) -> None:
        """A request came from an account whose share of the spool is used up."""
        self._held_back.inc(events)

    def bus_failed(self) -> None:
        """The bus did not confirm a request."""
        self._bus_failures.inc()

    def refused(self, status: str) -> None:
        """A request was refused as a whole, with a gRPC status."""
        self._refused.labels(status).inc()

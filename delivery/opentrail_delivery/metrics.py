"""What delivery counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class DeliveryMetrics:
    """Counters and gauges of one delivery process. Names start with `opentrail_delivery_`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.registry = registry
        self.events = Counter(
            "opentrail_delivery_events", "Events in delivered log files, once per trail", registry=registry
        )
        self.files = Counter("opentrail_delivery_log_files", "Log files delivered (step 5)", registry=registry)
        self.file_bytes = Counter(
            "opentrail_delivery_log_file_bytes", "Uncompressed bytes of built log files", registry=registry
        )
        self.windows = Counter("opentrail_delivery_windows", "Windows closed (step 3)", ["kind"], registry=registry)
        self.spooled = Counter(
            "opentrail_delivery_spooled", "Messages kept in the spool: poison, dead-letters", ["why"], registry=registry
        )
        self.parked_files = Gauge(
            "opentrail_delivery_parked_files",
            "Log files in the spool that wait for their bucket",
            registry=registry,
        )
        self.repeats = Counter(
            "opentrail_delivery_repeats", "Events that their client sent again, dropped", registry=registry
        )
        self.put_failures = Counter(
            "opentrail_delivery_put_failures", "Failed tries to put an object", ["error"], registry=registry
        )
        self.digests = Counter("opentrail_delivery_digests", "Digests put (step 9)", registry=registry)
        self.foreign_objects = Counter(
            "opentrail_delivery_foreign_objects",
            "Objects found at a digest's place that we did not write",
            registry=registry,
        )
        self.lost_partitions = Counter(
            "opentrail_delivery_lost_partitions", "Ledger writes refused by the fence", registry=registry
        )
        self.halted_partitions = Gauge(
            "opentrail_delivery_halted_partitions", "Partitions stopped for an operator", registry=registry
        )
        self.halted_chains = Gauge(
            "opentrail_delivery_halted_chains", "Digest chains stopped for an operator", registry=registry
        )
        self.unmet_conditions = Gauge(
            "opentrail_delivery_unmet_conditions",
            "Settings of the event bus that delivery stands on and that do not hold",
            registry=registry,
        )
        self.held_bytes = Gauge(
            "opentrail_delivery_held_bytes", "Memory held by windows and puts under way", registry=registry
        )
        self.window_seconds = Histogram(
            "opentrail_delivery_window_build_seconds",
            "Time to build a window's files",
            registry=registry,
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
        )

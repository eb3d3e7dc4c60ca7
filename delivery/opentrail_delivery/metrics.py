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
        self.parked_bytes = Gauge(
            "opentrail_delivery_parked_bytes",
            "Bytes of parked and expired log files in the spool, of all processes",
            registry=registry,
        )
        self.expired_files = Gauge(
            "opentrail_delivery_expired_files",
            "Log files in the spool that are not tried any more",
            registry=registry,
        )
        self.damaged_copies = Counter(
            "opentrail_delivery_damaged_copies",
            "Parked log files whose copy in the spool cannot be read",
            registry=registry,
        )
        self.reaimed_files = Counter(
            "opentrail_delivery_reaimed_files", "Parked log files sent to their trail's new target", registry=registry
        )
        self.rate_limited = Counter(
            "opentrail_delivery_rate_limited_files",
            "Log files held back by our own rate limits: waits, parked",
            ["how"],
            registry=registry,
        )
        self.spool_full = Gauge(
            "opentrail_delivery_spool_full", "1 while the spool has no room for parked files", registry=registry
        )
        self.repeats = Counter(
            "opentrail_delivery_repeats", "Events that their client sent again, dropped", registry=registry
        )
        self.put_failures = Counter(
            "opentrail_delivery_put_failures", "Failed tries to put an object", ["error"], registry=registry
        )
        self.notifications = Counter(
            "opentrail_delivery_notifications", "Messages published to trails' topics", registry=registry
        )
        self.notification_failures = Counter(
            "opentrail_delivery_notification_failures", "Failed tries to tell a topic", ["error"], registry=registry
        )
        self.untold_files = Gauge(
            "opentrail_delivery_untold_files",
            "Delivered log files of which their trail's topic is still to be told, of all processes",
            registry=registry,
        )
        self.expired_notifications = Counter(
            "opentrail_delivery_expired_notifications",
            "Delivered log files of which nobody is told any more",
            registry=registry,
        )
        self.digests = Counter("opentrail_delivery_digests", "Digests put and published (step 10)", registry=registry)
        self.heads = Counter(
            "opentrail_delivery_heads", "Signed heads put into the second place (step 11)", registry=registry
        )
        self.head_failures = Counter(
            "opentrail_delivery_head_failures",
            "Failed tries to sign a chain's head, or to put it into the second place",
            ["error"],
            registry=registry,
        )
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
            "Conditions of event bus, state store and clock that delivery stands on and that do not hold",
            registry=registry,
        )
        self.missing_numbers = Gauge(
            "opentrail_delivery_missing_numbers",
            "Numbers of clients that have not come: events that a client lost, or will send again",
            registry=registry,
        )
        self.given_up_numbers = Gauge(
            "opentrail_delivery_given_up_numbers",
            "Numbers of clients in holes that were given up",
            registry=registry,
        )
        self.formats = Gauge(
            "opentrail_delivery_format", "Formats that are switched on: batch, intent", ["kind"], registry=registry
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

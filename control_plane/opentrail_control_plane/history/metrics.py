"""What the indexer counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class HistoryMetrics:
    """Counters and gauges of one indexer. Names start with `opentrail_history_`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """None shows them nowhere."""
        registry = registry or CollectorRegistry()
        self.events = Counter("opentrail_history_events", "Events that entered the index", registry=registry)
        self.left_out = Counter(
            "opentrail_history_events_left_out",
            "Management and Insights events that were known already, or whose time cannot be looked up",
            registry=registry,
        )
        self.unreadable = Counter(
            "opentrail_history_unreadable", "What was passed over: messages, records", ["what"], registry=registry
        )
        self.cut_logs = Counter(
            "opentrail_history_cut_logs",
            "Times that the bus had not kept what was to be indexed next: history may lack events",
            registry=registry,
        )
        self.restarts = Counter(
            "opentrail_history_restarts",
            "Times that a partition was begun anew from its position, by why: moved, state, bus, fault",
            ["why"],
            registry=registry,
        )
        self.halted_partitions = Gauge(
            "opentrail_history_halted_partitions",
            "Partitions with messages of a newer format: they wait for a newer release",
            registry=registry,
        )
        self.lag = Histogram(
            "opentrail_history_lag_seconds",
            "From the bus to the index, of the oldest message of what was indexed together",
            registry=registry,
            buckets=(0.3, 1, 2, 5, 10, 30, 60, 300, 3600),
        )
        self.add_seconds = Histogram(
            "opentrail_history_add_seconds", "Time to add events to the index", registry=registry
        )
        self.forgotten_tables = Counter(
            "opentrail_history_forgotten_tables", "Tables of weeks that were dropped", registry=registry
        )

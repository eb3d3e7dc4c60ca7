"""What the control plane counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram


class ControlPlaneMetrics:
    """Counters of one control plane process. Names start with `opentrail_control_plane_`."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """None shows them nowhere."""
        registry = registry or CollectorRegistry()
        self.requests = Counter(
            "opentrail_control_plane_requests",
            "Requests by operation (empty: none that is known), and the error that answered them (empty: none)",
            ["service", "operation", "error"],
            registry=registry,
        )
        self.seconds = Histogram(
            "opentrail_control_plane_request_seconds", "From a request that was read to its answer", registry=registry
        )
        self.calls_published = Counter(
            "opentrail_control_plane_own_calls_published", "The API's own calls on the bus", registry=registry
        )
        self.calls_rejected = Counter(
            "opentrail_control_plane_own_calls_rejected",
            "Records of the API's own calls that the intake refused, and that are lost: a fault of ours",
            registry=registry,
        )
        self.publish_failures = Counter(
            "opentrail_control_plane_own_calls_failures",
            "Times that the API's own calls could not be published; they are sent again",
            ["why"],
            registry=registry,
        )

"""The producer as a running gRPC server: listeners, health, reflection, graceful drain."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from opentrail.trails.configuration import Configuration
from opentrail_backends.event_bus.port import EventBus, EventPublisher
from opentrail_backends.state.port import ConfigurationStore, Ledger
from opentrail_producer.account_rates import AccountRates
from opentrail_producer.authentication import Authentication, TokenAuthentication
from opentrail_producer.generated import producer_pb2, producer_pb2_grpc
from opentrail_producer.intake import Intake
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.rate_limit import Rate, RateLimit
from opentrail_producer.refreshed import Refreshed
from opentrail_producer.servicer import ProducerServicer
from opentrail_producer.settings import MEBIBYTE, Listener, ProducerSettings
from opentrail_producer.spool_shares import SpoolShares

log = logging.getLogger(__name__)

SERVICE_NAME = producer_pb2.DESCRIPTOR.services_by_name["Producer"].full_name
CLOSING_SECONDS = 5.0
CUT_OFF_SECONDS = 2.0
"""How long calls that are cut off have to say so to their clients."""
_NO_LIMIT = 1e12
"""Events and bytes per second that nobody reaches."""


def serve(
    settings: ProducerSettings,
    configuration_store: ConfigurationStore,
    event_bus: EventBus,
    *,
    ledger: Ledger | None = None,
    registry: CollectorRegistry | None = None,
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    clock: Callable[[], float] = time.monotonic,
) -> ProducerServer:
    """Puts a producer together; call `start` to listen and `drain` to end.

    The producer has a publisher of its own and closes it; the bus and the store stay the caller's.

    Args:
        settings: what the operator chose.
        configuration_store: tokens, and the limits of accounts.
        event_bus: where accepted events go.
        ledger: tells what lies in delivery's spool, so that an owner whose share is used up is refused; None refuses
            nobody for it.
        registry: where the metrics are shown; None shows them nowhere.
        now: milliseconds since the epoch, for the times of records.
        clock: seconds that only rise, for limits and caches.

    Raises:
        EventBusError: the bus gives no publisher.
    """
    metrics = ProducerMetrics(registry)
    publisher = event_bus.publisher()
    intake = build_intake(settings, configuration_store, publisher, metrics, ledger=ledger, now=now, clock=clock)
    tokens = TokenAuthentication(configuration_store, clock, settings.token_cache_seconds)
    servicer = ProducerServicer(Authentication(tokens), intake, metrics, settings)
    return ProducerServer(settings, servicer, publisher)


def build_intake(
    settings: ProducerSettings,
    configuration_store: ConfigurationStore,
    publisher: EventPublisher,
    metrics: ProducerMetrics,
    *,
    ledger: Ledger | None = None,
    limited: bool = True,
    now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    clock: Callable[[], float] = time.monotonic,
) -> Intake:
    """The way of events without gRPC, for another front (PutAuditEvents) that has authenticated its caller.

    `limited`: whether accounts' limits hold; not for what the service itself tells of an account, which no account may
    keep out of its record by using up its limit.
    """
    configuration = Refreshed(
        "accounts' limits and organizations",
        Configuration(),
        lambda known: _newer(known, configuration_store),
        clock,
        settings.configuration_seconds,
    )
    rate_of = AccountRates(configuration, settings.rate_limits).rate_of if limited else _no_limit
    return Intake(
        publisher,
        RateLimit(rate_of, settings.rate_limits.burst_seconds, clock),
        settings.intake,
        metrics,
        now=now,
        clock=clock,
        spool_shares=None if ledger is None else _spool_shares(settings, ledger, configuration, clock),
    )


def _no_limit(_account_id: str) -> Rate:
    return Rate(_NO_LIMIT, _NO_LIMIT)


def _newer(known: Configuration, store: ConfigurationStore) -> Configuration:
    changes = store.changes_after(known.revision)
    return known.after(*changes) if changes else known  # the same one keeps what it has indexed


def _spool_shares(
    settings: ProducerSettings, ledger: Ledger, configuration: Callable[[], Configuration], clock: Callable[[], float]
) -> SpoolShares:
    nothing: Mapping[str, int] = {}
    usage = Refreshed(
        "the use of the spool",
        nothing,
        lambda _known: ledger.spool_usage().by_owner,
        clock,
        settings.configuration_seconds,
    )
    return SpoolShares(usage, configuration, settings.spool_share_bytes)


class ProducerServer:
    """A running producer. Made by `serve`."""

    def __init__(
        self,
        settings: ProducerSettings,
        servicer: ProducerServicer,
        publisher: EventPublisher,
    ) -> None:
        self._settings = settings
        self._servicer = servicer
        self._publisher = publisher
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="producer")
        self._health_threads = ThreadPoolExecutor(2, thread_name_prefix="producer-health")
        self._health = health.HealthServicer(experimental_thread_pool=self._health_threads)
        self._server = grpc.server(
            self._threads,
            options=_options(settings),
            maximum_concurrent_rpcs=settings.max_concurrent_calls,
        )
        self._drained = threading.Event()
        self.ports: tuple[int, ...] = ()
        """One for each listener, once started."""

    def start(self) -> int:
        """Listens and serves; returns the first listener's port. Raises OSError if an address cannot be had."""
        producer_pb2_grpc.add_ProducerServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]
        # A check must be answered also while all threads wait for the bus.
        check: Any = functools.partial(health.HealthServicer.Check, self._health)
        check.experimental_thread_pool = self._health_threads
        self._health.Check = check
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self.ports = tuple(self._listen(listener) for listener in self._settings.listeners)
        self._health.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
        self._server.start()
        return self.ports[0]

    def drain(self, timeout: float | None = None) -> bool:
        """Ends well: not serving, no new calls, those under way finish; True if all did within `timeout` seconds.

        What is still under way then is cut off. The publisher is closed at the end, bus and state store are not.
        """
        if self._drained.is_set():
            return True
        seconds = self._settings.drain_seconds if timeout is None else timeout
        end = time.monotonic() + seconds
        log.info("the producer drains: no new calls; those under way have %g s to finish", seconds)
        self._health.enter_graceful_shutdown()
        self._servicer.drain()
        if self.ports:  # closes the listeners and tells clients to connect elsewhere; calls go on
            self._server.stop(grace=max(end - time.monotonic(), 0.0) + CLOSING_SECONDS)
        finished = self._servicer.wait_until_idle(max(end - time.monotonic(), 0.0))
        if finished:
            log.info("the producer has drained: every call under way has its answer")
        else:
            log.warning("calls were still under way after %g s and are cut off; their clients send again", seconds)
            self._servicer.cut_off()
            self._servicer.wait_until_idle(CUT_OFF_SECONDS)
        self._server.stop(grace=None)  # cuts off what is left: health watches, and calls that took too long
        self._threads.shutdown(wait=False)
        self._health_threads.shutdown(wait=False)
        self._publisher.close(max(end - time.monotonic(), 1.0))
        self._drained.set()
        return finished

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until drained; False after `timeout` seconds."""
        return self._drained.wait(timeout)

    def _listen(self, listener: Listener) -> int:
        try:
            if listener.tls is None:
                return self._server.add_insecure_port(listener.address)
            credentials = grpc.ssl_server_credentials(
                [(listener.tls.private_key, listener.tls.certificate_chain)],
                root_certificates=listener.tls.client_authorities,
                require_client_auth=listener.tls.client_authorities is not None,
            )
            return self._server.add_secure_port(listener.address, credentials)
        except RuntimeError as error:
            raise OSError(f"the producer cannot listen on {listener.address}: {error}") from error


def _options(settings: ProducerSettings) -> list[tuple[str, int]]:
    """Channel arguments of gRPC core (grpc_types.h)."""
    limits = settings.intake
    return [
        ("grpc.so_reuseport", int(settings.share_port)),
        # A little above our own limit, which answers with a sentence; beyond it gRPC itself refuses.
        ("grpc.max_receive_message_length", limits.max_bytes + MEBIBYTE + 16 * limits.max_events),
        ("grpc.max_metadata_size", 16 * 1024),
        # More calls of one connection wait at the client's side: one connection cannot take all places.
        ("grpc.max_concurrent_streams", max(settings.max_concurrent_calls // 4, 1)),
        # A client that is gone without a word is found within 40 s; clients may ping every 10 s.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]

"""The validator as a running service: cycles, and a gRPC server with health, reflection and a graceful end."""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from opentrail_validator.generated import validator_pb2, validator_pb2_grpc
from opentrail_validator.service.authentication import TokenAuthentication
from opentrail_validator.service.book import Book
from opentrail_validator.service.book_file import read_book
from opentrail_validator.service.changes import Changes
from opentrail_validator.service.cycle import Cycle
from opentrail_validator.service.metrics import ValidatorMetrics
from opentrail_validator.service.port import ChainCatalogue, Notifier
from opentrail_validator.service.servicer import ValidatorServicer
from opentrail_validator.service.settings import Listener, ServerSettings, WatchSettings
from opentrail_validator.service.watching import Watching

log = logging.getLogger(__name__)

SERVICE_NAME = validator_pb2.DESCRIPTOR.services_by_name["Validator"].full_name
WATCHING_NAME = "opentrail.validator.v1.Validator/watching"
"""The name under which health tells whether cycles end. Not a reason to restart: the log says why they do not."""
_SHORT_CALLS = 8
"""Threads beside those of the calls that last."""
_GIVEN_UP_SECONDS = 5.0
"""How long a cycle, and then calls, may take to end; longer waits only one that a silent server or caller holds up."""
_LOOK_SECONDS = 1.0
"""How often health looks whether watching is overdue."""


class ValidatorService:
    """A running validator.

    Health: the server and the service are SERVING while calls are answered, from the start, before the first cycle too.
    `WATCHING_NAME` is NOT_SERVING while watching is overdue.

    Args:
        book_file: where findings and what was verified are kept.
        registry: where the metrics are shown; None shows them nowhere.

    Raises:
        BookUnusable: the file cannot be read.
    """

    def __init__(
        self,
        settings: ServerSettings,
        watch: WatchSettings,
        catalogue: ChainCatalogue,
        notifier: Notifier,
        book_file: Path,
        *,
        registry: CollectorRegistry | None = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        book, changes, metrics = Book(read_book(book_file)), Changes(), ValidatorMetrics(registry, now)
        self._book, self._changes = book, changes
        cycle = Cycle(watch, catalogue, book, changes, metrics, now=now)
        self._watching = Watching(
            watch, catalogue, book, cycle, notifier, metrics, book_file=book_file, now=now, clock=clock
        )
        self._servicer = ValidatorServicer(
            TokenAuthentication(settings.token_sha256),
            self._watching,
            catalogue,
            book,
            changes,
            max_validations=settings.max_validations,
            max_watchers=settings.max_watchers,
            parallel=watch.parallel,
            now=now,
        )
        threads = settings.max_validations + settings.max_watchers + _SHORT_CALLS
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="validator")
        self._health_threads = ThreadPoolExecutor(2, thread_name_prefix="validator-health")
        self._health = health.HealthServicer(experimental_thread_pool=self._health_threads)
        self._server = grpc.server(self._threads, options=_OPTIONS, maximum_concurrent_rpcs=threads * 2)
        self._stopped = threading.Event()

    def start(self) -> int:
        """Listens, serves and begins the first cycle; returns the port. Raises OSError if it cannot be had."""
        validator_pb2_grpc.add_ValidatorServicer_to_server(self._servicer, self._server)  # type: ignore[no-untyped-call]
        # A check must be answered also while all threads are taken.
        check: Any = functools.partial(health.HealthServicer.Check, self._health)
        check.experimental_thread_pool = self._health_threads
        self._health.Check = check
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        port = self._listen(self._settings.listener)
        self._health.set(SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
        self._health.set(WATCHING_NAME, health_pb2.HealthCheckResponse.SERVING)
        self._server.start()
        self._watching.start()
        threading.Thread(target=self._look_after_watching, name="validator-overdue", daemon=True).start()
        return port

    def stop(self, timeout: float | None = None) -> bool:
        """Ends well, within seconds: no new calls, those under way end, a cycle is given up; whether all did.

        A call or cycle that waits longer than `timeout` seconds, or a few, is left behind: nothing is lost by it.
        """
        if self._stopped.is_set():
            return True
        patience = min(self._settings.drain_seconds if timeout is None else timeout, _GIVEN_UP_SECONDS)
        self._stopped.set()
        self._health.enter_graceful_shutdown()
        self._servicer.drain()
        finished = self._watching.stop(patience)
        finished &= self._server.stop(grace=patience).wait(patience + 1)
        if not finished:
            log.warning("what was being read at the end is given up; the next start reads it again")
        self._threads.shutdown(wait=False)
        self._health_threads.shutdown(wait=False)
        return finished

    def _look_after_watching(self) -> None:
        serving = health_pb2.HealthCheckResponse
        while not self._stopped.wait(_LOOK_SECONDS):
            status = serving.NOT_SERVING if self._watching.is_overdue else serving.SERVING
            self._health.set(WATCHING_NAME, status)

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
            raise OSError(f"the validator cannot listen on {listener.address}: {error}") from error


_OPTIONS = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 16 * 1024),
    # A watcher that is gone without a word is found within 40 s; clients may ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
]
"""Channel arguments of gRPC core (grpc_types.h)."""

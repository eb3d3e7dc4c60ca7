"""The services of one process: made from settings and parts, started in order, stopped so that nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, start_http_server

from opentrail_backends.object_store.port import ObjectStoreError
from opentrail_cli.apply import newest_configuration
from opentrail_cli.composition import BACKEND_ERRORS, Parts
from opentrail_cli.errors import CommandFailed
from opentrail_cli.event_intake import ProducerIntake
from opentrail_cli.malloc import keep_large_buffers
from opentrail_cli.settings import Settings, split_address
from opentrail_cli.validator_service import validator_service
from opentrail_control_plane.allowed_buckets import AllowedBuckets
from opentrail_control_plane.history.indexer import HistoryIndexer
from opentrail_control_plane.history.metrics import HistoryMetrics
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from opentrail_control_plane.targets import Targets
from opentrail_delivery.errors import DeliveryHalted
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.service import DeliveryPorts, DeliveryService
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import Spool
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.server import build_intake, serve
from opentrail_producer.settings import IntakeLimits, Listener, ProducerSettings, RateLimits, TlsFiles

ServiceName = Literal["producer", "delivery", "control-plane", "validator"]
ALL_SERVICES: tuple[ServiceName, ...] = ("delivery", "producer", "control-plane", "validator")
SPOOL_BUCKET = "opentrail-spool"


class Services:
    """Running services. `stop` takes nothing new in, finishes what is under way, then frees everything."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._registry = CollectorRegistry()
        self._stops = ExitStack()
        self.delivery: DeliveryService | None = None
        self.producer_address: str | None = None
        self.control_plane_url: str | None = None
        self.validator_address: str | None = None

    def start(self, names: Sequence[ServiceName]) -> None:
        """Makes the regions' topics that are missing and starts services.

        Raises CommandFailed with the reason why one cannot start; those that did are stopped.
        """
        starters: dict[ServiceName, Callable[[], None]] = {
            "delivery": self._start_delivery,
            "producer": self._start_producer,
            "control-plane": self._start_control_plane,
            "validator": self._start_validator,
        }
        keep_large_buffers()
        try:
            self._start_metrics()
            for region in self._settings.regions if set(names) != {"validator"} else ():
                self._parts.event_bus.ensure_topic(region, self._settings.partitions)
            for name in ALL_SERVICES:
                if name in names:
                    starters[name]()
        except BaseException as error:
            self.stop()
            if isinstance(error, (OSError, ValueError, DeliveryHalted, *BACKEND_ERRORS)):
                raise CommandFailed(str(error)) from error
            raise

    def stop(self) -> None:
        """Stops the services, the last started first: no calls, then no requests, then no deliveries."""
        self._stops.close()

    def _start_delivery(self) -> None:
        parts, settings = self._parts, self._settings
        spool = Spool(parts.spool_store, SPOOL_BUCKET)
        parts.spool_store.create_bucket(SPOOL_BUCKET)
        if settings.heads_bucket is not None and parts.is_embedded:
            parts.object_store.create_bucket(_bucket_of(settings.heads_bucket))
        self.delivery = DeliveryService(
            DeliverySettings(
                window_seconds=settings.window_seconds,
                window_bytes=settings.window_bytes,
                file_bytes=settings.file_bytes,
                record_proofs=settings.record_proofs,
                memory_bytes=settings.memory_bytes,
                spool_bytes=settings.spool_bytes,
                parked_expire_seconds=settings.parked_expire_seconds,
                trail_bytes_per_second=settings.trail_bytes_per_second,
                bucket_requests_per_second=settings.bucket_requests_per_second,
                kept_seconds=settings.kept_seconds,
                digest_seconds=settings.digest_seconds,
                heads_bucket=settings.heads_bucket,
            ),
            DeliveryPorts(
                event_bus=parts.event_bus,
                object_store=parts.object_store,
                state_store=parts.state,
                key_management=parts.keys,
                spool=spool,
                notifications=parts.notifications,
            ),
            metrics=DeliveryMetrics(self._registry),
        )
        self.delivery.start()
        self._stops.callback(self.delivery.stop, settings.drain_seconds)

    def _start_producer(self) -> None:
        settings = self._settings
        state = self._parts.state
        server = serve(
            producer_settings(settings),
            state.configuration,
            self._parts.event_bus,
            ledger=state.ledger,
            registry=self._registry,
        )
        port = server.start()
        self._stops.callback(server.drain)
        self.producer_address = _with_port(settings.producer_address, port)

    def _start_control_plane(self) -> None:
        parts, settings = self._parts, self._settings
        host, port = split_address(settings.control_plane_address)
        publisher = parts.event_bus.publisher()
        self._stops.callback(publisher.close, settings.drain_seconds)
        of_producer, metrics = producer_settings(settings), ProducerMetrics()
        # No limit of an account, and no share of the spool that it has used up, keeps its API calls out of the record.
        unlimited = build_intake(of_producer, parts.state.configuration, publisher, metrics, limited=False)
        intake = build_intake(of_producer, parts.state.configuration, publisher, metrics, ledger=parts.state.ledger)
        server = ControlPlaneServer(
            ControlPlaneSettings(
                host=host,
                port=port,
                certificate_file=settings.tls_certificate_file,
                private_key_file=settings.tls_private_key_file,
                share_port=settings.share_port,
            ),
            parts.state,
            time.time,
            ports=self._control_plane_ports(ProducerIntake(intake)),
            own_calls=ProducerIntake(unlimited),
            registry=self._registry,
        )
        port = server.start()
        self._stops.callback(server.stop, settings.drain_seconds)
        indexer = HistoryIndexer(parts.event_bus, parts.state.history, HistoryMetrics(self._registry))
        indexer.start()
        self._stops.callback(indexer.stop, settings.drain_seconds)
        scheme = "http" if settings.tls_certificate_file is None else "https"
        self.control_plane_url = f"{scheme}://{_with_port(settings.control_plane_address, port)}"

    def _control_plane_ports(self, intake: ProducerIntake) -> Ports:
        """What the control plane stands on. It checks trails' targets, and puts events on the bus like a producer."""
        parts, settings = self._parts, self._settings
        targets = Targets(
            parts.object_store,
            parts.storage_keys,
            parts.notifications,
            AllowedBuckets.parse(settings.allowed_buckets),
            reserved_buckets=(SPOOL_BUCKET, *([_bucket_of(settings.heads_bucket)] if settings.heads_bucket else [])),
        )
        return Ports(targets=targets, intake=intake, regions=settings.regions, token_key=parts.secret_key)

    def _start_validator(self) -> None:
        settings = self._settings
        tls = _tls_files(settings)
        certificate = None if tls is None else (tls.certificate_chain, tls.private_key)
        service = validator_service(self._parts, certificate, self._registry)
        port = service.start()
        self._stops.callback(service.stop, settings.drain_seconds)
        self.validator_address = _with_port(settings.validator_address, port)

    def _start_metrics(self) -> None:
        if self._settings.metrics_address is not None:
            host, port = split_address(self._settings.metrics_address)
            server, thread = start_http_server(port, host, self._registry)
            self._stops.callback(thread.join)
            self._stops.callback(server.server_close)
            self._stops.callback(server.shutdown)


def make_buckets(parts: Parts) -> None:
    """Makes the buckets of all trails in a local object store; those elsewhere are their owners' to make."""
    if parts.is_embedded:
        trails = newest_configuration(parts.state.configuration).trails.values()
        try:
            for bucket in sorted({trail.s3_bucket_name for trail in trails}):
                parts.object_store.create_bucket(bucket)
        except ObjectStoreError as error:
            raise CommandFailed(f"A bucket cannot be made: {error}") from error


def producer_settings(settings: Settings) -> ProducerSettings:
    """The producer's part of the settings. Raises ValueError, CommandFailed."""
    listener = Listener(
        address=settings.producer_address, tls=_tls_files(settings), plaintext_allowed=settings.plaintext_allowed
    )
    return ProducerSettings(
        listeners=(listener,),
        intake=IntakeLimits(max_events=settings.batch_events, max_bytes=settings.batch_bytes),
        rate_limits=RateLimits(
            events_per_second=settings.events_per_second, bytes_per_second=settings.bytes_per_second
        ),
        share_port=settings.share_port,
        drain_seconds=settings.drain_seconds,
        spool_share_bytes=settings.spool_share_bytes,
    )


def _tls_files(settings: Settings) -> TlsFiles | None:
    if settings.tls_certificate_file is None or settings.tls_private_key_file is None:
        return None
    authorities = settings.tls_client_authorities_file
    return TlsFiles(
        certificate_chain=_read(settings.tls_certificate_file),
        private_key=_read(settings.tls_private_key_file),
        client_authorities=None if authorities is None else _read(authorities),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}.") from error


def _bucket_of(place: str) -> str:
    return place.partition("/")[0]


def _with_port(address: str, port: int) -> str:
    return f"{address.rpartition(':')[0]}:{port}"

"""Delivery as a service: threads that close windows, put digests, try parked files, tell topics, and maintain."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from opentrail_backends.event_bus.port import EventBus, EventBusError
from opentrail_backends.key_management.port import KeyManagement, KeyManagementError
from opentrail_backends.notifications.none import NoNotifications
from opentrail_backends.notifications.port import Notifications
from opentrail_backends.object_store.port import ObjectStore
from opentrail_backends.state.port import StateError, StateStore
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.digest_builder import BuilderTools, DigestBuilder
from opentrail_delivery.digest_put import DigestPublisher, PublisherTools
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.log_file_put import PutTools
from opentrail_delivery.maintenance import FORMATS, Maintenance, MaintenanceTools
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.notifier import Notifier, NotifierTools
from opentrail_delivery.parked_files import ParkedFiles, ParkedTools
from opentrail_delivery.partition_delivery import DeliveryTools
from opentrail_delivery.partition_share import PartitionShare
from opentrail_delivery.put_schedule import PutSchedule
from opentrail_delivery.rate_limits import RateLimits
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.signed_heads import HeadSigner, HeadTools, SignedHeads
from opentrail_delivery.spool import Spool
from opentrail_delivery.spool_space import SpoolSpace
from opentrail_delivery.status import DeliveryStatus
from opentrail_delivery.threads import DaemonExecutor

_log = structlog.get_logger("opentrail.delivery")

_AGAIN_SECONDS = 1.0
_AFTER_STOP_SECONDS = 5.0
"""How much longer than it was given a stop waits for a thread whose last call has no answer."""


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPorts:
    """What delivery reads from and writes to."""

    event_bus: EventBus
    object_store: ObjectStore
    state_store: StateStore
    key_management: KeyManagement
    spool: Spool | None = None
    notifications: Notifications = field(default_factory=NoNotifications)


class DeliveryService:
    """Delivers the partitions that the bus assigns to this process, and builds digests for all chains."""

    def __init__(
        self,
        settings: DeliverySettings,
        ports: DeliveryPorts,
        *,
        clock: Callable[[], int] = _wall_clock,
        metrics: DeliveryMetrics | None = None,
        formats: Mapping[str, int] = FORMATS,
    ) -> None:
        """`clock`: milliseconds. `formats`: the newest that this release reads."""
        self.settings = settings
        self.metrics = metrics or DeliveryMetrics()
        self.delivery_status = DeliveryStatus()
        self._ports = ports
        state = ports.state_store
        self._puts = PutTools(
            store=CheckedStore(ports.object_store),
            spool=ports.spool,
            health=BucketHealth(
                settings.parked_retry_seconds, soon=settings.park_soon_seconds, silent=settings.silent_seconds
            ),
            metrics=self.metrics,
            status=self.delivery_status,
            space=SpoolSpace(state.ledger, settings.spool_bytes),
            park_soon_seconds=settings.park_soon_seconds,
            park_seconds=settings.park_seconds,
        )
        self._limits = RateLimits(settings.trail_bytes_per_second, settings.bucket_requests_per_second)
        self._clock = clock
        self._feed = ConfigurationFeed(ports.state_store.configuration)
        self._putter = PutSchedule(self._puts, settings.put_threads, self._limits, silent=settings.silent_seconds)
        self._digest_putter = DaemonExecutor(settings.put_threads, "put-digest")
        self._head_putter = DaemonExecutor(8, "put-head")
        self._parked_putter = DaemonExecutor(settings.parked_threads, "put-parked")
        self._cleaner = DaemonExecutor(1, "spool-cleaner")
        self._teller = DaemonExecutor(settings.notification_threads, "notify")
        self._key_ring = KeyRing(state.public_keys, ports.key_management, valid_seconds=settings.key_seconds)
        self._signer = HeadSigner(state.chains, self._key_ring, self.metrics, settings.parked_retry_seconds)
        self._maintenance = Maintenance(
            MaintenanceTools(
                event_bus=ports.event_bus,
                state_store=ports.state_store,
                settings=settings,
                metrics=self.metrics,
                status=self.delivery_status,
                clock=clock,
                formats=formats,
            )
        )
        self._stop = threading.Event()
        self._deadline = 0.0
        self._threads = [
            threading.Thread(target=self._run_windows, name="delivery-windows", daemon=True),
            threading.Thread(target=self._run_digests, name="delivery-digests", daemon=True),
            threading.Thread(target=self._run_heads, name="delivery-heads", daemon=True),
            threading.Thread(target=self._run_parked, name="delivery-parked", daemon=True),
            threading.Thread(target=self._run_notifications, name="delivery-notifications", daemon=True),
            threading.Thread(target=self._run_maintenance, name="delivery-maintenance", daemon=True),
        ]

    def start(self) -> None:
        """Checks what delivery stands on and starts. Raises ConditionsUnmet, EventBusError, StateError."""
        self._maintenance.start()
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Stops in order: open windows are closed and put within `timeout` seconds.

        What is not put by then is redone by the next owner, with the same bytes.
        """
        self._deadline = time.monotonic() + timeout
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(self._left() + _AFTER_STOP_SECONDS)
        self._putter.close()
        self._digest_putter.shutdown()
        self._head_putter.shutdown()
        self._parked_putter.shutdown()
        self._cleaner.shutdown()
        self._teller.shutdown()
        self._maintenance.stop()

    def _left(self) -> float:
        """Seconds that the stop has left."""
        return max(0.0, self._deadline - time.monotonic())

    def status(self) -> dict[str, Any]:
        """What stands still and why, and the newest delivery errors by trail."""
        return dict(self.delivery_status.snapshot())

    # --- windows: steps 1 to 6 --------------------------------------------------------------------

    def _run_windows(self) -> None:
        while not self._stop.is_set():
            if not self._maintenance.wait(_AGAIN_SECONDS):
                continue
            try:
                self._read_windows()
            except Exception:
                _log.exception("reading the bus failed; trying again")
                self._stop.wait(_AGAIN_SECONDS)

    def _read_windows(self) -> None:
        """Until the process stops, or a condition is not met: then the partitions are let go."""
        reader = self._ports.event_bus.reader(self.settings.group)
        tools = DeliveryTools(
            ledger=self._ports.state_store.ledger,
            reader=reader,
            feed=self._feed,
            codec=fastest_codec(),
            putter=self._putter,
            puts=self._puts,
            settings=self.settings,
            later=self._cleaner.submit,
        )
        share = PartitionShare(reader, tools, self._clock)
        try:
            reader.subscribe(share)
            while self._maintenance.may_work and not self._stop.is_set():
                try:
                    share.run_once()
                except Exception:
                    _log.exception("a round of reading failed; trying again")
                    self._stop.wait(_AGAIN_SECONDS)
                if share.waits:
                    self._stop.wait(share.waits)
            if self._maintenance.may_work:
                self._finish(share)
        finally:
            share.abandon()
            reader.close()

    def _finish(self, share: PartitionShare) -> None:
        share.close_all()
        while not share.is_idle and time.monotonic() < self._deadline:
            share.finish()
            time.sleep(0.01)

    # --- digests and signed heads: steps 7 to 11 --------------------------------------------------

    def _run_digests(self) -> None:
        state = self._ports.state_store
        builder = DigestBuilder(
            BuilderTools(
                chains=state.chains,
                calls=state.calls,
                ledger=state.ledger,
                feed=self._feed,
                event_bus=self._ports.event_bus,
                key_ring=self._key_ring,
                settings=self.settings,
            )
        )
        publisher = DigestPublisher(
            PublisherTools(
                chains=state.chains,
                public_keys=state.public_keys,
                key_ring=self._key_ring,
                store=self._puts.store,
                health=self._puts.health,
                putter=self._digest_putter,
                metrics=self.metrics,
                status=self.delivery_status,
                signer=self._signer,
                threads=self.settings.put_threads,
            )
        )
        period = min(1.0, self.settings.digest_seconds / 4)
        self._repeat(lambda: period, builder.run_once, publisher.run_once)
        try:
            publisher.finish(self._left())
        except StateError as error:
            _log.warning("digests, parked files or notifications wait", error=str(error))

    def _run_heads(self) -> None:
        state = self._ports.state_store
        tools = HeadTools(
            state.chains, state.public_keys, self._signer, self._puts.store, self._head_putter, self.metrics
        )
        heads = SignedHeads(tools, self.settings.heads_bucket, self.settings.parked_retry_seconds)
        self._repeat(lambda: _AGAIN_SECONDS, heads.run_once)

    # --- parked files, and the rest ---------------------------------------------------------------

    def _run_parked(self) -> None:
        parked = ParkedFiles(
            ParkedTools(
                ledger=self._ports.state_store.ledger,
                puts=self._puts,
                feed=self._feed,
                executor=self._parked_putter,
                limits=self._limits,
                settings=self.settings,
                stop=self._stop,
            )
        )
        seconds = self.settings.parked_retry_seconds
        self._repeat(lambda: min(1.0, seconds) if parked.has_more else seconds, parked.run_once)

    def _run_notifications(self) -> None:
        notifier = Notifier(
            NotifierTools(
                queue=self._ports.state_store.notifications,
                notifications=self._ports.notifications,
                feed=self._feed,
                executor=self._teller,
                metrics=self.metrics,
                settings=self.settings,
                stop=self._stop,
            )
        )
        self._repeat(lambda: _AGAIN_SECONDS, notifier.run_once)

    def _repeat(self, pause: Callable[[], float], *steps: Callable[[], object]) -> None:
        """Does the steps again and again while all conditions are met; what fails waits for the next round."""
        while not self._stop.is_set():
            for step in steps:
                if not self._maintenance.may_work:
                    break
                try:
                    step()
                except (StateError, KeyManagementError, EventBusError) as error:
                    _log.warning("digests, parked files or notifications wait", error=str(error))
                except Exception:
                    _log.exception("digests, parked files or notifications failed; trying again")
            self._stop.wait(pause())

    def _run_maintenance(self) -> None:
        while not self._stop.is_set():
            self._maintenance.run_once()
            self._stop.wait(_AGAIN_SECONDS)

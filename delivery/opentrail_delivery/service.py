"""Delivery as a service: a thread reads and closes windows, one builds and puts digests, one tries parked files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import structlog

from opentrail_backends.event_bus.port import EventBus, EventBusError
from opentrail_backends.key_management.port import KeyManagement, KeyManagementError
from opentrail_backends.object_store.port import ObjectStore
from opentrail_backends.state.port import StateError, StateStore
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.digest_builder import BuilderTools, DigestBuilder
from opentrail_delivery.digest_put import DigestPublisher, PublisherTools
from opentrail_delivery.errors import ClockHalted
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.log_file_put import PutTools
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.parked_files import ParkedFiles
from opentrail_delivery.partition_delivery import DeliveryTools
from opentrail_delivery.partition_share import PartitionShare
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import Spool
from opentrail_delivery.status import DeliveryStatus

_log = structlog.get_logger("opentrail.delivery")

_AGAIN_SECONDS = 1.0
_CHECK_SECONDS = 3600.0


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


class DeliveryService:
    """Delivers the partitions that the bus assigns to this process, and builds digests for all chains."""

    def __init__(
        self,
        settings: DeliverySettings,
        ports: DeliveryPorts,
        *,
        clock: Callable[[], int] = _wall_clock,
        metrics: DeliveryMetrics | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = metrics or DeliveryMetrics()
        self.delivery_status = DeliveryStatus()
        self._ports = ports
        self._puts = PutTools(
            store=CheckedStore(ports.object_store),
            spool=ports.spool,
            health=BucketHealth(settings.park_seconds, settings.parked_retry_seconds),
            metrics=self.metrics,
            status=self.delivery_status,
        )
        self._clock = clock
        self._feed = ConfigurationFeed(ports.state_store.configuration)
        self._putter = ThreadPoolExecutor(settings.put_threads, thread_name_prefix="put")
        self._digest_putter = ThreadPoolExecutor(settings.put_threads, thread_name_prefix="put-digest")
        self._stop = threading.Event()
        self._deadline = 0.0
        self._check_bus_at = 0.0
        self._threads = [
            threading.Thread(target=self._run_windows, name="delivery-windows"),
            threading.Thread(target=self._run_digests, name="delivery-digests"),
            threading.Thread(target=self._run_parked, name="delivery-parked"),
        ]

    def start(self) -> None:
        """Checks the clock and starts. Raises ClockHalted, StateError."""
        drift = abs(self._clock() - self._ports.state_store.ledger.now()) / 1000
        if drift > self.settings.clock_tolerance_seconds:
            raise ClockHalted(
                f"this worker's clock is {drift:.0f} s off the state store's: set both by NTP and start again"
            )
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 30.0) -> None:
        """Stops in order: what is being put is finished within `timeout` seconds, open windows are left on the bus."""
        self._deadline = time.monotonic() + timeout
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._putter.shutdown(wait=False, cancel_futures=True)
        self._digest_putter.shutdown(wait=False, cancel_futures=True)

    def status(self) -> dict[str, Any]:
        """What stands still and why, and the newest delivery errors by trail."""
        return dict(self.delivery_status.snapshot())

    # --- windows: steps 1 to 6 --------------------------------------------------------------------

    def _run_windows(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_windows()
            except Exception:
                _log.exception("reading the bus failed; trying again")
                self._stop.wait(_AGAIN_SECONDS)

    def _read_windows(self) -> None:
        reader = self._ports.event_bus.reader(self.settings.group)
        tools = DeliveryTools(
            ledger=self._ports.state_store.ledger,
            reader=reader,
            feed=self._feed,
            codec=fastest_codec(),
            putter=self._putter,
            puts=self._puts,
            settings=self.settings,
        )
        share = PartitionShare(reader, tools, self._clock)
        try:
            reader.subscribe(share)
            while not self._stop.is_set():
                try:
                    share.run_once()
                except Exception:
                    _log.exception("a round of reading failed; trying again")
                    self._stop.wait(_AGAIN_SECONDS)
            while not share.is_idle and time.monotonic() < self._deadline:
                share.finish()
                time.sleep(0.01)
        finally:
            share.abandon()
            reader.close()

    # --- digests: steps 7 to 10 -------------------------------------------------------------------

    def _run_digests(self) -> None:
        state = self._ports.state_store
        key_ring = KeyRing(state.public_keys, self._ports.key_management, valid_seconds=self.settings.key_seconds)
        builder = DigestBuilder(
            BuilderTools(
                chains=state.chains,
                ledger=state.ledger,
                feed=self._feed,
                event_bus=self._ports.event_bus,
                key_ring=key_ring,
                settings=self.settings,
            )
        )
        publisher = DigestPublisher(
            PublisherTools(
                chains=state.chains,
                public_keys=state.public_keys,
                key_ring=key_ring,
                store=self._puts.store,
                health=self._puts.health,
                putter=self._digest_putter,
                metrics=self.metrics,
                status=self.delivery_status,
            )
        )
        self._repeat(min(1.0, self.settings.digest_seconds / 4), builder.run_once, publisher.run_once)

    def _run_parked(self) -> None:
        parked = ParkedFiles(self._ports.state_store.ledger, self._puts)
        self._repeat(self.settings.parked_retry_seconds, parked.run_once, self._check_bus)

    def _check_bus(self) -> None:
        """At start and hourly: what the bus promises by its topics' settings, which somebody may have changed."""
        if time.monotonic() < self._check_bus_at:
            return
        unmet = self._ports.event_bus.unmet_conditions()
        self.metrics.unmet_conditions.set(len(unmet))
        for sentence in unmet:
            _log.error("the event bus does not keep what delivery stands on", condition=sentence)
        self._check_bus_at = time.monotonic() + _CHECK_SECONDS

    def _repeat(self, seconds: float, *steps: Callable[[], object]) -> None:
        """Does the steps again and again; what fails waits for the next round."""
        while not self._stop.is_set():
            for step in steps:
                try:
                    step()
                except (StateError, KeyManagementError, EventBusError) as error:
                    _log.warning("digests or parked files wait", error=str(error))
                except Exception:
                    _log.exception("digests or parked files failed; trying again")
            self._stop.wait(seconds)

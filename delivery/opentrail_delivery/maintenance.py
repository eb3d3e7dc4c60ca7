"""What a delivery process does beside delivering: it looks after its conditions, shows that it lives, and forgets.

While a condition is not met all partitions and digests of the process stand still, and go on by themselves after it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from opentrail.events.batch import FORMAT_VERSION as BATCH_FORMAT
from opentrail_backends.event_bus.port import EventBus, EventBusError
from opentrail_backends.state.port import StateError, StateStore
from opentrail_delivery.errors import ConditionsUnmet
from opentrail_delivery.intent_body import FORMAT_VERSION as INTENT_FORMAT
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.preconditions import gone_back, newer_formats, unmet_conditions
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.status import DeliveryStatus

_log = structlog.get_logger("opentrail.delivery")

FORMATS: Mapping[str, int] = {"batch": BATCH_FORMAT, "intent": INTENT_FORMAT}
"""The newest formats that this release reads."""
MINUTE, HOUR = 60.0, 3600.0
_FORGOTTEN_AT_ONCE = 5_000
_HALTED = "this process"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceTools:
    """What maintenance asks and tells."""

    event_bus: EventBus
    state_store: StateStore
    settings: DeliverySettings
    metrics: DeliveryMetrics
    status: DeliveryStatus
    clock: Callable[[], int]
    formats: Mapping[str, int]
    monotonic: Callable[[], float] = time.monotonic


class Maintenance:
    """Runs in a thread of its own; `may_work` is asked by the others."""

    def __init__(self, tools: MaintenanceTools) -> None:
        self._tools = tools
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._met = threading.Event()
        self._unmet: Sequence[str] = ()
        self._check_at = self._report_at = self._forget_at = 0.0

    @property
    def may_work(self) -> bool:
        """Whether all conditions are met."""
        return self._met.is_set()

    def wait(self, seconds: float) -> bool:
        """Waits until all conditions are met, for so long at most; whether they are."""
        return self._met.wait(seconds)

    def start(self) -> None:
        """The first check, before anything else. Raises ConditionsUnmet, EventBusError, StateError."""
        try:
            unmet = self._ask()
        except BaseException:
            self.stop()
            raise
        if unmet:
            self.stop()
            raise ConditionsUnmet(unmet)
        now = self._tools.monotonic()
        self._check_at, self._report_at, self._forget_at = now + HOUR, now, now
        self._note(unmet)

    def run_once(self) -> None:
        """Does what is due; what cannot be asked now is asked again in a minute."""
        for step in (self._report, self._check, self._forget):
            try:
                step()
            except (StateError, EventBusError) as error:
                _log.warning("maintenance waits", what=step.__name__.strip("_"), error=str(error))
            except Exception:
                _log.exception("maintenance failed; trying again")

    def stop(self) -> None:
        """The worker is gone in order: nobody waits for it. Raises nothing."""
        try:
            self._tools.state_store.ledger.remove_worker(self.worker_id)
        except StateError as error:
            _log.warning("the worker's end was not noted", error=str(error))

    # --- each minute ------------------------------------------------------------------------------

    def _report(self) -> None:
        now = self._tools.monotonic()
        if now < self._report_at:
            return
        self._report_at = now + MINUTE
        ledger, metrics = self._tools.state_store.ledger, self._tools.metrics
        switched_on = ledger.report_worker(self.worker_id, self._tools.formats)
        for kind, version in switched_on.items():
            metrics.formats.labels(kind).set(version)
        # Neither waits for an hour: both may come while this process works.
        if newer_formats(switched_on, self._tools.formats) or self._has_gone_back():
            self._check_at = now
        clients = ledger.clients()
        metrics.missing_numbers.set(sum(client.missing for client in clients))
        metrics.given_up_numbers.set(sum(client.given_up for client in clients))
        metrics.parked_bytes.set(ledger.spool_usage().total)
        metrics.expired_files.set(sum(parked.expired for parked in ledger.parked_by_trail()))

    def _has_gone_back(self) -> bool:
        tools = self._tools
        return any(True for _ in gone_back(tools.event_bus, tools.state_store.ledger, tools.settings.group))

    # --- hourly, and each minute while something is not met -----------------------------------------

    def _check(self) -> None:
        now = self._tools.monotonic()
        if now < self._check_at:
            return
        self._check_at = now + MINUTE
        unmet = self._ask()
        self._check_at = now + (MINUTE if unmet else HOUR)
        self._note(unmet)

    def _ask(self) -> Sequence[str]:
        tools = self._tools
        switched_on = tools.state_store.ledger.report_worker(self.worker_id, tools.formats)
        conditions = unmet_conditions(tools.event_bus, tools.state_store, tools.settings, tools.clock)
        return [*newer_formats(switched_on, tools.formats), *conditions]

    def _note(self, unmet: Sequence[str]) -> None:
        self._tools.metrics.unmet_conditions.set(len(unmet))
        was_unmet, self._unmet = self._unmet, unmet
        for sentence in unmet:
            _log.error("what delivery stands on does not hold", condition=sentence)
        if unmet:
            self._met.clear()
            self._tools.status.halted(_HALTED, "; ".join(unmet))
            return
        if was_unmet:
            _log.info("all that delivery stands on holds again")
        self._tools.status.released(_HALTED)
        self._met.set()

    # --- hourly -----------------------------------------------------------------------------------

    def _forget(self) -> None:
        now = self._tools.monotonic()
        if now < self._forget_at or not self.may_work:
            return
        self._forget_at = now + MINUTE
        forgotten = self._tools.state_store.forget(int(self._tools.settings.kept_seconds * 1000), _FORGOTTEN_AT_ONCE)
        # Much was left: the rest soon, so that no single call holds up anybody for long.
        self._forget_at = now + (1.0 if forgotten >= _FORGOTTEN_AT_ONCE else HOUR)

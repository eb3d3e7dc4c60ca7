"""Event history as a service: a thread that indexes its share of the bus, and forgets what is too old.

Any number of processes may run it: they share the partitions.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from opentrail.events.lookup import RETENTION_SECONDS
from opentrail_backends.event_bus.port import EventBus, EventBusError, EventReader
from opentrail_backends.state.port import StateError
from opentrail_backends.state.port.event_history import EventHistory
from opentrail_control_plane.history.metrics import HistoryMetrics
from opentrail_control_plane.history.share import HistoryShare

log = logging.getLogger(__name__)

GROUP = "opentrail-event-history"
"""The consumer group."""

_HOUR = 3600
_RETRY_SECONDS = 1.0


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


class HistoryIndexer:
    """Indexes until it is stopped. An outage of bus or state store makes history late; it goes on by itself."""

    def __init__(
        self,
        event_bus: EventBus,
        history: EventHistory,
        metrics: HistoryMetrics | None = None,
        *,
        clock: Callable[[], int] = _wall_clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the wall clock in milliseconds, `monotonic` counts seconds."""
        self._event_bus = event_bus
        self._history = history
        self._metrics = metrics or HistoryMetrics()
        self._clock = clock
        self._monotonic = monotonic
        self._stopping = threading.Event()
        self._forget_at = 0.0
        self._thread = threading.Thread(target=self._run, name="history-indexer", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Indexes what was read, leaves the group and ends, within `timeout` seconds if it can."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def forget(self) -> None:
        """Drops what cannot be looked up any more: an hour later, so that no lookup is on its way there. Hourly."""
        now = self._monotonic()
        if now < self._forget_at:
            return
        self._forget_at = now + _HOUR
        try:
            tables = self._history.forget(self._clock() // 1000 - RETENTION_SECONDS - _HOUR)
        except StateError as error:
            log.warning("event history could not drop what is too old: %s", error)
        else:
            self._metrics.forgotten_tables.inc(tables)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._work()
            except EventBusError as error:
                log.warning("event history: the bus does not answer: %s", error)
            except Exception:  # whatever it is, history goes on from its positions
                log.exception("event history failed; beginning again")
            self._stopping.wait(_RETRY_SECONDS)

    def _work(self) -> None:
        """A membership of the group, from joining to leaving."""
        reader = self._event_bus.reader(GROUP)
        try:
            self._index(reader)
        finally:
            reader.close()

    def _index(self, reader: EventReader) -> None:
        share = HistoryShare(reader, self._history, self._metrics, self._clock)
        reader.subscribe(share)
        while not self._stopping.is_set():
            share.run_once()
            self.forget()
            if share.waits:
                self._stopping.wait(share.waits)
        share.index_all()

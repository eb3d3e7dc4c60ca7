"""What a batch's caller waits for: the bus's confirmations, and then an answer for each event."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait

from opentrail.events.record import CheckedRecord, Rejection
from opentrail_backends.event_bus.port import EventBusError
from opentrail_producer.metrics import ProducerMetrics

log = logging.getLogger(__name__)

TRY_AGAIN = "the event bus did not confirm the batch; send the same batch again"
LOOK_UP_SECONDS = 0.5
"""How often who waits for the bus looks up whether the process is to end."""

Outcome = str | Rejection
"""What became of an event: its `eventID` once the bus has it, or why it was refused."""


class NotConfirmed(Exception):
    """The bus did not confirm the batch; events of it may be there all the same. The message may go to the caller."""


class PendingAnswer:
    """A batch that was published and that the bus has not confirmed yet."""

    def __init__(
        self,
        verdicts: Sequence[CheckedRecord | Rejection],
        confirmations: Sequence[Future[None]],
        started: float,
        timeout: float,
        metrics: ProducerMetrics,
        *,
        clock: Callable[[], float],
        cut_off: threading.Event,
    ) -> None:
        self._verdicts = verdicts
        self._confirmations = confirmations
        self._started = started
        self._timeout = timeout
        self._metrics = metrics
        self._clock = clock
        self._cut_off = cut_off

    def wait(self, timeout: float | None = None) -> Sequence[Outcome]:
        """One outcome for each event, in order, once the bus has all that were accepted.

        Args:
            timeout: seconds, below the setting's; the caller's own deadline.

        Raises:
            NotConfirmed: a message failed, or was not confirmed in time.
        """
        limit = self._timeout
        self._await_bus(limit if timeout is None else min(limit, max(timeout, 0.0)))
        outcomes: list[Outcome] = []
        rejected: list[str] = []
        size = 0
        for verdict in self._verdicts:
            if isinstance(verdict, Rejection):
                outcomes.append(verdict)
                rejected.append(verdict.code)
            else:
                outcomes.append(verdict.event_id)
                size += len(verdict.raw)
        self._metrics.answered(len(outcomes) - len(rejected), size, rejected, self._clock() - self._started)
        return outcomes

    def _await_bus(self, timeout: float) -> None:
        done, late = self._wait(timeout)
        failures = [error for future in done if (error := future.exception()) is not None]
        if not failures and not late:
            return
        self._metrics.bus_failed()
        log.warning("%d messages failed, %d were not confirmed in time: %s", len(failures), len(late), failures[:1])
        for error in failures:
            if not isinstance(error, EventBusError):
                raise error
        raise NotConfirmed(TRY_AGAIN)

    def _wait(self, timeout: float) -> tuple[set[Future[None]], set[Future[None]]]:
        """What is done and what is not, once all is done, something failed, or nobody may wait any longer."""
        while True:
            step = min(timeout, LOOK_UP_SECONDS)
            done, late = wait(self._confirmations, step, FIRST_EXCEPTION)
            timeout -= step
            if not late or timeout <= 0 or self._cut_off.is_set() or any(future.exception() for future in done):
                return done, late

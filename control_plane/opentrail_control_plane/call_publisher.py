"""The API's own calls, from the state store's outbox onto the bus: one thread in each process of the control plane.

A call is forgotten in the outbox only once the bus has it. A crash in between sends it again with the same number, and
delivery drops what it has seen, so each is in the log files once. A call bears the time whose configuration governs it,
however late the bus takes it: that of its answer, or of before the change that it made.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence

from opentrail_backends.state.port import PendingCall, StateError, StateStore
from opentrail_control_plane.event_intake import (
    EventIntake,
    EventNumbers,
    IntakeThrottled,
    IntakeUnavailable,
    RejectedEvent,
)
from opentrail_control_plane.metrics import ControlPlaneMetrics

log = logging.getLogger(__name__)

CLAIMED = 500
"""Calls that are claimed at once."""
LEASE_MS = 30_000
"""How long they are ours. What could not be published in it is anybody's again: that is how it is tried again."""

_LEASE_USED = 0.5
"""The part of the lease in which a new try may begin."""
_BATCH_BYTES = 4 * 1024 * 1024
_IDLE_SECONDS = 0.5
_RETRY_SECONDS = 1.0
_BATCH_FORMAT = 2
"""The format of messages that say when their events were accepted first."""


class CallPublisher:
    """Publishes calls until it is stopped."""

    def __init__(
        self,
        state: StateStore,
        intake: EventIntake,
        metrics: ControlPlaneMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives seconds that only rise."""
        self._calls = state.calls
        self._ledger = state.ledger
        self._intake = intake
        self._metrics = metrics
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="call-publisher", daemon=True)
        self._may_say_when = False
        """Whether every reader of the bus knows messages that say when their events were accepted. It stays so."""

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Publishes what is there, as far as it can be within `timeout` seconds, and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def publish_claimed(self) -> int:
        """Claims calls and publishes them; returns how many are on the bus. Raises StateError."""
        claimed_at = self._clock()
        claimed = self._calls.claim(CLAIMED, LEASE_MS)
        last_try = claimed_at + LEASE_MS / 1000 * _LEASE_USED
        published = 0
        held_back: set[tuple[str, str]] = set()
        for batch in batches(claimed):
            whose = (batch[0].account_id, batch[0].region)
            # Later calls of who is held back wait too: they come in order.
            if whose not in held_back and self._publish(batch, last_try):
                published += len(batch)
            else:
                held_back.add(whose)
        return published

    # --- helpers ----------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            stopping = self._stopping.is_set()
            try:
                published = self.publish_claimed()
            except StateError as error:
                published = 0
                self._failed("state", error)
            except Exception:
                published = 0
                self._metrics.publish_failures.labels("fault").inc()
                log.exception("the API's own calls could not be published; they are tried again")
            if not published:
                if stopping:
                    return
                self._stopping.wait(_IDLE_SECONDS)

    def _publish(self, batch: Sequence[PendingCall], last_try: float) -> bool:
        """Whether the bus has the batch, and the outbox has forgotten it. Raises StateError."""
        first = batch[0]
        if first.judged_at and not self._readers_know_when():
            return False
        while True:
            try:
                outcomes = self._intake.accept(
                    first.account_id,
                    [call.record for call in batch],
                    first.region,
                    EventNumbers(first.client_id, first.number),
                    first.judged_at,
                )
                break
            except IntakeThrottled as error:
                self._failed("throttled", error)
                return False  # until the lease ends; others go on
            except IntakeUnavailable as error:
                self._failed("unavailable", error)
                if self._clock() >= last_try or self._stopping.wait(_RETRY_SECONDS):
                    return False
            except ValueError as error:
                outcomes = [RejectedEvent("INVALID_BATCH", str(error))] * len(batch)
                break
        self._count(batch, outcomes)
        self._calls.done([call.id for call in batch])
        return True

    def _readers_know_when(self) -> bool:
        """Readers of an older release would stop at such a message: it waits until none is running (design §3)."""
        if not self._may_say_when:
            worker_id = f"call-publisher-{uuid.uuid4()}"
            try:
                formats = self._ledger.report_worker(worker_id, {"batch": _BATCH_FORMAT})
            finally:
                self._ledger.remove_worker(worker_id)
            self._may_say_when = formats.get("batch", 1) >= _BATCH_FORMAT
            if not self._may_say_when:
                self._failed("format", "delivery processes of an older release are running")
        return self._may_say_when

    def _count(self, batch: Sequence[PendingCall], outcomes: Sequence[str | RejectedEvent]) -> None:
        for call, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, RejectedEvent):
                self._metrics.calls_rejected.inc()
                log.error(
                    "a record of our own of account %s was refused and is lost: %s: %s",
                    call.account_id,
                    outcome.code,
                    outcome.message,
                )
            else:
                self._metrics.calls_published.inc()

    def _failed(self, why: str, error: object) -> None:
        self._metrics.publish_failures.labels(why).inc()
        log.warning("the API's own calls wait: %s", error)


def batches(calls: Sequence[PendingCall]) -> Iterator[Sequence[PendingCall]]:
    """Calls in order, in batches that can be published as one: of one client, numbers in a row, judged alike."""
    batch: list[PendingCall] = []
    size = 0
    for call in sorted(calls, key=lambda call: (call.account_id, call.region, call.id)):
        if batch and (not _follows(batch[-1], call) or size + len(call.record) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(call)
        size += len(call.record)
    if batch:
        yield batch


def _follows(before: PendingCall, call: PendingCall) -> bool:
    return (call.account_id, call.region, call.client_id, call.number, call.judged_at) == (
        before.account_id,
        before.region,
        before.client_id,
        before.number + 1,
        before.judged_at,
    )

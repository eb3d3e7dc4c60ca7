"""The way of events into the bus: check each, group, publish, answer for each in its place.

It knows nothing of gRPC: any front that has authenticated its caller may use it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from typing import NamedTuple

from opentrail.events.grouping import group_records
from opentrail.events.partition import partition_of
from opentrail.events.record import CheckedRecord, Rejection, check_records
from opentrail_backends.event_bus.batches import pack
from opentrail_backends.event_bus.port import EventBusError, EventPublisher, Partition, Topic

from opentrail_producer.event_ids import numbered_event_id, random_event_id
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.rate_limit import RateLimit
from opentrail_producer.settings import IntakeLimits

log = logging.getLogger(__name__)

CLIENT_ID_BYTES = 16
GREATEST_NUMBER = 2**63 - 1
"""Delivery keeps numbers in a database's signed 64 bits."""

Outcome = str | Rejection
"""What became of an event: its `eventID` once the bus has it, or why it was refused."""


class InvalidBatch(Exception):
    """The batch as a whole cannot be taken, now or later. The message may go to the caller."""


class Throttled(Exception):
    """The account is over its limit; `delay` is in seconds. The message may go to the caller."""

    def __init__(self, message: str, delay: float) -> None:
        super().__init__(message)
        self.delay = delay


class NotConfirmed(Exception):
    """The bus did not confirm the batch; events of it may be there all the same. The message may go to the caller."""


class Numbers(NamedTuple):
    """A client's numbers of a batch: the event at position i has `first` + i."""

    client_id: bytes
    first: int


class Intake:
    """Takes batches of one process's callers. Safe for use by several threads.

    Args:
        publisher: the bus.
        rate_limit: limits of accounts.
        limits: bounds of one request.
        metrics: what is counted.
        now: milliseconds since the epoch, for records' times.
        clock: seconds that only rise, for the latency.
    """

    def __init__(
        self,
        publisher: EventPublisher,
        rate_limit: RateLimit,
        limits: IntakeLimits,
        metrics: ProducerMetrics,
        *,
        now: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._publisher = publisher
        self._rate_limit = rate_limit
        self._limits = limits
        self._metrics = metrics
        self._now = now
        self._clock = clock

    def accept(
        self, account_id: str, events: Sequence[bytes], region: str, numbers: Numbers | None = None
    ) -> Sequence[Outcome]:
        """One outcome for each event, in order, after the bus has all that were accepted. Raises as `begin` and `wait`."""
        return self.begin(account_id, events, region, numbers).wait()

    def begin(
        self, account_id: str, events: Sequence[bytes], region: str, numbers: Numbers | None = None
    ) -> PendingAnswer:
        """Checks and publishes a batch without waiting for the bus.

        Args:
            account_id: the authenticated caller's.
            events: JSON texts.
            region: of the records that name none; empty if each names its own.
            numbers: of a client that may send the batch again.

        Raises:
            InvalidBatch, Throttled: nothing of it was published.
            NotConfirmed: the bus cannot be reached; the same batch may be sent again.
        """
        started = self._clock()
        topics = self._topics()
        size = sum(map(len, events))
        self._refuse_invalid(events, size, region, numbers, topics.keys())
        delay = self._rate_limit.take(account_id, len(events), size)
        if delay > 0:
            self._metrics.throttled(len(events))
            raise Throttled(f"account {account_id} is over its limit of events or bytes per second", delay)
        checked = self._check(account_id, events, region, numbers, topics.keys())
        return PendingAnswer(self, checked, self._publish(account_id, checked, numbers, topics), started)

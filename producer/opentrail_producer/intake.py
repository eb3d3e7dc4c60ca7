"""The way of events into the bus: check each, group, publish, answer for each in its place.

It knows nothing of gRPC: any front that has authenticated its caller may use it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from opentrail.events.grouping import group_records
from opentrail.events.partition import partition_of
from opentrail.events.record import CheckedRecord, Rejection, RejectionCode, check_records
from opentrail_backends.event_bus.batches import pack
from opentrail_backends.event_bus.port import EventBusError, EventPublisher, Partition, Topic
from opentrail_producer.answers import TRY_AGAIN, NotConfirmed, Outcome, PendingAnswer
from opentrail_producer.event_ids import numbered_event_id, random_event_id
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.rate_limit import RateLimit
from opentrail_producer.settings import IntakeLimits
from opentrail_producer.spool_shares import SpoolShares

log = logging.getLogger(__name__)

CLIENT_ID_BYTES = 16
GREATEST_NUMBER = 2**63 - 1
"""Delivery keeps numbers in a database's signed 64 bits."""
HELD_BACK_SECONDS = 30.0
"""When an account whose share of the spool is used up is asked to come back: a bucket is not mended in a second, and
what waits for it is put again about twice a minute."""
REGION_MISMATCH = Rejection(
    RejectionCode.REGION_MISMATCH,
    "The record's awsRegion is another than the request's; numbered events are of one region.",
)


class InvalidBatch(Exception):
    """The batch as a whole cannot be taken, now or later. The message may go to the caller."""


class Throttled(Exception):
    """The account is over its limit, or over its share; `delay` is in seconds. The message may go to the caller."""

    def __init__(self, message: str, delay: float) -> None:
        super().__init__(message)
        self.delay = delay


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
        spool_shares: who is held back because its files wait in the spool; None holds nobody back.
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
        spool_shares: SpoolShares | None = None,
    ) -> None:
        self._publisher = publisher
        self._spool_shares = spool_shares
        self._rate_limit = rate_limit
        self._limits = limits
        self._metrics = metrics
        self._now = now
        self._clock = clock
        self._cut_off = threading.Event()

    def cut_off(self) -> None:
        """Who still waits for the bus is told within a second that it did not confirm: the process is to end."""
        self._cut_off.set()

    def accept(
        self,
        account_id: str,
        events: Sequence[bytes],
        region: str,
        numbers: Numbers | None = None,
        accepted_at: int = 0,
    ) -> Sequence[Outcome]:
        """One outcome for each event, in order, once the bus has what was accepted. Raises as `begin` and `wait`."""
        return self.begin(account_id, events, region, numbers, accepted_at).wait()

    def begin(
        self,
        account_id: str,
        events: Sequence[bytes],
        region: str,
        numbers: Numbers | None = None,
        accepted_at: int = 0,
    ) -> PendingAnswer:
        """Checks and publishes a batch without waiting for the bus.

        Args:
            account_id: the authenticated caller's.
            events: JSON texts.
            region: of the records that name none; empty if each names its own.
            numbers: of a client that may send the batch again.
            accepted_at: the time (ms) whose configuration governs the events, if it is not that of the bus's taking
                them. For the service's own events only: such messages are of a format that all readers of the bus
                must know (`Ledger.report_worker`).

        Raises:
            InvalidBatch, Throttled: nothing of it was published.
            NotConfirmed: the bus cannot be reached; the same batch may be sent again.
        """
        started = self._clock()
        topics = self._topics()
        size = sum(map(len, events))
        self._refuse_invalid(len(events), size, region, numbers, topics)
        self._refuse_over_share(account_id, len(events))
        self._refuse_over_rate(account_id, len(events), size)
        verdicts = self._check(account_id, events, region, numbers, topics)
        confirmations = self._publish(account_id, verdicts, numbers, topics, accepted_at)
        timeout = self._limits.publish_timeout
        return PendingAnswer(
            verdicts, confirmations, started, timeout, self._metrics, clock=self._clock, cut_off=self._cut_off
        )

    def _topics(self) -> Mapping[str, Topic]:
        try:
            return self._publisher.topics()
        except EventBusError as error:
            self._metrics.bus_failed()
            log.warning("the regions' topics could not be read: %s", error)
            raise NotConfirmed(TRY_AGAIN) from error

    def _refuse_invalid(
        self, count: int, size: int, region: str, numbers: Numbers | None, regions: Container[str]
    ) -> None:
        limits = self._limits
        if count == 0:
            raise InvalidBatch("the batch is empty; it needs at least one event")
        if count > limits.max_events:
            raise InvalidBatch(f"the batch has {count} events; at most {limits.max_events} are taken")
        if size > limits.max_bytes:
            raise InvalidBatch(f"the batch has {size} bytes of events; at most {limits.max_bytes} are taken")
        if region and region not in regions:
            raise InvalidBatch(f"there is no region {region[:100]!r} here")
        if numbers is None:
            return
        if not region:
            raise InvalidBatch("numbered events are of one region; the request must name it")
        if len(numbers.client_id) != CLIENT_ID_BYTES:
            raise InvalidBatch(f"the client id has {len(numbers.client_id)} bytes instead of {CLIENT_ID_BYTES}")
        if numbers.first + count - 1 > GREATEST_NUMBER:
            raise InvalidBatch(f"the number of the last event is above {GREATEST_NUMBER}")

    def _refuse_over_share(self, account_id: str, count: int) -> None:
        refusal = None if self._spool_shares is None else self._spool_shares.refusal(account_id)
        if refusal is not None:
            self._metrics.held_back(count)
            raise Throttled(refusal, HELD_BACK_SECONDS)

    def _refuse_over_rate(self, account_id: str, count: int, size: int) -> None:
        delay = self._rate_limit.take(account_id, count, size)
        if delay > 0:
            self._metrics.throttled(count)
            raise Throttled(f"account {account_id} is over its limit of events or bytes per second", delay)

    def _check(
        self,
        account_id: str,
        events: Sequence[bytes],
        region: str,
        numbers: Numbers | None,
        regions: Collection[str],
    ) -> list[CheckedRecord | Rejection]:
        """One verdict for each event, in order."""

        def new_event_id(position: int) -> str:
            if numbers is None:
                return random_event_id()
            return numbered_event_id(account_id, region, numbers.client_id, numbers.first + position)

        verdicts = check_records(
            events,
            account_id=account_id,
            regions=regions,
            default_region=region,
            now=self._now() // 1000,
            new_event_id=new_event_id,
        )
        if numbers is None:
            return verdicts
        return [
            REGION_MISMATCH if isinstance(verdict, CheckedRecord) and verdict.region != region else verdict
            for verdict in verdicts
        ]

    def _publish(
        self,
        account_id: str,
        verdicts: Sequence[CheckedRecord | Rejection],
        numbers: Numbers | None,
        topics: Mapping[str, Topic],
        accepted_at: int,
    ) -> list[Future[None]]:
        """Hands the accepted records to the bus: for each region one message, or several below the byte limit."""
        confirmations = []
        for region, positions in _messages(verdicts, self._limits.message_bytes):
            batch = group_records(
                account_id,
                region,
                [verdict for verdict in map(verdicts.__getitem__, positions) if isinstance(verdict, CheckedRecord)],
                None if numbers is None else [numbers.first + position for position in positions],
                b"" if numbers is None else numbers.client_id,
            )
            partition = Partition(region, partition_of(account_id, topics[region].partitions))
            try:
                confirmations.append(self._publisher.publish(partition, account_id.encode(), pack(batch, accepted_at)))
            except EventBusError as error:
                self._metrics.bus_failed()
                log.warning("the bus took no message for %s: %s", region, error)
                raise NotConfirmed(TRY_AGAIN) from error
        return confirmations


def _messages(verdicts: Sequence[CheckedRecord | Rejection], most_bytes: int) -> Iterator[tuple[str, Sequence[int]]]:
    """The positions of the accepted records of each message: of one region, in order, with bounded bytes."""
    open_messages: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    for position, verdict in enumerate(verdicts):
        if isinstance(verdict, Rejection):
            continue
        region, length = verdict.region, len(verdict.raw)
        size = sizes.get(region, 0) + length
        if size > most_bytes and region in open_messages:
            yield region, open_messages.pop(region)
            size = length
        open_messages.setdefault(region, []).append(position)
        sizes[region] = size
    yield from open_messages.items()

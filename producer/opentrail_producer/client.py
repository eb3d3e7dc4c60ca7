"""A client that sends events in batches, tries again, and tells what became of each.

    with ProducerClient("audit.example.com:7443", region="eu-west-1", token=token, tls=ClientTls()) as client:
        outcome = client.send({"eventVersion": "1.11", ...})      # returns at once
        ...
        match outcome.result():                                   # when one wants to know
            case Accepted(event_id): ...
            case Rejected(code, message): ...

Events are numbered by region under a client id made at the start, so a batch whose answer was lost is sent again
with the same numbers, and delivery drops what it has already (design, section 3, "Numbers of clients"). An
application that keeps its events may give the id, and send them again with the same numbers after a restart. Needs
grpcio and protobuf only (the extra `client`).
"""

from __future__ import annotations

import json
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from opentrail_producer.client_batches import Batch, BatchQueue, Event, QueueClosed, QueueFull
from opentrail_producer.client_connection import ClientTls, is_reachable, open_channel
from opentrail_producer.client_outcomes import Accepted, NotConfirmed, Outcome, Refused, Rejected, outcomes_of
from opentrail_producer.error_details import DETAILS_TRAILER, unpack_retry_delay
from opentrail_producer.generated import producer_pb2

__all__ = [
    "Accepted",
    "ClientSettings",
    "ClientTls",
    "NotConfirmed",
    "Outcome",
    "ProducerClient",
    "QueueClosed",
    "QueueFull",
    "Refused",
    "Rejected",
    "is_reachable",
]

log = logging.getLogger(__name__)

PUBLISH_EVENTS = "/opentrail.producer.v1.Producer/PublishEvents"
CLIENT_ID_BYTES = 16
GREATEST_NUMBER = 2**63 - 1
MEBIBYTE = 1024 * 1024

TRY_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        # Whether the service took the batch is not known; the numbers make it safe to ask again.
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How the client batches, waits and gives up. The service takes up to 1,000 events and 16 MiB a batch."""

    batch_events: int = 500
    batch_bytes: int = MEBIBYTE
    linger: float = 0.01
    """Seconds that the first event of a batch waits for others: one call costs as much as 50 to 100 events."""
    queue_events: int = 20_000
    queue_bytes: int = 64 * MEBIBYTE
    """Bounds of what waits and is under way; beyond them `send` waits."""
    calls: int = 2
    """Calls under way at once."""
    call_timeout: float = 60.0
    give_up: float = 600.0
    """Seconds after a batch's first try; then its events fail with NotConfirmed."""
    first_backoff: float = 0.1
    longest_backoff: float = 20.0


class ProducerClient:
    """Sends events. Safe for use by several threads; close it, or use it as a context manager.

    Args:
        target: address of the producer, as gRPC writes it (`host:port`, `dns:///…`).
        region: the region of events that name none.
        token: bearer token, or None with a client certificate.
        tls: whom to trust, and perhaps an own certificate; None sends in the clear.
        settings: batching, waiting and giving up.
        client_id: 16 bytes under which the events are numbered; None: random ones. Give one only if you keep your
            events, and the id, where they outlive the process. After a restart an event must have the number that it
            had before: send the same events in the same order from the first one on, or give numbers to `send`.
            Another event under a number that was used is dropped as a repeat.

    Raises:
        ValueError: the client id is not of 16 bytes.
    """

    def __init__(
        self,
        target: str,
        *,
        region: str,
        token: str | None = None,
        tls: ClientTls | None = None,
        settings: ClientSettings | None = None,
        client_id: bytes | None = None,
    ) -> None:
        if client_id is not None and len(client_id) != CLIENT_ID_BYTES:
            raise ValueError(f"the client id has {len(client_id)} bytes instead of {CLIENT_ID_BYTES}")
        self._region = region
        self._settings = settings or ClientSettings()
        self._metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
        self._channel = open_channel(target, tls)
        self._publish = self._channel.unary_unary(
            PUBLISH_EVENTS,
            request_serializer=producer_pb2.PublishEventsRequest.SerializeToString,
            response_deserializer=producer_pb2.PublishEventsResponse.FromString,
        )
        self.client_id = secrets.token_bytes(CLIENT_ID_BYTES) if client_id is None else client_id
        self._queue: BatchQueue = BatchQueue(
            batch_events=self._settings.batch_events,
            batch_bytes=self._settings.batch_bytes,
            linger=self._settings.linger,
            queue_events=self._settings.queue_events,
            queue_bytes=self._settings.queue_bytes,
            clock=time.monotonic,
        )
        self._giving_up = threading.Event()
        self._lock = threading.Lock()
        self._calls: set[Any] = set()
        self._senders = [
            threading.Thread(target=self._send_batches, name=f"opentrail-client-{number}", daemon=True)
            for number in range(self._settings.calls)
        ]
        for sender in self._senders:
            sender.start()

    def send(
        self,
        record: Mapping[str, Any] | bytes | str,
        *,
        region: str | None = None,
        number: int | None = None,
        on_outcome: Callable[[Future[Outcome]], None] | None = None,
        timeout: float | None = None,
    ) -> Future[Outcome]:
        """Queues a record; the future gives Accepted or Rejected, or raises Refused or NotConfirmed.

        Args:
            record: a CloudTrail record, as a mapping or as JSON; JSON in bytes travels unchanged.
            region: the region of a record in bytes, if it is not the client's; a mapping's `awsRegion` is used.
            number: the event's number in its region, for an application that counts by itself; None: the one after
                the last that was sent to the region, at first 0.
            on_outcome: called with the future once it is done, by a thread that sends: it must be quick, and must not
                wait for the client.
            timeout: seconds to wait for room in the queue; None waits as long as it takes.

        Raises:
            QueueFull: no room in time; nothing was queued.
            QueueClosed: the client is closed.
            TypeError, ValueError: the mapping cannot be written as JSON; the number is below 0 or above 2^63-1.
        """
        if number is not None and not 0 <= number <= GREATEST_NUMBER:
            raise ValueError(f"the number {number} is not between 0 and {GREATEST_NUMBER}")
        if isinstance(record, Mapping):
            named = record.get("awsRegion")
            region = region or (named if isinstance(named, str) else None)
            text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        else:
            text = record.encode() if isinstance(record, str) else record
        outcome: Future[Outcome] = Future()
        outcome.set_running_or_notify_cancel()  # what is queued is sent: it cannot be cancelled
        if on_outcome is not None:
            outcome.add_done_callback(on_outcome)
        self._queue.put(region or self._region, Event(text, outcome), timeout, number)
        return outcome

    def flush(self, timeout: float | None = None) -> bool:
        """Sends all that waits now; False if some outcome is not known after `timeout` seconds."""
        return self._queue.flush(timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Takes no more events, flushes, and ends; True if every outcome is known.

        After `timeout` seconds (None: until the client gives up by itself) the rest fails with NotConfirmed.
        """
        self._queue.close()
        flushed = self._queue.flush(timeout)
        self._giving_up.set()
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.cancel()
        for sender in self._senders:
            if sender is not threading.current_thread():
                sender.join()
        self._channel.close()
        return flushed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send_batches(self) -> None:
        """A sender thread: batch after batch, until the queue is closed and empty."""
        while (batch := self._queue.next_batch()) is not None:
            try:
                results = self._send(batch)
            except Exception as error:  # each event's caller is told
                for event in batch.events:
                    event.outcome.set_exception(error)
            else:
                for event, outcome in zip(batch.events, results, strict=True):
                    event.outcome.set_result(outcome)
            finally:
                self._queue.done(batch)

    def _send(self, batch: Batch) -> list[Outcome]:
        """The outcomes of a batch, after as many tries as it takes. Raises Refused and NotConfirmed."""
        request = producer_pb2.PublishEventsRequest(
            events=[event.record for event in batch.events],
            region=batch.region,
            numbers=producer_pb2.EventNumbers(client_id=self.client_id, first=batch.first),
        )
        give_up_at = time.monotonic() + self._settings.give_up
        tries = 0
        while not self._giving_up.is_set():
            try:
                return outcomes_of(self._call(request), len(batch.events))
            except grpc.RpcError as error:
                code, message = error.code(), error.details() or ""
                if code not in TRY_AGAIN:
                    raise Refused(code.name, message) from error
                delay: float = self._backoff(tries, _asked_delay(error))
                if time.monotonic() + delay > give_up_at:
                    raise NotConfirmed(
                        f"gave up after {tries + 1} tries; the last one: {code.name}: {message}"
                    ) from error
            tries += 1
            level = logging.INFO if code is grpc.StatusCode.RESOURCE_EXHAUSTED else logging.WARNING
            log.log(
                level, "try %d of a batch of %d events failed: %s: %s", tries, len(batch.events), code.name, message
            )
            self._giving_up.wait(delay)
        raise NotConfirmed("the client was closed before an answer came")

    def _call(self, request: producer_pb2.PublishEventsRequest) -> producer_pb2.PublishEventsResponse:
        call = self._publish.future(request, timeout=self._settings.call_timeout, metadata=self._metadata)
        with self._lock:
            self._calls.add(call)
        try:
            if self._giving_up.is_set():
                call.cancel()
            response: producer_pb2.PublishEventsResponse = call.result()
        except grpc.FutureCancelledError as error:
            raise NotConfirmed("the client was closed before an answer came") from error
        else:
            return response
        finally:
            with self._lock:
                self._calls.discard(call)

    def _backoff(self, tries: int, asked: float | None) -> float:
        """Doubles from `first_backoff`, half of it by chance so that clients do not come back together."""
        longest = min(self._settings.first_backoff * 2.0 ** min(tries, 30), self._settings.longest_backoff)
        wait = longest / 2 + random.uniform(0, longest / 2)  # noqa: S311  no secret
        return wait if asked is None else asked + wait / 2


def _asked_delay(error: Any) -> float | None:
    """Seconds that the service asked to wait (google.rpc.RetryInfo)."""
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_TRAILER and isinstance(value, bytes):
            return unpack_retry_delay(value)
    return None

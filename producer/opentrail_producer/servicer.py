"""The gRPC calls: requests to the intake, its answers and clean statuses back."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Never

import grpc

from opentrail.events.record import Rejection, RejectionCode
from opentrail_backends.event_bus.port import EventBusError
from opentrail_backends.state.port import StateError
from opentrail_producer.answers import NotConfirmed, Outcome, PendingAnswer
from opentrail_producer.authentication import Authentication, Unauthenticated
from opentrail_producer.error_details import DETAILS_TRAILER, pack_retry_delay
from opentrail_producer.generated import producer_pb2, producer_pb2_grpc
from opentrail_producer.generated.producer_pb2 import PublishEventsRequest, PublishEventsResponse
from opentrail_producer.intake import Intake, InvalidBatch, Numbers, Throttled
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.settings import ProducerSettings
from opentrail_producer.streams import Draining, ReadAhead

log = logging.getLogger(__name__)

STREAM_RETRY_SECONDS = 1.0
CODES: dict[str, Any] = {code: producer_pb2.RejectionCode.Value(code) for code in RejectionCode}


class ProducerServicer(producer_pb2_grpc.ProducerServicer):
    """The calls of opentrail.producer.v1.Producer."""

    def __init__(
        self, authentication: Authentication, intake: Intake, metrics: ProducerMetrics, settings: ProducerSettings
    ) -> None:
        self._authentication = authentication
        self._intake = intake
        self._metrics = metrics
        self._settings = settings
        self._changed = threading.Condition()
        self._under_way = 0
        self._streams: dict[ReadAhead[PublishEventsRequest, PendingAnswer], str] = {}
        """Open streams, and the account of each."""
        self._draining = False

    def PublishEvents(self, request: PublishEventsRequest, context: grpc.ServicerContext) -> PublishEventsResponse:
        """One batch, one answer."""
        self._track(context)
        try:
            self._refuse_when_draining()
            return self._answer(self._begin(request, context), context)
        except Exception as error:  # every failure becomes a status
            self._refuse(context, error)

    def StreamEvents(
        self, request_iterator: Iterator[PublishEventsRequest], context: grpc.ServicerContext
    ) -> Iterator[PublishEventsResponse]:
        """Batch after batch; the answers in the order of the requests."""
        self._track(context)
        stream = None
        try:
            stream = self._open_stream(request_iterator, context)
            for pending in stream:
                yield self._answer(pending, context)
        except Exception as error:  # every failure becomes a status
            self._refuse(context, error)
        finally:
            if stream is not None:
                stream.cancel()
                with self._changed:
                    del self._streams[stream]

    def drain(self) -> None:
        """New calls end with UNAVAILABLE; streams answer what they have taken, then end with it too."""
        with self._changed:
            self._draining = True
            streams = list(self._streams)
        for stream in streams:
            stream.drain()

    def wait_until_idle(self, timeout: float) -> bool:
        """Waits until every call has its status; False if some have not after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._under_way == 0, timeout)

    def cut_off(self) -> None:
        """Calls that still wait for the bus end with UNAVAILABLE within a second."""
        self._intake.cut_off()

    def _refuse_when_draining(self) -> None:
        if self._draining:
            raise Draining

    def _track(self, context: grpc.ServicerContext) -> None:
        with self._changed:
            self._under_way += 1
        if not context.add_callback(self._has_ended):
            self._has_ended()

    def _has_ended(self) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def _open_stream(
        self, requests: Iterator[PublishEventsRequest], context: grpc.ServicerContext
    ) -> ReadAhead[PublishEventsRequest, PendingAnswer]:
        account_id = self._account_of(context)  # no thread for a caller without credentials
        with self._changed:
            self._refuse_when_draining()
            self._refuse_too_many_streams(account_id)
            stream = ReadAhead(requests, lambda request: self._begin(request, context), self._settings.stream_depth)
            self._streams[stream] = account_id
        if not context.add_callback(stream.cancel):
            stream.cancel()  # the call has ended already
        return stream

    def _refuse_too_many_streams(self, account_id: str) -> None:
        own = sum(account == account_id for account in self._streams.values())
        if len(self._streams) >= self._settings.max_streams or own >= self._settings.max_streams_of_account:
            raise Throttled("too many streams are open; come back later, or use PublishEvents", STREAM_RETRY_SECONDS)

    def _account_of(self, context: grpc.ServicerContext) -> str:
        transport: Any = context.auth_context()  # the stubs say `bytes`; it is a list of them
        return self._authentication.account_of(context.invocation_metadata() or (), transport)

    def _begin(self, request: PublishEventsRequest, context: grpc.ServicerContext) -> PendingAnswer:
        """Each request of a stream is authenticated: a token may be removed while the stream lives."""
        account_id = self._account_of(context)
        numbers = None
        if request.HasField("numbers"):
            numbers = Numbers(request.numbers.client_id, request.numbers.first)
        return self._intake.begin(account_id, list(request.events), request.region, numbers)

    def _answer(self, pending: PendingAnswer, context: grpc.ServicerContext) -> PublishEventsResponse:
        return _response(pending.wait(context.time_remaining()))

    def _refuse(self, context: grpc.ServicerContext, error: Exception) -> Never:
        """Ends the call with the status that a failure stands for. What is inside stays inside: it goes to the log."""
        code, message, delay = _status_of(error)
        if code is grpc.StatusCode.INTERNAL:
            reference = secrets.token_hex(4)
            message = f"the service failed; its log says more under the reference {reference}"
            log.error("a call failed, reference %s", reference, exc_info=error)
        if delay is not None:
            details = pack_retry_delay(code.value[0], message, delay)
            context.set_trailing_metadata(((DETAILS_TRAILER, details),))
        self._metrics.refused(code.name)
        context.abort(code, message)


def _status_of(error: Exception) -> tuple[grpc.StatusCode, str, float | None]:
    """Code, sentence, and the seconds to wait if the caller is asked to."""
    match error:
        case Unauthenticated():
            return grpc.StatusCode.UNAUTHENTICATED, str(error), None
        case InvalidBatch():
            return grpc.StatusCode.INVALID_ARGUMENT, str(error), None
        case Throttled():
            return grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), error.delay
        case NotConfirmed():
            return grpc.StatusCode.UNAVAILABLE, str(error), None
        case Draining():
            return grpc.StatusCode.UNAVAILABLE, "the server is draining; send the same batch again", None
        case StateError():
            log.warning("a caller could not be checked: %s", error)
            return grpc.StatusCode.UNAVAILABLE, "the credentials could not be checked; send the same batch again", None
        case EventBusError():
            log.warning("the event bus could not be asked: %s", error)
            return grpc.StatusCode.UNAVAILABLE, "the event bus is not available; send the same batch again", None
        case _:
            return grpc.StatusCode.INTERNAL, "", None


def _response(outcomes: Sequence[Outcome]) -> PublishEventsResponse:
    """One result for each outcome. Filling in place costs a quarter of building messages."""
    response = PublishEventsResponse()
    add = response.results.add
    for outcome in outcomes:
        if isinstance(outcome, Rejection):
            rejected = add().rejected
            rejected.code = CODES[outcome.code]
            rejected.message = outcome.message
        else:
            add().accepted.event_id = outcome
    return response

"""A producer that answers as the test says."""

import threading

from opentrail_producer.error_details import DETAILS_TRAILER, pack_retry_delay
from opentrail_producer.generated import producer_pb2, producer_pb2_grpc


class Scripted(producer_pb2_grpc.ProducerServicer):
    """Accepts everything, but for failures queued by the test; keeps all requests."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = []
        self.metadata = []
        self.failures = []
        self.changed = threading.Condition(self.lock)
        self.gate = threading.Event()
        """Open: requests are answered."""
        self.gate.set()
        self.closes_after = None
        """The gate closes with so many requests; None: it does not close by itself."""

    def PublishEvents(self, request, context):
        with self.changed:
            self.requests.append(request)
            if self.closes_after is not None and len(self.requests) >= self.closes_after:
                self.gate.clear()
            self.metadata.append(dict(context.invocation_metadata()))
            failure = self.failures.pop(0) if self.failures else None
            self.changed.notify_all()
        self.gate.wait(60)
        if failure is not None:
            failure(context)
        response = producer_pb2.PublishEventsResponse()
        for event in request.events:
            if event.startswith(b"bad"):
                response.results.add().rejected.code = producer_pb2.MALFORMED_JSON
            else:
                response.results.add().accepted.event_id = event.decode()
        return response

    def wait_for_requests(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.requests) >= count, 60)
            return list(self.requests)


def failing(code, message="not now", delay=None):
    def fail(context):
        if delay is not None:
            details = pack_retry_delay(code.value[0], message, delay)
            context.set_trailing_metadata(((DETAILS_TRAILER, details),))
        context.abort(code, message)

    return fail

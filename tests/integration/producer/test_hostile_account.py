"""A hostile account at full speed over connections of its own: another account's calls are all answered."""

import contextlib
import secrets
import threading

import grpc
import pytest

from opentrail_producer.event_ids import numbered_event_id
from opentrail_producer.generated import producer_pb2_grpc
from opentrail_producer.generated.producer_pb2 import EventNumbers
from tests.integration.producer.calls import wait_for
from tests.integration.producer_service import OTHERS_TOKEN, TOKEN, Request, bearer, results
from tests.unit.producer.fakes import ACCOUNT, OTHER, REGION, record

CLIENT = bytes(range(16))


class Hostile:
    """Sends without a pause: new client ids, the other's client id and eventIDs, streams, rubbish."""

    def __init__(self, service, connections):
        self.statuses = set()
        self.calls = 0
        self._stop = threading.Event()
        self._channels = [service.connect(service.server.ports[0], alone=True) for _ in range(connections)]
        self._threads = [threading.Thread(target=self._attack, args=(channel,)) for channel in self._channels]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for channel in self._channels:
            channel.close()

    def _attack(self, channel):
        stub = producer_pb2_grpc.ProducerStub(channel)
        metadata = bearer(OTHERS_TOKEN)
        streams = []
        events = [record(number, recipientAccountId=None) for number in range(20)] + [record(1), b"{"] * 5
        while not self._stop.is_set():
            with contextlib.suppress(grpc.RpcError):
                streams.append(stub.StreamEvents(self._endless(), metadata=metadata, timeout=30))
            for client_id in (CLIENT, secrets.token_bytes(16)):
                self.calls += 1
                numbers = EventNumbers(client_id=client_id, first=0)
                call = stub.PublishEvents.future(
                    Request(events=events, region=REGION, numbers=numbers), metadata=metadata, timeout=10
                )
                self.statuses.add(call.code())
        for stream in streams:
            stream.cancel()

    def _endless(self):
        yield Request(events=[record(1, recipientAccountId=None)], region=REGION)
        self._stop.wait(20)


@pytest.fixture
def limited(start):
    service = start(configuration_seconds=0.0)
    service.limit(OTHER, events_per_second=50)
    return service


def test_anothers_calls_and_streams_are_all_answered_as_ever(limited):
    numbers = [EventNumbers(client_id=CLIENT, first=first) for first in range(60)]
    with Hostile(limited, connections=3) as hostile:
        for own in numbers:
            answer = results(limited.send([record(1, eventID=None), b"{"], numbers=own))
            assert answer == [numbered_event_id(ACCOUNT, REGION, CLIENT, own.first), "MALFORMED_JSON"]
        requests = [Request(events=[record(own.first, eventID=None)], region=REGION, numbers=own) for own in numbers]
        stream = limited.stub.StreamEvents(iter(requests), metadata=bearer(TOKEN), timeout=30)
        wanted = [[numbered_event_id(ACCOUNT, REGION, CLIENT, own.first)] for own in numbers]
        assert [results(response) for response in stream] == wanted
        assert wait_for(lambda: hostile.calls > 50 and grpc.StatusCode.RESOURCE_EXHAUSTED in hostile.statuses)
    taken = [batch for batch in limited.bus.memory.batches() if batch.account_id == OTHER]
    assert taken, "it sent within its limit too"
    assert {batch.account_id for batch in limited.bus.memory.batches()} == {ACCOUNT, OTHER}

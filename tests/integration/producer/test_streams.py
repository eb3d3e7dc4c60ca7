"""Streams: answers in order, and room left for others."""

import threading

import grpc

from tests.integration.producer.calls import refused, wait_for
from tests.integration.producer_service import OTHERS_TOKEN, TOKEN, Request, bearer, results
from tests.unit.producer.fakes import REGION, record


def test_a_stream_answers_each_request_in_order(service):
    requests = [Request(events=[record(n), b"x"] if n % 3 else [record(n)], region=REGION) for n in range(200)]
    stream = service.stub.StreamEvents(iter(requests), metadata=bearer(TOKEN), timeout=30)
    answers = [results(response) for response in stream]
    assert [answer[0] for answer in answers] == [f"00000000-0000-4000-8000-{n:012}" for n in range(200)]
    assert [len(answer) for answer in answers] == [2 if n % 3 else 1 for n in range(200)]


def test_requests_of_a_stream_wait_for_the_bus_together_and_are_answered_in_order(service):
    memory = service.bus.memory
    memory.hold = True
    stream = service.stub.StreamEvents(
        iter([Request(events=[record(n)]) for n in range(3)]), metadata=bearer(TOKEN), timeout=20
    )
    assert wait_for(lambda: len(memory.held) == 3), "all were published before the first was confirmed"
    for future in reversed(memory.held):
        future.set_result(None)
    assert [results(response)[0][-1] for response in stream] == ["0", "1", "2"]


def test_a_bad_request_ends_a_stream_after_the_answers_before(service):
    requests = [Request(events=[record(1)]), Request(), Request(events=[record(2)])]
    stream = service.stub.StreamEvents(iter(requests), metadata=bearer(TOKEN), timeout=10)
    assert len(next(stream).results) == 1
    with refused(grpc.StatusCode.INVALID_ARGUMENT):
        next(stream)
    assert len(service.bus.memory.messages) == 1


def test_streams_leave_threads_for_other_calls(start):
    service = start(threads=5, max_streams=4)
    gate = threading.Event()

    def requests():
        yield Request(events=[record(1, recipientAccountId=None)])
        gate.wait(20)

    def stream(token):
        return service.stub.StreamEvents(requests(), metadata=bearer(token), timeout=30)

    streams = [stream(token) for token in (TOKEN, TOKEN, OTHERS_TOKEN, OTHERS_TOKEN)]
    for opened in streams:
        next(opened)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        next(stream(TOKEN))
    assert expected.delay == 1.0
    service.send([record(1)])
    streams[0].cancel()
    assert wait_for(lambda: len(service.server._servicer._streams) == 3), "a cancelled stream frees its place"
    gate.set()
    assert [list(opened) for opened in streams[1:]] == [[]] * 3
    assert wait_for(lambda: not service.server._servicer._streams)


def test_one_account_cannot_take_all_streams(start):
    service = start(threads=5, max_streams=4)
    gate = threading.Event()

    def requests():
        yield Request(events=[record(1, recipientAccountId=None)])
        gate.wait(20)

    def stream(token):
        return service.stub.StreamEvents(requests(), metadata=bearer(token), timeout=30)

    opened = [stream(TOKEN), stream(TOKEN)]
    for one in opened:
        next(one)
    for _ in range(5):
        with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
            next(stream(TOKEN))
    assert len(next(stream(OTHERS_TOKEN)).results) == 1
    gate.set()
    assert [list(one) for one in opened] == [[], []]

"""The Python client against a gRPC server that the test scripts."""

import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import pytest

from opentrail_producer import client_batches
from opentrail_producer.client import (
    Accepted,
    ClientSettings,
    NotConfirmed,
    ProducerClient,
    QueueClosed,
    QueueFull,
    Refused,
    Rejected,
)
from opentrail_producer.generated import producer_pb2_grpc
from tests.integration.scripted_producer import Scripted, failing

FAST = {"linger": 0.005, "first_backoff": 0.001, "longest_backoff": 0.01, "give_up": 20.0, "call_timeout": 10.0}


@pytest.fixture
def service():
    return Scripted()


@pytest.fixture
def target(service):
    server = grpc.server(ThreadPoolExecutor(8))
    producer_pb2_grpc.add_ProducerServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    service.gate.set()
    server.stop(None)


@pytest.fixture
def connect(target):
    clients = []

    def connected(**changes):
        settings = ClientSettings(**{**FAST, **changes})
        client = ProducerClient(target, region="eu-west-1", token="secret", settings=settings)
        clients.append(client)
        return client

    yield connected
    for client in clients:
        client.close(0)


def test_events_go_in_batches_and_each_has_its_outcome(service, connect):
    client = connect(batch_events=10, calls=1, linger=30.0)
    outcomes = [client.send(b"bad" if number == 3 else b"%d" % number) for number in range(25)]
    assert client.flush(10)
    assert [len(request.events) for request in service.requests] == [10, 10, 5]
    assert [request.numbers.first for request in service.requests] == [0, 10, 20]
    assert {request.numbers.client_id for request in service.requests} == {client.client_id}
    assert len(client.client_id) == 16
    assert {request.region for request in service.requests} == {"eu-west-1"}
    assert service.metadata[0]["authorization"] == "Bearer secret"
    wanted = [Rejected("MALFORMED_JSON", "") if number == 3 else Accepted(str(number)) for number in range(25)]
    assert [outcome.result(0) for outcome in outcomes] == wanted


def test_a_lone_event_goes_after_the_linger(service, connect):
    assert connect().send(b"1").result(10) == Accepted("1")


def test_a_mapping_is_written_as_json_and_goes_to_its_own_region(service, connect):
    client = connect()
    client.send({"eventName": "Zürich", "awsRegion": "us-east-1"}).result(10)
    client.send('{"awsRegion":"?"}', region="eu-north-1").result(10)
    first, second = service.requests
    assert (first.region, list(first.events)) == (
        "us-east-1",
        ['{"eventName":"Zürich","awsRegion":"us-east-1"}'.encode()],
    )
    assert (second.region, list(second.events)) == ("eu-north-1", [b'{"awsRegion":"?"}'])
    with pytest.raises(ValueError, match="not JSON compliant"):
        client.send({"x": float("nan")})


@pytest.mark.parametrize(
    "code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN", "ABORTED", "CANCELLED"]
)
def test_a_lost_answer_is_asked_for_again_with_the_same_numbers_and_bytes(service, connect, code):
    service.failures = [failing(grpc.StatusCode[code]), failing(grpc.StatusCode[code])]
    client = connect()
    assert client.send(b"1").result(10) == Accepted("1")
    assert len(service.requests) == 3
    assert len({request.SerializeToString(deterministic=True) for request in service.requests}) == 1


def test_a_call_without_an_answer_in_time_is_made_again(service, connect):
    service.gate.clear()
    client = connect(call_timeout=0.2)
    outcome = client.send(b"1")
    service.wait_for_requests(2)
    service.gate.set()
    assert outcome.result(10) == Accepted("1")


def test_later_batches_overtake_one_that_has_to_wait(service, connect):
    service.failures = [failing(grpc.StatusCode.RESOURCE_EXHAUSTED, delay=3600)]
    client = connect(batch_events=1, calls=2, give_up=7200.0)
    waiting = client.send(b"1")
    service.wait_for_requests(1)
    assert client.send(b"2").result(10) == Accepted("2")
    assert not waiting.done()


def test_the_delay_that_the_service_asks_for_is_kept(service, connect, monkeypatch):
    waits = []
    client = connect(calls=1)
    monkeypatch.setattr(client._giving_up, "wait", waits.append)
    service.failures = [failing(grpc.StatusCode.RESOURCE_EXHAUSTED, delay=7.5), failing(grpc.StatusCode.UNAVAILABLE)]
    assert client.send(b"1").result(10) == Accepted("1")
    assert 7.5 <= waits[0] <= 7.6
    assert 0 < waits[1] < 0.1, "no delay was asked for"


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"])
def test_what_would_be_refused_again_is_not_sent_again(service, connect, code):
    service.failures = [failing(grpc.StatusCode[code], "why")]
    client = connect()
    with pytest.raises(Refused, match="why") as caught:
        client.send(b"1").result(10)
    assert caught.value.code == code
    assert len(service.requests) == 1
    assert client.send(b"2").result(10) == Accepted("2"), "later events are not touched"
    assert [request.numbers.first for request in service.requests] == [0, 1]


def test_the_client_gives_up_after_its_time(service, connect):
    service.failures = [failing(grpc.StatusCode.UNAVAILABLE, "down")] * 100_000
    client = connect(give_up=0.05)
    with pytest.raises(NotConfirmed, match="down"):
        client.send(b"1").result(10)


def test_an_answer_for_other_events_than_were_sent_is_no_answer(service, connect):
    def too_few(_context):
        service.requests[-1].ClearField("events")

    service.failures = [too_few]
    with pytest.raises(Refused, match="0 events instead of 1"):
        connect().send(b"1").result(10)


def test_a_full_queue_holds_its_callers_back(service, connect):
    service.gate.clear()
    client = connect(batch_events=2, queue_events=4, calls=1)
    outcomes = [client.send(b"%d" % number) for number in range(4)]
    with pytest.raises(QueueFull):
        client.send(b"5", timeout=0.05)
    sending = ThreadPoolExecutor(1)
    held_back = sending.submit(client.send, b"6")
    assert not held_back.done()
    service.gate.set()
    assert held_back.result(10).result(10) == Accepted("6")
    assert [outcome.result(10) for outcome in outcomes] == [Accepted(str(number)) for number in range(4)]
    sending.shutdown()


def test_an_event_that_was_queued_cannot_be_cancelled(service, connect):
    service.gate.clear()
    outcome = connect().send(b"1")
    assert not outcome.cancel()
    service.gate.set()
    assert outcome.result(10) == Accepted("1")


def test_a_callback_is_told_and_its_failure_harms_nobody(service, connect):
    told: list[Future] = []

    def on_outcome(outcome):
        told.append(outcome.result())
        raise KeyError

    client = connect()
    for _ in range(2):
        client.send(b"1", on_outcome=on_outcome).result(10)
    assert client.flush(10)
    assert told == [Accepted("1")] * 2


def test_closing_flushes(service, connect):
    client = connect(linger=30.0)
    outcomes = [client.send(b"%d" % number) for number in range(3)]
    assert client.close(10)
    assert all(outcome.done() for outcome in outcomes)
    assert outcomes[2].result() == Accepted("2")
    with pytest.raises(QueueClosed):
        client.send(b"4")
    assert client.close(10), "again is no harm"


def test_leaving_the_block_flushes(service, target):
    with ProducerClient(target, region="eu-west-1", settings=ClientSettings(linger=30.0)) as client:
        outcome = client.send(b"1")
    assert outcome.result(0) == Accepted("1")
    assert "authorization" not in service.metadata[0]


def test_closing_in_time_tells_what_was_not_confirmed(service, connect):
    service.gate.clear()
    client = connect(batch_events=1, calls=1, linger=30.0)
    outcomes = [client.send(b"%d" % number) for number in range(3)]
    service.wait_for_requests(1)
    assert not client.close(0.05)
    for outcome in outcomes:
        with pytest.raises(NotConfirmed):
            outcome.result(0)


def test_a_service_that_is_not_there_yet_is_waited_for(service):
    with grpc_port() as port:
        client = ProducerClient(f"127.0.0.1:{port}", region="eu-west-1", settings=ClientSettings(**FAST))
        outcome = client.send(b"1")
        server = grpc.server(ThreadPoolExecutor(2))
        producer_pb2_grpc.add_ProducerServicer_to_server(service, server)
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        assert outcome.result(20) == Accepted("1")
        client.close()
        server.stop(None)


def grpc_port():
    """A free port that stays ours: gRPC shares it, the socket never listens."""
    import contextlib
    import socket

    @contextlib.contextmanager
    def held():
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind(("127.0.0.1", 0))
            yield holder.getsockname()[1]

    return held()


def test_many_threads_may_send(service, connect):
    client = connect(batch_events=50, calls=3)
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda number: client.send(b"%d" % number), range(2000)))
    assert client.flush(20)
    assert [outcome.result(0) for outcome in outcomes] == [Accepted(str(number)) for number in range(2000)]
    numbers = sorted(
        request.numbers.first + index for request in service.requests for index in range(len(request.events))
    )
    assert numbers == list(range(2000))


def test_the_client_needs_no_part_of_the_server():
    code = (
        "import sys, opentrail_producer.client as c\n"
        "allowed = ('opentrail_producer.client', 'opentrail_producer.error_details', 'opentrail_producer.generated')\n"
        "ours = [m for m in sys.modules if m.split('.')[0].startswith('opentrail')]\n"
        "print([m for m in ours if m != 'opentrail_producer' and not m.startswith(allowed)])\n"
        "print([m for m in ('cryptography', 'msgspec', 'prometheus_client', 'sqlalchemy')"
        " if m in sys.modules])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n") == ["[]", "[]", ""]
    assert client_batches.__name__.startswith("opentrail_producer.client")

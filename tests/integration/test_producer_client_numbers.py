"""The Python client's id and numbers over a restart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from opentrail_producer.client import Accepted, ClientSettings, NotConfirmed, ProducerClient
from opentrail_producer.generated import producer_pb2_grpc
from tests.integration.scripted_producer import Scripted, failing

KEPT = bytes(range(16))
Connect = Callable[..., ProducerClient]


@pytest.fixture
def service() -> Scripted:
    return Scripted()


@pytest.fixture
def connect(service: Scripted) -> Iterator[Connect]:
    server = grpc.server(ThreadPoolExecutor(8))
    producer_pb2_grpc.add_ProducerServicer_to_server(service, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    clients = []

    def connected(client_id: bytes | None = KEPT, **changes: float) -> ProducerClient:
        settings = ClientSettings(**{"first_backoff": 0.001, "longest_backoff": 0.01, **changes})
        clients.append(ProducerClient(target, region="eu-west-1", token="t", settings=settings, client_id=client_id))
        return clients[-1]

    yield connected
    service.gate.set()
    for client in clients:
        client.close(0)
    server.stop(None)


def numbered(service: Scripted) -> list[tuple[bytes, str, int, bytes]]:
    return [
        (request.numbers.client_id, request.region, number, record)
        for request in service.requests
        for number, record in enumerate(request.events, request.numbers.first)
    ]


def test_the_same_events_in_the_same_order_have_the_same_numbers_after_a_restart(
    service: Scripted, connect: Connect
) -> None:
    events = [(b"%d" % number, f"eu-west-{1 + number % 3 // 2}") for number in range(500)]
    service.gate.clear()
    first = connect(batch_events=7)
    sent = [first.send(record, region=region) for record, region in events[:200]]
    service.wait_for_requests(2)
    assert not first.close(0), "it ends on its way"
    with pytest.raises(NotConfirmed):
        sent[-1].result(0)
    service.gate.set()
    second = connect(batch_events=64)
    outcomes = [second.send(record, region=region) for record, region in events]
    assert second.flush(20)
    assert [outcome.result(0) for outcome in outcomes] == [Accepted(record.decode()) for record, _ in events]
    places: dict[tuple[bytes, str, int], bytes] = {}
    for client_id, region, number, record in numbered(service):
        assert places.setdefault((client_id, region, number), record) == record
    assert sorted(places.values()) == sorted(record for record, _ in events)
    assert {client_id for client_id, _, _ in places} == {KEPT}
    assert len(numbered(service)) > len(events), "some were sent twice"


def test_an_application_may_send_again_only_what_had_no_answer(service: Scripted, connect: Connect) -> None:
    service.failures = [failing(grpc.StatusCode.UNAVAILABLE)] * 100_000
    first = connect(give_up=0.05)
    with pytest.raises(NotConfirmed):
        first.send(b"seven", number=7).result(10)
    service.failures = []
    again = connect()
    assert again.send(b"seven", number=7).result(10) == Accepted("seven")
    assert again.send(b"eight").result(10) == Accepted("eight")
    assert again.send(b"three", number=3, region="eu-west-2").result(10) == Accepted("three")
    assert set(numbered(service)) == {
        (KEPT, "eu-west-1", 7, b"seven"),
        (KEPT, "eu-west-1", 8, b"eight"),
        (KEPT, "eu-west-2", 3, b"three"),
    }


def test_clients_without_an_id_have_one_each(connect: Connect) -> None:
    ids = {connect(None).client_id for _ in range(3)}
    assert len(ids) == 3
    assert {len(client_id) for client_id in ids} == {16}


@pytest.mark.parametrize("client_id", [b"", KEPT[1:], KEPT + b"x"])
def test_an_id_of_another_length_is_refused_at_the_start(connect: Connect, client_id: bytes) -> None:
    with pytest.raises(ValueError, match=f"has {len(client_id)} bytes instead of 16"):
        connect(client_id)


@pytest.mark.parametrize("number", [-1, 2**63])
def test_a_number_that_no_event_can_have_is_refused_and_nothing_is_queued(connect: Connect, number: int) -> None:
    client = connect()
    with pytest.raises(ValueError, match="is not between 0 and"):
        client.send(b"1", number=number)
    assert client.flush(0)

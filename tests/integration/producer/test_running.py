"""Health, reflection, load, draining and ports."""

import dataclasses
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from opentrail_producer.generated import producer_pb2_grpc
from opentrail_producer.server import SERVICE_NAME
from opentrail_producer.settings import ProducerSettings
from tests.integration.producer.calls import refused, wait_for
from tests.integration.producer_service import TOKEN, Request, bearer
from tests.unit.producer.fakes import record


def test_health_and_reflection_answer_without_credentials(service):
    health = health_pb2_grpc.HealthStub(service.channel)
    for name in ("", SERVICE_NAME):
        check = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert check.status == health_pb2.HealthCheckResponse.SERVING
    names = ProtoReflectionDescriptorDatabase(service.channel).get_services()
    assert {SERVICE_NAME, "grpc.health.v1.Health"} <= set(names)


def test_health_answers_while_all_threads_wait_for_the_bus(start):
    service = start(threads=2, max_streams=1, max_concurrent_calls=32)
    memory = service.bus.memory
    memory.hold = True
    request = Request(events=[record(1)])
    calls = [service.stub.PublishEvents.future(request, metadata=bearer(TOKEN), timeout=20) for _ in range(4)]
    assert wait_for(lambda: len(memory.held) == 2)
    check = health_pb2_grpc.HealthStub(service.channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert check.status == health_pb2.HealthCheckResponse.SERVING
    memory.hold = False
    for future in memory.held:
        future.set_result(None)
    assert all(len(call.result().results) == 1 for call in calls)


def test_too_many_calls_at_once_are_sent_away_and_one_connection_cannot_take_all_places(start):
    service = start(threads=4, max_streams=1, max_concurrent_calls=4)
    memory = service.bus.memory
    memory.hold = True
    request = Request(events=[record(1)])

    def call(channel):
        stub = producer_pb2_grpc.ProducerStub(channel)
        return stub.PublishEvents.future(request, metadata=bearer(TOKEN), timeout=20)

    first = [call(service.channel) for _ in range(6)]
    assert wait_for(lambda: len(memory.held) == 1), "the other five wait at the client's side"
    more = [service.connect(service.server.ports[0], alone=True) for _ in range(4)]
    calls = [call(channel) for channel in more]
    assert wait_for(lambda: any(call.done() for call in calls))
    (sent_away,) = [call for call in calls if call.done()]
    assert sent_away.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert wait_for(lambda: len(memory.held) == 4)
    memory.hold = False
    for future in list(memory.held):
        future.set_result(None)
    assert [call.code() for call in first] == [grpc.StatusCode.OK] * 6
    assert sum(call.code() is grpc.StatusCode.OK for call in calls) == 3
    for channel in more:
        channel.close()


def test_draining_finishes_what_is_under_way_and_takes_nothing_new(service, caplog):
    caplog.set_level("INFO", "opentrail_producer.server")
    memory = service.bus.memory
    memory.hold = True
    watch = health_pb2_grpc.HealthStub(service.channel).Watch(
        health_pb2.HealthCheckRequest(service=SERVICE_NAME), timeout=30
    )
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    under_way = service.stub.PublishEvents.future(Request(events=[record(1)]), metadata=bearer(TOKEN), timeout=20)
    gate = threading.Event()

    def requests():
        yield Request(events=[record(2)])
        gate.wait(20)

    stream = service.stub.StreamEvents(requests(), metadata=bearer(TOKEN), timeout=20)
    assert wait_for(lambda: len(memory.held) == 2)

    finished = []
    draining = threading.Thread(target=lambda: finished.append(service.server.drain(20)))
    draining.start()
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
    other = service.connect(service.server.ports[0])
    with pytest.raises(grpc.RpcError) as caught:
        other.unary_unary(f"/{SERVICE_NAME}/PublishEvents")(b"", metadata=bearer(TOKEN), timeout=10)
    # gRPC itself says CANCELLED to a call that arrives while it closes its listeners.
    assert caught.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    other.close()
    assert not memory.closed
    assert not under_way.done()
    for future in memory.held:
        future.set_result(None)

    assert len(under_way.result().results) == 1
    assert len(next(stream).results) == 1
    with refused(grpc.StatusCode.UNAVAILABLE):
        next(stream)
    draining.join(20)
    gate.set()
    assert finished == [True]
    assert [entry.message for entry in caplog.records if entry.name == "opentrail_producer.server"] == [
        "the producer drains: no new calls; those under way have 20 s to finish",
        "the producer has drained: every call under way has its answer",
    ]
    assert memory.closed
    assert service.server.wait(0)


def test_draining_ends_after_its_limit_whatever_is_under_way(service, caplog):
    service.bus.memory.hold = True
    call = service.stub.PublishEvents.future(Request(events=[record(1)]), metadata=bearer(TOKEN), timeout=20)
    assert wait_for(lambda: service.bus.memory.held)
    assert not service.server.drain(0.05)
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    assert "send the same batch again" in call.details()
    assert "calls were still under way after 0.05 s and are cut off" in caplog.text
    assert service.bus.memory.closed
    service.bus.memory.held[0].set_result(None)  # lets the thread end


def test_a_taken_port_is_said_loudly_unless_it_is_to_be_shared(start, tmp_path):
    address = f"127.0.0.1:{start(share_port=True).server.ports[0]}"
    listener = dataclasses.replace(ProducerSettings().listeners[0], address=address)
    with pytest.raises(OSError, match="cannot listen"):
        start(listeners=(listener,))
    assert start(listeners=(listener,), share_port=True).server.ports == (int(address.split(":")[1]),)

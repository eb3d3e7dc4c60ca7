"""When something fails inside: a clean status, and nothing told of the inside."""

import grpc

from opentrail_backends.event_bus.port import EventBusError, PublishFailed
from opentrail_producer.settings import IntakeLimits
from tests.integration.producer.calls import refused
from tests.integration.producer_service import TOKEN, Request, bearer
from tests.unit.producer.fakes import record


def test_a_bus_that_does_not_confirm_is_unavailable(service):
    service.bus.memory.failures = [PublishFailed("broker-3.internal is gone")]
    with refused(grpc.StatusCode.UNAVAILABLE) as expected:
        service.send([record(1)])
    assert "broker-3" not in expected.error.details()
    assert service.metric("bus_failures_total") == 1
    service.send([record(1)])


def test_a_bus_that_says_nothing_is_unavailable(start):
    service = start(intake=IntakeLimits(publish_timeout=0.05))
    service.bus.memory.hold = True
    with refused(grpc.StatusCode.UNAVAILABLE):
        service.send([record(1)])


def test_a_bus_whose_topics_cannot_be_read_is_unavailable(service):
    service.bus.memory.topics_failure = EventBusError("down")
    with refused(grpc.StatusCode.UNAVAILABLE):
        service.send([record(1)])


def test_a_defect_gives_a_reference_and_nothing_of_the_inside(service, caplog):
    service.bus.memory.failures = [KeyError("secret inside")] * 2
    with refused(grpc.StatusCode.INTERNAL) as expected:
        service.send([record(1)])
    details = expected.error.details()
    assert "secret" not in details
    assert details.split()[-1] in caplog.text
    assert "secret inside" in caplog.text
    with refused(grpc.StatusCode.INTERNAL):
        next(service.stub.StreamEvents(iter([Request(events=[record(1)])]), metadata=bearer(TOKEN), timeout=10))

"""The producer's calls over loopback gRPC."""

import dataclasses
import json
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import EventBusError, PublishFailed
from opentrail_backends.state.port import StateError
from opentrail_producer.error_details import DETAILS_TRAILER, unpack_retry_delay
from opentrail_producer.generated import producer_pb2
from opentrail_producer.server import SERVICE_NAME
from opentrail_producer.settings import IntakeLimits, ProducerSettings, RateLimits
from tests.integration.producer_service import (
    EXPIRED_TOKEN,
    OTHERS_TOKEN,
    TOKEN,
    Request,
    Service,
    bearer,
    new_store,
    records_on,
    results,
    token_hash,
)
from tests.unit.producer.fakes import ACCOUNT, OTHER, REGION, SECOND_REGION, record

CLIENT = bytes(range(16))


@pytest.fixture
def start(tmp_path):
    started = []

    def service_with(**changes):
        service = Service(new_store(tmp_path))
        service.settings = dataclasses.replace(service.settings, **changes)
        started.append(service.start())
        return service

    yield service_with
    for service in started:
        service.stop()


@pytest.fixture
def embedded(tmp_path):
    """A producer on the embedded bus, and the bus's URL."""
    url = f"embedded://{tmp_path}/bus.db"
    bus = open_event_bus(url)
    for region in (REGION, SECOND_REGION):
        bus.ensure_topic(region, 4)
    service = Service(new_store(tmp_path), bus).start()
    yield service, url
    service.stop()
    bus.close()


@pytest.fixture
def service(start):
    return start()


def refused(code):
    """Expects a call to end with a status."""

    class Expectation:
        def __enter__(self):
            self.caught = pytest.raises(grpc.RpcError)
            self.info = self.caught.__enter__()
            return self

        def __exit__(self, *error):
            suppressed = self.caught.__exit__(*error)
            self.error = self.info.value
            assert self.error.code() is code, self.error
            assert "Traceback" not in (self.error.details() or "")
            return suppressed

        @property
        def delay(self):
            return next(
                (unpack_retry_delay(value) for key, value in self.error.trailing_metadata() if key == DETAILS_TRAILER),
                None,
            )

    return Expectation()


def nested(levels):
    return b'{"a":' * levels + b"1" + b"}" * levels


def of_size(size):
    text = record(1, requestParameters={"x": ""})
    return text.replace(b'{"x": ""}', b'{"x": "%b"}' % (b"x" * (size - len(text))))


BAD = {
    "broken JSON": (b'{"eventName":', "MALFORMED_JSON"),
    "no bytes": (b"", "MALFORMED_JSON"),
    "two values": (record(1) + b"{}", "MALFORMED_JSON"),
    "invalid UTF-8": (record(1).replace(b'"test"', b'"\xff\xfe"'), "MALFORMED_JSON"),
    "NaN": (record(1, requestParameters={"x": float("nan")}), "MALFORMED_JSON"),
    "Infinity": (record(1, requestParameters={"x": float("inf")}), "MALFORMED_JSON"),
    "an array": (b"[" + record(1) + b"]", "NOT_AN_OBJECT"),
    "a number": (b"1", "NOT_AN_OBJECT"),
    "null": (b"null", "NOT_AN_OBJECT"),
    "depth 1,000": (record(1).replace(b'"test"', nested(1000)), "NESTED_TOO_DEEP"),
    "a key twice": (record(1).replace(b"{", b'{"eventName": "Other", ', 1), "DUPLICATE_KEY"),
    "no eventSource": (record(1, eventSource=None), "MISSING_FIELD"),
    "no eventName": (record(1, eventName=None), "MISSING_FIELD"),
    "no userIdentity": (record(1, userIdentity=None), "MISSING_FIELD"),
    "no eventType": (record(1, eventType=None), "MISSING_FIELD"),
    "eventName a number": (record(1, eventName=7), "INVALID_FIELD"),
    "readOnly a string": (record(1, readOnly="true"), "INVALID_FIELD"),
    "userIdentity a string": (record(1, userIdentity="alice"), "INVALID_FIELD"),
    "eventID no UUID": (record(1, eventID="1"), "INVALID_FIELD"),
    "time with fractions": (record(1, eventTime="2025-12-31T23:59:58.123Z"), "INVALID_EVENT_TIME"),
    "time with an offset": (record(1, eventTime="2025-12-31T23:59:58+00:00"), "INVALID_EVENT_TIME"),
    "time in the future": (record(1, eventTime="2026-01-02T00:00:00Z"), "INVALID_EVENT_TIME"),
    "no such date": (record(1, eventTime="2025-02-30T00:00:00Z"), "INVALID_EVENT_TIME"),
    "one byte above 256 KB": (of_size(262_145), "EVENT_TOO_LARGE"),
    "another account's": (record(1, recipientAccountId=OTHER), "ACCOUNT_MISMATCH"),
    "unknown region": (record(1, awsRegion="xx-nowhere-1"), "UNKNOWN_REGION"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_event_is_rejected_and_the_good_ones_beside_it_are_accepted(service, name):
    text, code = BAD[name]
    good = [record(number) for number in (11, 12)]
    response = service.send([good[0], text, good[1]])
    ids = [json.loads(event)["eventID"] for event in good]
    assert results(response) == [ids[0], code, ids[1]]
    assert response.results[1].rejected.message.endswith(".")
    assert [found["eventID"] for found in service.bus.memory.records()] == ids


def test_an_event_of_exactly_256_kb_is_accepted(service):
    text = of_size(262_144)
    assert len(text) == 262_144
    assert results(service.send([text])) == ["00000000-0000-4000-8000-000000000001"]


def test_all_bad_events_in_one_batch(service):
    response = service.send([text for text, _ in BAD.values()] + [record(1)])
    assert results(response)[:-1] == [code for _, code in BAD.values()]
    assert len(service.bus.memory.records()) == 1


def test_exactly_what_was_accepted_is_on_the_embedded_bus(embedded):
    service, url = embedded
    requests = [
        Request(events=[record(2 * n), text, record(2 * n + 1, awsRegion=SECOND_REGION)])
        for n, (text, _) in enumerate(BAD.values())
    ]
    answers = [
        results(service.stub.PublishEvents(request, metadata=bearer(TOKEN), timeout=20)) for request in requests[:9]
    ]
    answers += map(results, service.stub.StreamEvents(iter(requests[9:]), metadata=bearer(TOKEN), timeout=20))
    assert [answer[1] for answer in answers] == [code for _, code in BAD.values()]
    accepted = sorted(answer[position] for answer in answers for position in (0, 2))
    assert records_on(url, len(accepted)) == accepted


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60) | st.just(record(1)), min_size=1, max_size=10))
def test_whatever_bytes_come_each_has_one_answer(service, events):
    answers = results(service.send(events))
    assert [answer[0] == "0" for answer in answers] == [event == record(1) for event in events]


@pytest.mark.parametrize(
    ("events", "changes"),
    [
        ([], {}),
        ([record(1)] * 1001, {}),
        ([b"x" * 262_144] * 65, {}),
        ([record(1)], {"region": "xx-nowhere-1"}),
        ([record(1)], {"numbers": producer_pb2.EventNumbers(client_id=b"short", first=0)}),
        ([record(1)], {"numbers": producer_pb2.EventNumbers(first=3)}),
        ([record(1)], {"numbers": producer_pb2.EventNumbers(client_id=CLIENT, first=2**63)}),
        ([record(1)], {"region": "", "numbers": producer_pb2.EventNumbers(client_id=CLIENT, first=0)}),
    ],
    ids=["empty", "too many", "too large", "region", "client id", "no client id", "number", "no region"],
)
def test_a_batch_that_cannot_be_taken_is_an_invalid_argument(service, events, changes):
    with refused(grpc.StatusCode.INVALID_ARGUMENT) as expected:
        service.send(events, **changes)
    assert len(expected.error.details()) > 20
    assert service.bus.memory.messages == []
    assert service.metric("requests_refused_total", status="INVALID_ARGUMENT") == 1


def test_a_batch_of_the_most_events_is_taken(service):
    assert len(service.send([record(1)] * 1000).results) == 1000


def test_a_batch_far_above_the_limit_is_refused_by_grpc_itself(service):
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        service.send([b"x" * 1_000_000] * 20)
    assert "larger than max" in expected.error.details()


def test_bytes_that_are_no_request_get_a_clean_status(service):
    call = service.channel.unary_unary(f"/{SERVICE_NAME}/PublishEvents")
    with refused(grpc.StatusCode.INTERNAL):
        call(b"\xff\xff\xff", metadata=bearer(TOKEN), timeout=10)


def test_numbers_travel_and_give_ids(service):
    numbers = producer_pb2.EventNumbers(client_id=CLIENT, first=5)
    events = [record(1, eventID=None), record(2, awsRegion=SECOND_REGION)]
    first, second = service.send(events, numbers=numbers), service.send(events, numbers=numbers)
    assert results(first) == results(second)
    assert results(first)[1] == "REGION_MISMATCH"
    assert [list(batch.number_ranges) for batch in service.bus.memory.batches()] == [[(5, 5)]] * 2


# --- Who may send


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        bearer("wrong"),
        bearer(""),
        bearer(EXPIRED_TOKEN),
        (("authorization", f"Basic {TOKEN}"),),
        (("authorization", TOKEN),),
        bearer(TOKEN) + bearer(OTHERS_TOKEN),
    ],
)
def test_without_good_credentials_nothing_is_taken(service, metadata):
    with refused(grpc.StatusCode.UNAUTHENTICATED):
        service.stub.PublishEvents(Request(events=[record(1)], region=REGION), metadata=metadata, timeout=10)
    with refused(grpc.StatusCode.UNAUTHENTICATED):
        list(service.stub.StreamEvents(iter([Request(events=[record(1)])]), metadata=metadata, timeout=10))
    assert service.bus.memory.messages == []


def test_a_token_writes_for_its_own_account_only(service):
    assert results(service.send([record(1)], token=OTHERS_TOKEN)) == ["ACCOUNT_MISMATCH"]
    service.send([record(1, recipientAccountId=None)], token=OTHERS_TOKEN)
    assert [batch.account_id for batch in service.bus.memory.batches()] == [OTHER]


def test_a_removed_token_ends_its_stream(start):
    service = start(token_cache_seconds=0.0)
    answered = threading.Event()

    def requests():
        yield Request(events=[record(1)])
        assert answered.wait(10)
        yield Request(events=[record(2)])

    stream = service.stub.StreamEvents(requests(), metadata=bearer(TOKEN), timeout=20)
    next(stream)
    service.store.configuration.remove_token(token_hash(TOKEN))
    answered.set()
    with refused(grpc.StatusCode.UNAUTHENTICATED):
        next(stream)
    assert len(service.bus.memory.messages) == 1


def test_a_caller_that_could_not_be_checked_may_come_back(service, monkeypatch):
    def unreachable(self, token_hash):
        raise StateError("connection refused to db-7.internal")

    monkeypatch.setattr(type(service.store.configuration), "account_of_token", unreachable)
    with refused(grpc.StatusCode.UNAVAILABLE) as expected:
        service.send([record(1)])
    assert "db-7" not in expected.error.details()


# --- How much they may send


def test_over_its_rate_an_account_is_told_when_to_come_back(start):
    service = start(rate_limits=RateLimits(events_per_second=1.0, burst_seconds=1.0))
    service.send([record(1)] * 21)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        service.send([record(1)])
    assert 15 < expected.delay <= 20.1
    assert service.metric("events_throttled_total") == 1
    service.send([record(1, recipientAccountId=None)], token=OTHERS_TOKEN)


def test_an_accounts_own_limit_counts_and_bytes_do_too(start):
    service = start(configuration_seconds=0.0)
    service.limit(bytes_per_second=1000.0)
    service.send([record(1)] * 100)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        service.send([record(1)])
    assert 30 < expected.delay <= 60
    service.limit(bytes_per_second=1e12)
    service.send([record(1)])  # the new limit holds at once


def test_over_its_rate_a_stream_ends_after_the_answers_before(start):
    service = start(rate_limits=RateLimits(events_per_second=1.0, burst_seconds=1.0))
    requests = [Request(events=[record(1)] * 10)] * 2
    stream = service.stub.StreamEvents(iter(requests), metadata=bearer(TOKEN), timeout=10)
    assert len(next(stream).results) == 10
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        next(stream)
    assert expected.delay > 5


# --- Streams


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
    service = start(threads=3, max_streams=2)
    gate = threading.Event()

    def requests():
        yield Request(events=[record(1)])
        gate.wait(20)

    streams = [service.stub.StreamEvents(requests(), metadata=bearer(TOKEN), timeout=30) for _ in range(2)]
    for stream in streams:
        next(stream)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        next(service.stub.StreamEvents(requests(), metadata=bearer(TOKEN), timeout=10))
    assert expected.delay == 1.0
    service.send([record(1)])
    streams[0].cancel()
    assert wait_for(lambda: len(service.server._servicer._streams) == 1), "a cancelled stream frees its place"
    gate.set()
    assert list(streams[1]) == []
    assert wait_for(lambda: not service.server._servicer._streams)


def wait_for(condition):
    pause = threading.Event()
    return any(condition() or pause.wait(0.01) for _ in range(1000))


# --- When something fails inside


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


# --- Health, reflection, drain


def test_health_and_reflection_answer_without_credentials(service):
    health = health_pb2_grpc.HealthStub(service.channel)
    for name in ("", SERVICE_NAME):
        check = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert check.status == health_pb2.HealthCheckResponse.SERVING
    names = ProtoReflectionDescriptorDatabase(service.channel).get_services()
    assert {SERVICE_NAME, "grpc.health.v1.Health"} <= set(names)


def test_health_answers_while_all_threads_wait_for_the_bus(start):
    service = start(threads=2, max_streams=1)
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


def test_too_many_calls_at_once_are_sent_away(start):
    service = start(threads=2, max_streams=1, max_concurrent_calls=3)
    memory = service.bus.memory
    memory.hold = True
    request = Request(events=[record(1)])
    calls = [service.stub.PublishEvents.future(request, metadata=bearer(TOKEN), timeout=20) for _ in range(4)]
    assert wait_for(lambda: any(call.done() for call in calls))
    (sent_away,) = [call for call in calls if call.done()]
    assert sent_away.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    memory.hold = False
    for future in memory.held:
        future.set_result(None)
    assert sum(call.code() is grpc.StatusCode.OK for call in calls) == 3


def test_draining_finishes_what_is_under_way_and_takes_nothing_new(service):
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
    assert memory.closed
    assert service.server.wait(0)


def test_draining_ends_after_its_limit_whatever_is_under_way(service):
    service.bus.memory.hold = True
    call = service.stub.PublishEvents.future(Request(events=[record(1)]), metadata=bearer(TOKEN), timeout=20)
    assert wait_for(lambda: service.bus.memory.held)
    assert not service.server.drain(0.05)
    assert call.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert service.bus.memory.closed
    service.bus.memory.held[0].set_result(None)  # lets the thread end


def test_a_taken_port_is_said_loudly_unless_it_is_to_be_shared(start, tmp_path):
    address = f"127.0.0.1:{start(share_port=True).server.ports[0]}"
    listener = dataclasses.replace(ProducerSettings().listeners[0], address=address)
    with pytest.raises(OSError, match="cannot listen"):
        start(listeners=(listener,))
    assert start(listeners=(listener,), share_port=True).server.ports == (int(address.split(":")[1]),)


def test_accounts_do_not_share_messages(service):
    service.send([record(1)])
    service.send([record(1, recipientAccountId=OTHER)], token=OTHERS_TOKEN)
    assert [batch.account_id for batch in service.bus.memory.batches()] == [ACCOUNT, OTHER]

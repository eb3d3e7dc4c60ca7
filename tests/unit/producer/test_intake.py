"""From a batch of JSON texts to messages on the bus and one outcome for each event."""

import json
import threading
import uuid
from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from opentrail.events.partition import partition_of
from opentrail.events.record import Rejection, RejectionCode
from opentrail_backends.event_bus.batches import peek
from opentrail_backends.event_bus.port import EventBusError, MessageTooLarge, Partition, PublishFailed
from opentrail_producer import answers
from opentrail_producer.answers import NotConfirmed
from opentrail_producer.event_ids import numbered_event_id
from opentrail_producer.intake import GREATEST_NUMBER, Intake, InvalidBatch, Numbers, Throttled
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.rate_limit import Rate, RateLimit
from opentrail_producer.settings import IntakeLimits
from tests.unit.producer.fakes import ACCOUNT, NOW, OTHER, REGION, SECOND_REGION, MemoryPublisher, record

CLIENT = bytes(range(16))


class Service:
    def __init__(self, limits=None, rate=None):
        self.publisher = MemoryPublisher()
        self.registry = CollectorRegistry()
        self.seconds = 0.0
        self.intake = Intake(
            self.publisher,
            RateLimit(lambda _account: rate or Rate(1e9, 1e12), 1.0, lambda: self.seconds),
            limits or IntakeLimits(publish_timeout=0.01),
            ProducerMetrics(self.registry),
            now=lambda: NOW,
            clock=lambda: self.seconds,
        )
        self.accept = self.intake.accept

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"opentrail_producer_{name}", labels) or 0.0


@pytest.fixture
def service():
    return Service()


def event_ids(outcomes):
    return [outcome if isinstance(outcome, str) else outcome.code for outcome in outcomes]


def test_each_event_has_its_outcome_in_its_place_and_good_ones_go_on(service):
    outcomes = service.accept(ACCOUNT, [record(1), b"{", record(2), b"[]", record(3)], REGION)
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in (1, 2, 3)]
    assert event_ids(outcomes) == [
        ids[0],
        RejectionCode.MALFORMED_JSON,
        ids[1],
        RejectionCode.NOT_AN_OBJECT,
        ids[2],
    ]
    assert [found["eventID"] for found in service.publisher.records()] == ids
    assert service.metric("events_accepted_total") == 3
    assert service.metric("events_rejected_total", code="MALFORMED_JSON") == 1
    assert service.metric("bytes_accepted_total") == 3 * len(record(1))
    assert service.metric("request_seconds_count") == 1


def test_the_bytes_of_a_complete_record_travel_unchanged(service):
    text = record(1).replace(b": ", b" :  ")
    service.accept(ACCOUNT, [text], REGION)
    assert bytes(service.publisher.batches()[0].groups[0].records) == text


def test_what_the_service_owns_is_filled_in(service):
    text = record(
        1, eventID=None, eventTime=None, awsRegion=None, recipientAccountId=None, eventVersion=None,
        eventCategory=None, managementEvent=None,
    )  # fmt: skip
    (event_id,) = service.accept(ACCOUNT, [text], SECOND_REGION)
    assert uuid.UUID(event_id).version == 4
    (found,) = service.publisher.records()
    assert found["eventID"] == event_id
    assert found["awsRegion"] == SECOND_REGION
    assert found["eventTime"] == "2026-01-01T00:00:00Z"
    assert found["recipientAccountId"] == ACCOUNT
    assert found["managementEvent"] is True


def test_messages_are_of_one_region_on_the_accounts_partition(service):
    service.accept(ACCOUNT, [record(1), record(2, awsRegion=SECOND_REGION), record(3, awsRegion=None)], REGION)
    number = partition_of(ACCOUNT, 7)
    assert [(partition, key) for partition, key, _ in service.publisher.messages] == [
        (Partition(REGION, number), ACCOUNT.encode()),
        (Partition(SECOND_REGION, number), ACCOUNT.encode()),
    ]
    assert [(batch.account_id, batch.region, batch.count) for batch in service.publisher.batches()] == [
        (ACCOUNT, REGION, 2),
        (ACCOUNT, SECOND_REGION, 1),
    ]


def test_another_accounts_record_is_rejected(service):
    (outcome,) = service.accept(ACCOUNT, [record(1, recipientAccountId=OTHER)], REGION)
    assert outcome.code == RejectionCode.ACCOUNT_MISMATCH
    assert service.publisher.messages == []


def test_a_batch_of_bad_events_only_needs_no_bus(service):
    service.publisher.hold = True
    assert event_ids(service.accept(ACCOUNT, [b"x", record(1, awsRegion="xx-nowhere-1")], REGION)) == [
        RejectionCode.MALFORMED_JSON,
        RejectionCode.UNKNOWN_REGION,
    ]


@pytest.mark.parametrize(
    ("events", "region", "numbers"),
    [
        ([], REGION, None),
        ([b"{}"] * 4, REGION, None),
        ([b" " * 51, b" " * 50], REGION, None),
        ([b"{}"], "xx-nowhere-1", None),
        ([b"{}"], "", Numbers(CLIENT, 0)),
        ([b"{}"], REGION, Numbers(CLIENT[1:], 0)),
        ([b"{}"], REGION, Numbers(CLIENT + b"x", 0)),
        ([b"{}"], REGION, Numbers(b"", 0)),
        ([b"{}", b"{}"], REGION, Numbers(CLIENT, GREATEST_NUMBER)),
        ([b"{}"], REGION, Numbers(CLIENT, 2**64 - 1)),
    ],
)
def test_a_batch_that_cannot_be_taken_is_refused_whole(events, region, numbers):
    service = Service(IntakeLimits(max_events=3, max_bytes=100))
    with pytest.raises(InvalidBatch):
        service.accept(ACCOUNT, events, region, numbers)
    assert service.publisher.messages == []


def test_batches_at_the_limits_are_taken():
    service = Service(IntakeLimits(max_events=3, max_bytes=100))
    assert len(service.accept(ACCOUNT, [b"x" * 50, b"x" * 25, b"x" * 25], REGION)) == 3
    service.accept(ACCOUNT, [b"x"], REGION, Numbers(CLIENT, GREATEST_NUMBER))


def test_the_services_own_events_say_which_time_governs_them_and_others_do_not(service):
    service.accept(ACCOUNT, [record(1)], REGION)
    service.accept(ACCOUNT, [record(2)], REGION, Numbers(CLIENT, 7), accepted_at=NOW - 1)
    headers = [peek(value) for _, _, value in service.publisher.messages]
    assert [(header.version, header.accepted_at) for header in headers] == [(1, 0), (2, NOW - 1)]
    assert [batch.count for batch in service.publisher.batches()] == [1, 1]


def test_numbers_of_accepted_events_travel_and_give_missing_ids(service):
    events = [record(1), b"bad", record(2, eventID=None), record(3, eventName="StopInstances")]
    outcomes = service.accept(ACCOUNT, events, REGION, Numbers(CLIENT, 40))
    assert outcomes[2] == numbered_event_id(ACCOUNT, REGION, CLIENT, 42)
    (batch,) = service.publisher.batches()
    assert batch.client_id == CLIENT
    assert list(batch.number_ranges) == [(40, 40), (42, 43)]


def test_every_producer_gives_a_numbered_event_the_same_bytes():
    values = []
    for _ in range(2):
        service = Service()
        service.accept(ACCOUNT, [record(1, eventID=None)], REGION, Numbers(CLIENT, 7))
        values.append([value for _, _, value in service.publisher.messages])
    assert values[0] == values[1]


def test_numbered_events_are_of_the_requests_region(service):
    events = [record(1), record(2, awsRegion=SECOND_REGION), record(3, awsRegion=None)]
    outcomes = service.accept(ACCOUNT, events, REGION, Numbers(CLIENT, 0))
    assert isinstance(outcomes[1], Rejection)
    assert outcomes[1].code == RejectionCode.REGION_MISMATCH
    (batch,) = service.publisher.batches()
    assert batch.region == REGION
    assert list(batch.number_ranges) == [(0, 0), (2, 2)]


@given(
    st.lists(st.tuples(st.sampled_from([REGION, SECOND_REGION]), st.integers(0, 900)), min_size=1, max_size=40),
    st.integers(1, 3000),
)
def test_messages_stay_below_their_limit_and_lose_nothing(shapes, most):
    service = Service(IntakeLimits(message_bytes=most))
    events = [
        record(number, awsRegion=region, userAgent="x" * length) for number, (region, length) in enumerate(shapes)
    ]
    service.accept(ACCOUNT, events, REGION)
    batches = service.publisher.batches()
    for batch in batches:
        size = sum(len(json.dumps(found)) for group in batch.groups for found in json.loads(b"[%b]" % group.records))
        assert size <= most or batch.count == 1
    for region in (REGION, SECOND_REGION):
        wanted = [json.loads(event)["eventID"] for event in events if json.loads(event)["awsRegion"] == region]
        found = [found["eventID"] for found in service.publisher.records() if found["awsRegion"] == region]
        assert found == wanted


def test_who_is_over_the_limit_is_told_when_to_come_back():
    service = Service(rate=Rate(2.0, 1e9))
    service.accept(ACCOUNT, [record(1)] * 6, REGION)
    with pytest.raises(Throttled) as caught:
        service.accept(ACCOUNT, [record(1)] * 3, REGION)
    assert caught.value.delay == pytest.approx(2.0, abs=0.01)
    assert len(service.publisher.messages) == 1
    assert service.metric("events_throttled_total") == 3
    service.accept(OTHER, [record(1, recipientAccountId=OTHER)], REGION)
    service.seconds += caught.value.delay
    service.accept(ACCOUNT, [record(1)], REGION)


def test_a_batch_that_is_refused_whole_costs_no_limit():
    service = Service(IntakeLimits(max_events=3), rate=Rate(3.0, 1e9))
    for _ in range(10):
        with pytest.raises(InvalidBatch):
            service.accept(ACCOUNT, [b""] * 4, REGION)
    service.accept(ACCOUNT, [record(1)], REGION)


@pytest.mark.parametrize("failure", [PublishFailed("no"), MessageTooLarge("no")])
@pytest.mark.parametrize("failed", [0, 1])
def test_one_message_that_the_bus_did_not_confirm_fails_the_batch(service, failure, failed):
    service.publisher.failures = [failure if number == failed else None for number in range(2)]
    with pytest.raises(NotConfirmed):
        service.accept(ACCOUNT, [record(1), record(2, awsRegion=SECOND_REGION)], REGION)
    assert service.metric("bus_failures_total") == 1
    assert service.metric("events_accepted_total") == 0


def test_a_bus_that_takes_no_message_fails_the_batch(service):
    failure = EventBusError("closed")
    failure.at_once = True
    service.publisher.failures = [failure]
    with pytest.raises(NotConfirmed):
        service.accept(ACCOUNT, [record(1)], REGION)
    service.publisher.topics_failure = EventBusError("down")
    with pytest.raises(NotConfirmed):
        service.accept(ACCOUNT, [record(1)], REGION)
    assert service.metric("bus_failures_total") == 2


def test_a_bus_that_says_nothing_fails_the_batch_after_its_time(service):
    service.publisher.hold = True
    with pytest.raises(NotConfirmed):
        service.accept(ACCOUNT, [record(1)], REGION)


def test_a_caller_that_waits_shorter_is_answered_sooner():
    service = Service(IntakeLimits(publish_timeout=3600))
    service.publisher.hold = True
    with pytest.raises(NotConfirmed):
        service.intake.begin(ACCOUNT, [record(1)], REGION).wait(0.01)
    with pytest.raises(NotConfirmed):
        service.intake.begin(ACCOUNT, [record(1)], REGION).wait(-1)


def test_nothing_is_answered_before_the_bus_has_it(service):
    service.publisher.hold = True
    pending = service.intake.begin(ACCOUNT, [record(1)], REGION)
    assert len(service.publisher.messages) == 1
    held: Future[None] = service.publisher.held[0]
    held.set_result(None)
    assert event_ids(pending.wait()) == ["00000000-0000-4000-8000-000000000001"]


def test_a_defect_of_the_publisher_is_not_taken_for_a_bus_that_is_down(service):
    service.publisher.failures = [KeyError("defect")]
    with pytest.raises(KeyError):
        service.accept(ACCOUNT, [record(1)], REGION)


def test_who_waits_for_a_silent_bus_is_answered_when_the_process_is_to_end():
    service = Service(IntakeLimits(publish_timeout=3600))
    service.publisher.hold = True
    pending = service.intake.begin(ACCOUNT, [record(1)], REGION)
    service.intake.cut_off()
    with pytest.raises(NotConfirmed):
        pending.wait()
    pending = service.intake.begin(ACCOUNT, [record(1)], REGION)
    service.publisher.held[1].set_result(None)
    assert len(pending.wait()) == 1, "what is confirmed is answered all the same"


def test_who_waits_long_for_the_bus_is_answered_when_it_confirms(monkeypatch):
    monkeypatch.setattr(answers, "LOOK_UP_SECONDS", 0.001)
    service = Service(IntakeLimits(publish_timeout=60))
    service.publisher.hold = True
    pending = service.intake.begin(ACCOUNT, [record(1), record(2, awsRegion=SECOND_REGION)], REGION)
    first, second = service.publisher.held
    first.set_result(None)
    threading.Timer(0.05, second.set_result, (None,)).start()
    assert len(pending.wait()) == 2

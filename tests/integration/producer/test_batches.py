"""Each event of a batch has its own answer; a batch that cannot be taken has one status."""

import json

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opentrail_producer.generated import producer_pb2
from opentrail_producer.server import SERVICE_NAME
from tests.integration.producer.calls import refused
from tests.integration.producer_service import OTHERS_TOKEN, TOKEN, Request, bearer, records_on, results
from tests.unit.producer.fakes import ACCOUNT, OTHER, SECOND_REGION, record

CLIENT = bytes(range(16))


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


def test_accounts_do_not_share_messages(service):
    service.send([record(1)])
    service.send([record(1, recipientAccountId=OTHER)], token=OTHERS_TOKEN)
    assert [batch.account_id for batch in service.bus.memory.batches()] == [ACCOUNT, OTHER]

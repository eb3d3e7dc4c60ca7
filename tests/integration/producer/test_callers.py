"""Who may send, and how much."""

import threading
import time

import grpc
import pytest

from opentrail_backends.state.port import SpoolUsage, StateError
from opentrail_producer.settings import RateLimits
from tests.integration.producer.calls import refused
from tests.integration.producer_service import EXPIRED_TOKEN, OTHERS_TOKEN, TOKEN, Request, bearer, results, token_hash
from tests.unit.producer.fakes import ACCOUNT, OTHER, REGION, record


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


def test_over_its_rate_an_account_is_told_when_to_come_back(start):
    service = start(rate_limits=RateLimits(events_per_second=1.0, burst_seconds=1.0))
    began = time.monotonic()
    service.send([record(1)] * 21)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        service.send([record(1)])
    assert 20 - (time.monotonic() - began) <= expected.delay <= 20.1
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
    requests = [Request(events=[record(1)] * 100)] * 2
    stream = service.stub.StreamEvents(iter(requests), metadata=bearer(TOKEN), timeout=10)
    assert len(next(stream).results) == 100
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        next(stream)
    assert expected.delay > 50


def test_whose_share_of_the_spool_is_used_up_is_told_when_to_come_back_and_others_go_on(service, monkeypatch):
    usage = SpoolUsage(10**12, {ACCOUNT: 10**12})
    monkeypatch.setattr(type(service.store.ledger), "spool_usage", lambda _ledger: usage)
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED) as expected:
        service.send([record(1)])
    assert expected.delay == 30.0
    assert f"account {ACCOUNT} has used up its share of the spool" in expected.error.details()
    with refused(grpc.StatusCode.RESOURCE_EXHAUSTED):
        next(service.stub.StreamEvents(iter([Request(events=[record(1)])]), metadata=bearer(TOKEN), timeout=10))
    assert service.bus.memory.messages == []
    service.send([record(1, recipientAccountId=OTHER)], token=OTHERS_TOKEN)
    assert len(service.bus.memory.messages) == 1
    assert service.metric("events_held_back_total") == 2

"""Owners whose share of the spool is used up are held back; nobody else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.trails.configuration import Change, Configuration, Kind, Organization, organization_body
from opentrail_backends.state.port import SpoolUsage, StateError
from opentrail_producer.intake import HELD_BACK_SECONDS, Numbers, Throttled
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.server import build_intake
from opentrail_producer.settings import ProducerSettings
from opentrail_producer.spool_shares import SpoolShares
from tests.unit.producer.fakes import ACCOUNT, NOW, OTHER, REGION, MemoryPublisher, record

MANAGEMENT, MEMBER = "777788889999", "222233334444"
ORGANIZATION = Organization(
    id="o-exampleorgid", management_account_id=MANAGEMENT, member_account_ids=frozenset({MEMBER})
)
CHANGE = Change(1, 10, Kind.ORGANIZATION, ORGANIZATION.id, organization_body(ORGANIZATION))


def refused(usage, share=100):
    shares = SpoolShares(lambda: usage, lambda: Configuration().after(CHANGE), share)
    return {account for account in (ACCOUNT, OTHER, MANAGEMENT, MEMBER) if shares.refusal(account) is not None}


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({}, set()),
        ({ACCOUNT: 99, ORGANIZATION.id: 99, MEMBER: 99}, set()),
        ({ACCOUNT: 100}, {ACCOUNT}),
        ({MEMBER: 10**12}, {MEMBER}),
        ({ORGANIZATION.id: 100}, {MANAGEMENT, MEMBER}),
        ({OTHER: 100, "o-another": 100}, {OTHER}),
    ],
)
def test_only_those_are_refused_whose_own_share_or_organizations_is_used_up(usage, wanted):
    assert refused(usage) == wanted


@given(st.dictionaries(st.sampled_from([OTHER, ORGANIZATION.id, MANAGEMENT, MEMBER, "o-another"]), st.integers(0, 200)))
def test_whatever_others_have_in_the_spool_an_account_with_room_may_send(usage):
    assert ACCOUNT not in refused(usage)
    assert ACCOUNT not in refused({**usage, ACCOUNT: 99})
    assert ACCOUNT in refused({**usage, ACCOUNT: 100})


def test_the_sentence_says_whose_share_and_what_to_do():
    shares = SpoolShares(lambda: {ACCOUNT: 5, ORGANIZATION.id: 5}, lambda: Configuration().after(CHANGE), 5)
    for account, owner in ((ACCOUNT, f"account {ACCOUNT}"), (MEMBER, f"organization {ORGANIZATION.id}")):
        sentence = shares.refusal(account)
        assert sentence.startswith(f"{owner} has used up its share of the spool (5 bytes)")
        assert "mend the buckets of its trails" in sentence
        assert "send the same batch again" in sentence


class Store:
    """Changes of the configuration and the spool's usage, as a state store has them."""

    def __init__(self):
        self.usage = {}
        self.failure = None
        self.asked = 0

    def changes_after(self, revision):
        return [CHANGE][revision:]

    def spool_usage(self):
        self.asked += 1
        if self.failure:
            raise self.failure
        return SpoolUsage(sum(self.usage.values()), dict(self.usage))


class Producer:
    def __init__(self, *, with_ledger=True):
        self.store = Store()
        self.seconds = 50.0
        self.publisher = MemoryPublisher()
        self.intake = build_intake(
            ProducerSettings(spool_share_bytes=100, configuration_seconds=5.0),
            self.store,
            self.publisher,
            ProducerMetrics(),
            ledger=self.store if with_ledger else None,
            now=lambda: NOW,
            clock=lambda: self.seconds,
        )

    def accepts(self, account):
        try:
            self.intake.accept(account, [record(1, recipientAccountId=account)], REGION, Numbers(b"c" * 16, 0))
        except Throttled as error:
            self.delay = error.delay
            return False
        return True


@pytest.fixture
def producer():
    return Producer()


def test_nothing_of_a_refused_batch_is_published_and_it_costs_no_limit(producer):
    producer.store.usage = {ACCOUNT: 100}
    for _ in range(100):
        with pytest.raises(Throttled, match="share of the spool"):
            producer.intake.accept(ACCOUNT, [record(1)] * 1000, REGION)
    assert producer.publisher.messages == []
    assert producer.accepts(OTHER)
    producer.store.usage = {}
    producer.seconds += 5
    assert producer.accepts(ACCOUNT), "its limit of events per second is as full as before"
    held_back = producer.intake._metrics._held_back._value.get()
    assert held_back == 100 * 1000


def test_the_use_is_asked_again_every_few_seconds(producer):
    assert producer.accepts(ACCOUNT)
    producer.store.usage = {ACCOUNT: 100, ORGANIZATION.id: 100}
    assert producer.accepts(ACCOUNT), "not asked again yet"
    producer.seconds += 5
    assert not producer.accepts(ACCOUNT)
    assert producer.delay == HELD_BACK_SECONDS
    assert not producer.accepts(MEMBER)
    assert producer.accepts(OTHER)
    assert producer.store.asked == 2
    producer.store.usage = {}
    producer.seconds += 5
    assert producer.accepts(ACCOUNT)
    assert producer.accepts(MEMBER)


def test_a_store_that_cannot_be_asked_changes_nothing(producer):
    producer.store.failure = StateError("down")
    assert producer.accepts(ACCOUNT), "nothing is known yet"
    producer.store.failure = None
    producer.store.usage = {ACCOUNT: 100}
    producer.seconds += 5
    assert not producer.accepts(ACCOUNT)
    producer.store.failure = StateError("down")
    producer.store.usage = {OTHER: 100}
    producer.seconds += 5
    assert not producer.accepts(ACCOUNT)
    assert producer.accepts(OTHER)


def test_without_a_ledger_nobody_is_held_back():
    producer = Producer(with_ledger=False)
    producer.store.usage = {ACCOUNT: 10**12}
    assert producer.accepts(ACCOUNT)
    assert producer.store.asked == 0

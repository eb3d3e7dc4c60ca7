"""An account that does its worst changes nothing for another: neither its answers, nor what is kept for it."""

from hypothesis import given
from hypothesis import strategies as st

from opentrail.events.record import Rejection
from opentrail_producer.event_ids import numbered_event_id
from opentrail_producer.intake import Intake, InvalidBatch, Numbers, Throttled
from opentrail_producer.metrics import ProducerMetrics
from opentrail_producer.rate_limit import Rate, RateLimit
from opentrail_producer.settings import IntakeLimits
from tests.unit.producer.fakes import ACCOUNT, NOW, OTHER, REGION, SECOND_REGION, MemoryPublisher, record

HOSTILE = OTHER
CLIENT = bytes(range(16))
"""The client id that both use."""
TINY = Rate(5.0, 5_000.0)


class Producer:
    """One producer process, whose hostile account has a tiny limit."""

    def __init__(self):
        self.publisher = MemoryPublisher()
        self.seconds = 0.0
        self.rates = RateLimit(lambda account: TINY if account == HOSTILE else Rate(1e9, 1e12), 1.0, self.clock)
        self.intake = Intake(
            self.publisher,
            self.rates,
            IntakeLimits(max_events=50),
            ProducerMetrics(),
            now=lambda: NOW,
            clock=self.clock,
        )

    def clock(self):
        return self.seconds

    def answer(self, account, events, numbers=None, region=REGION):
        """What the caller is told, as plain values."""
        try:
            outcomes = self.intake.accept(account, events, region, numbers)
        except (Throttled, InvalidBatch) as error:
            return type(error).__name__
        return [outcome.code if isinstance(outcome, Rejection) else outcome for outcome in outcomes]

    def published(self, account):
        return [message for message in self.publisher.messages if message[1] == account.encode()]


hostile_batches = st.lists(
    st.tuples(
        st.sampled_from([CLIENT, b"", bytes(16), b"x" * 17]) | st.binary(min_size=16, max_size=16),
        st.sampled_from([0, 7, 2**63 - 1, 2**64 - 1]) | st.integers(0, 2**63 - 1),
        st.lists(
            st.sampled_from(
                [
                    record(1, recipientAccountId=None),  # the other's eventID
                    record(2, recipientAccountId=ACCOUNT),  # the other's record
                    record(3, recipientAccountId=HOSTILE),
                    record(4, eventID=None, recipientAccountId=None),
                    b"{",
                    b"[" * 500,
                ]
            ),
            max_size=55,
        ),
        st.sampled_from([REGION, SECOND_REGION, "", "xx-nowhere-1"]),
    ),
    max_size=12,
)


@given(hostile_batches, st.integers(1, 6))
def test_anothers_answers_and_messages_are_what_they_would_be_without_it(attacks, every):
    alone, together = Producer(), Producer()
    attacks_left = list(attacks)
    for number in range(6):
        events = [record(number), record(number, eventID=None), b"{"]
        numbers = Numbers(CLIENT, 3 * number)
        wanted = alone.answer(ACCOUNT, events, numbers)
        assert wanted[1] == numbered_event_id(ACCOUNT, REGION, CLIENT, 3 * number + 1)
        for client_id, first, batch, region in attacks_left[:every]:
            answer = together.answer(HOSTILE, batch, Numbers(client_id, first), region)
            assert wanted[1] not in answer, "an account cannot make another's id by number"
        del attacks_left[:every]
        assert together.answer(ACCOUNT, events, numbers) == wanted
    assert together.published(ACCOUNT) == alone.published(ACCOUNT)
    assert alone.published(ACCOUNT)
    assert {batch.account_id for batch in together.publisher.batches()} <= {ACCOUNT, HOSTILE}


def test_a_new_client_id_for_each_batch_leaves_nothing_behind():
    producer = Producer()
    producer.seconds = 1.0
    for number in range(3_000):
        producer.seconds += 1.0  # its limit lets each of them in
        client_id = number.to_bytes(16, "big")
        assert len(producer.answer(HOSTILE, [record(1, recipientAccountId=None)], Numbers(client_id, number))) == 1
    assert len(producer.publisher.messages) == 3_000
    assert list(producer.rates._buckets) == [HOSTILE], "one bucket is all that is kept of an account"
    kept = [value for value in vars(producer.intake).values() if isinstance(value, (dict, list, set))]
    assert kept == [], "the intake keeps nothing of a batch"


def test_at_full_speed_it_gets_its_limit_and_no_more():
    producer = Producer()
    taken = 0
    for _ in range(10_000):
        producer.seconds += 0.001
        answer = producer.answer(HOSTILE, [record(1, recipientAccountId=None)], Numbers(CLIENT, 0))
        taken += isinstance(answer, list)
        if producer.publisher.messages and len(producer.publisher.messages) % 10 == 0:
            assert len(producer.answer(ACCOUNT, [record(1)])) == 1
    assert 40 <= taken <= 10 * TINY.events + TINY.events + 1

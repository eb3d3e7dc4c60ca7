"""Token buckets of accounts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.trails.configuration import Change, Configuration, Kind
from opentrail_producer.account_rates import AccountRates
from opentrail_producer.rate_limit import LONGEST_DELAY, Rate, RateLimit
from opentrail_producer.settings import RateLimits

ACCOUNT = "111122223333"


class Clock:
    def __init__(self):
        self.seconds = 50.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def limit_of(clock, events=100.0, size=1e9, burst=2.0, **rest):
    return RateLimit(lambda _account: Rate(events, size), burst, clock, **rest)


def test_a_quiet_account_may_send_its_burst_then_waits_as_long_as_it_is_told(clock):
    limit = limit_of(clock)
    assert limit.take(ACCOUNT, 150, 0) == 0.0
    assert limit.take(ACCOUNT, 150, 0) == 0.0, "50 are left, so this passes and goes below zero"
    delay = limit.take(ACCOUNT, 1, 0)
    assert delay == pytest.approx(1.0, abs=0.01)
    clock.seconds += delay - 0.01
    assert limit.take(ACCOUNT, 1, 0) > 0
    clock.seconds += 0.011
    assert limit.take(ACCOUNT, 1, 0) == 0.0


def test_bytes_are_limited_by_themselves(clock):
    limit = limit_of(clock, events=1e9, size=1000.0)
    assert limit.take(ACCOUNT, 1, 4000) == 0.0
    assert limit.take(ACCOUNT, 1, 1) == pytest.approx(2.0, abs=0.01)


def test_a_request_greater_than_the_bucket_is_not_impossible(clock):
    limit = limit_of(clock, events=1.0, burst=1.0)
    assert limit.take(ACCOUNT, 1000, 0) == 0.0
    assert limit.take(ACCOUNT, 1, 0) == LONGEST_DELAY


def test_a_limit_of_zero_refuses_everything_with_the_longest_delay(clock):
    limit = limit_of(clock, events=0.0)
    assert limit.take(ACCOUNT, 1, 0) == LONGEST_DELAY
    clock.seconds += 1e6
    assert limit.take(ACCOUNT, 1, 0) == LONGEST_DELAY


def test_accounts_do_not_touch_each_other(clock):
    limit = limit_of(clock)
    limit.take(ACCOUNT, 10_000, 0)
    assert limit.take(ACCOUNT, 1, 0) > 0
    assert limit.take("444455556666", 1, 0) == 0.0


def test_a_changed_limit_holds_at_the_next_request(clock):
    rate = Rate(1.0, 1e9)
    limit = RateLimit(lambda _account: rate, 1.0, clock)
    limit.take(ACCOUNT, 11, 0)
    assert limit.take(ACCOUNT, 1, 0) == pytest.approx(10, abs=0.01)
    rate = Rate(1000.0, 1e9)
    assert limit.take(ACCOUNT, 1, 0) == pytest.approx(0.01, abs=0.01)


def test_memory_is_bounded_and_the_longest_quiet_account_is_forgotten(clock):
    limit = limit_of(clock, most_accounts=3)
    for number in range(10):
        limit.take(f"{number:012}", 1, 0)
    limit.take("000000000007", 1, 0)
    limit.take("999999999999", 1, 0)
    assert list(limit._buckets) == ["000000000009", "000000000007", "999999999999"]


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 500), st.integers(0, 5000)), min_size=1, max_size=60),
    st.floats(1, 500),
    st.floats(100, 5000),
)
def test_over_any_time_an_account_gets_its_burst_its_rate_and_one_request_more_at_most(requests, events, size):
    clock = Clock()
    start, burst = clock.seconds, 2.0
    limit = RateLimit(lambda _account: Rate(events, size), burst, clock)
    taken_events = taken_bytes = 0
    for passed, count, length in requests:
        clock.seconds += passed
        if limit.take(ACCOUNT, count, length) == 0.0:
            taken_events += count
            taken_bytes += length
        allowed = clock.seconds - start + burst
        assert taken_events <= events * allowed + 500 + 1e-6
        assert taken_bytes <= size * allowed + 5000 + 1e-6


def test_limits_come_from_the_newest_configuration_or_the_default():
    known = Configuration()
    rates = AccountRates(lambda: known, RateLimits(events_per_second=10, bytes_per_second=20, share=0.5))
    assert rates.rate_of(ACCOUNT) == Rate(5, 10)
    known = known.after(Change(1, 10, Kind.ACCOUNT, ACCOUNT, {"events_per_second": 100}))
    assert rates.rate_of(ACCOUNT) == Rate(50, 10)
    known = known.after(Change(2, 20, Kind.ACCOUNT, ACCOUNT, {"events_per_second": 0, "bytes_per_second": 2}))
    assert rates.rate_of(ACCOUNT) == Rate(0, 1)
    assert rates.rate_of("444455556666") == Rate(5, 10)

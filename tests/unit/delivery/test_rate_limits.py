import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_delivery.rate_limits import RateLimits
from tests.unit.delivery.putting import Clock


@pytest.fixture
def clock():
    return Clock()


def test_without_limits_nothing_waits(clock):
    limits = RateLimits(clock=clock)
    assert not limits.is_on
    assert [limits.reserve("b", "i", 10**12) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_a_slot_is_given_in_the_order_of_the_calls(clock):
    limits = RateLimits(trail_bytes=100, clock=clock)
    assert limits.is_on
    assert [limits.reserve("b", "i", 100) for _ in range(4)] == [0, 0, 1, 2], "a second's worth may come at once"
    assert limits.reserve("b", "another", 100) == 0
    clock.now += 10
    assert limits.reserve("b", "i", 100) == 0


def test_no_slot_is_taken_by_who_does_not_want_to_wait(clock):
    limits = RateLimits(bucket_requests=1, clock=clock)
    for incarnation in ("a", "b"):
        assert limits.reserve("b", incarnation, 1) == 0
    assert limits.reserve("b", "c", 1) == 1
    assert [limits.reserve("b", "d", 1, patience=1.5) for _ in range(3)] == [None, None, None]
    clock.now += 1
    assert limits.reserve("b", "d", 1, patience=1.5) == 1


def test_one_large_file_passes_and_the_next_pays(clock):
    limits = RateLimits(trail_bytes=10, clock=clock)
    assert limits.reserve("b", "i", 1_000) == 0
    assert limits.reserve("b", "i", 1) == 99


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(1, 500)), min_size=1, max_size=60))
def test_no_more_than_the_rate_and_one_burst_begins_in_any_time(steps):
    clock = Clock()
    limits = RateLimits(trail_bytes=100, clock=clock)
    began = []
    for pause, size in steps:
        clock.now += pause
        began.append((clock.now + limits.reserve("b", "i", size), size))
    for first in range(len(began)):
        for last in range(first, len(began)):
            bytes_before_the_last = sum(size for _, size in began[first:last])
            assert bytes_before_the_last <= 100 * (began[last][0] - began[first][0] + 1) + 1e-3


def test_what_is_kept_is_bounded(clock):
    limits = RateLimits(trail_bytes=100, clock=clock)
    for number in range(30_000):
        clock.now += 0.01
        limits.reserve("b", str(number), 1)
    assert len(limits._free_at) <= 10_001

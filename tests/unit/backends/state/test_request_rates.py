"""Which requests a sliding window takes, against one that looks at every window there is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail_backends.state.request_rates import counted

WINDOW = 1_000


def test_as_many_as_the_limit_are_taken_and_the_next_one_waits_for_the_oldest_to_leave() -> None:
    assert counted([], 5_000, 2, WINDOW) == ([5_000], 1, 0)
    assert counted([5_000], 5_400, 2, WINDOW) == ([5_000, 5_400], 1, 0)
    assert counted([5_000, 5_400], 5_999, 2, WINDOW) == ([5_000, 5_400], 0, 1)
    assert counted([5_000, 5_400], 6_000, 2, WINDOW) == ([5_400, 6_000], 1, 0)


def test_a_limit_that_was_lowered_waits_until_fewer_count_and_one_that_was_raised_takes_more() -> None:
    taken = [1_000, 1_100, 1_200, 1_300]
    assert counted(taken, 1_400, 2, WINDOW) == (taken, 0, 800), "the last but one leaves at 2,200"
    assert counted(taken, 2_200, 2, WINDOW) == ([1_300, 2_200], 1, 0)
    assert counted(taken, 1_400, 5, WINDOW) == ([*taken, 1_400], 1, 0)


def test_two_clocks_that_are_apart_let_time_stand_still() -> None:
    assert counted([5_000], 4_990, 3, WINDOW) == ([5_000, 5_000], 1, 0)
    assert counted([4_500, 5_000], 4_990, 2, WINDOW) == ([4_500, 5_000], 0, 510), "by the clock of who asks"


def test_a_clock_that_was_set_back_costs_one_window_and_no_more() -> None:
    taken, count, wait = counted([900_000, 900_100], 5_000, 2, WINDOW)
    assert (taken, count, wait) == ([5_000, 5_000], 0, WINDOW)
    assert counted(taken, 5_999, 2, WINDOW) == (taken, 0, 1)
    assert counted(taken, 6_000, 2, WINDOW) == ([6_000], 1, 0)


@given(st.lists(st.integers(0, 99), max_size=9), st.integers(1, 9), st.integers(1, 12))
def test_several_together_are_counted_as_if_they_came_one_by_one(known: list[int], limit: int, wanted: int) -> None:
    together = counted(sorted(known), 100, limit, 80, wanted)
    times, taken, wait = sorted(known), 0, 0
    for _ in range(wanted):
        times, count, wait = counted(times, 100, limit, 80)
        taken += count
    assert together == (times, taken, wait)


@given(
    st.lists(st.integers(0, 30), max_size=60),
    st.lists(st.integers(1, 6), min_size=60, max_size=60),
    st.integers(1, 40),
    st.booleans(),
)
def test_no_window_holds_more_than_the_limit_and_no_request_is_refused_without_need(
    steps: list[int], limits: list[int], window: int, is_fixed: bool
) -> None:
    kept: list[int] = []
    taken: list[int] = []
    now = 10_000
    for step, varied in zip(steps, limits, strict=False):
        now += step
        limit = limits[0] if is_fixed else varied
        kept, count, wait = counted(kept, now, limit, window)
        before = [time for time in taken if time > now - window]
        assert (wait == 0) == (count == 1) == (len(before) < limit)
        if wait == 0:
            taken.append(now)
        else:
            assert counted(kept, now + wait, limit, window).wait_ms == 0
            assert wait == 1 or counted(kept, now + wait - 1, limit, window).wait_ms == 1
        assert len(kept) <= max(limits)


@pytest.mark.parametrize("ahead", [1, WINDOW, WINDOW + 1, 10**9])
def test_whatever_the_clock_does_a_request_waits_for_at_most_two_windows(ahead: int) -> None:
    kept, _, _ = counted([5_000 + ahead], 5_000, 1, WINDOW)
    kept, _, wait = counted(kept, 5_000, 1, WINDOW)
    assert 1 <= wait <= 2 * WINDOW
    assert counted(kept, 5_000 + wait, 1, WINDOW).wait_ms == 0

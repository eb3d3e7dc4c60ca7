"""The calls of the API on their way to the bus: kept with their change, numbered without gaps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import (
    NewCall,
    NewChange,
    RevisionConflict,
    Settlement,
    StateError,
    StateStore,
)
from tests.contracts.state.api_call_samples import DAY, ELSEWHERE, LEASE, OTHER, TRAIL, by_name, call, names
from tests.contracts.state.samples import ACCOUNT, REGION, Clock, dump


def numbers(store: StateStore) -> dict[tuple[str, str], list[int]]:
    """Of all calls that wait, in the order of their ids."""
    found: dict[tuple[str, str], list[int]] = {}
    for row in dump(store)["api_call"]:
        found.setdefault((row["account_id"], row["region"]), []).append(row["number"])
    return found


# --- what is kept ---------------------------------------------------------------------------------


def test_a_call_is_kept_until_it_is_done(store: StateStore, other: StateStore) -> None:
    assert store.calls.claim(10, LEASE) == []
    store.calls.record([])
    store.calls.record([call("a")])
    (pending,) = other.calls.claim(10, LEASE)
    assert (pending.account_id, pending.region, pending.number) == (ACCOUNT, REGION, 0)
    assert (pending.judged_at, pending.record) == (0, call("a").record)
    assert len(pending.client_id) == 16
    other.calls.done([])
    assert len(dump(store)["api_call"]) == 1
    other.calls.done([pending.id])
    other.calls.done([pending.id])
    assert dump(store)["api_call"] == []


def test_calls_that_changed_something_are_judged_by_the_revision_before_it(store: StateStore, clock: Clock) -> None:
    store.configuration.apply([TRAIL])
    clock.move(10)
    store.configuration.apply([TRAIL, TRAIL], calls=[call("changed"), call("changed too", OTHER)])
    before, first, _ = [change.effective_at for change in store.configuration.changes_after(0)]
    pending = store.calls.claim(10, LEASE)
    assert sorted(names(pending)) == ["changed", "changed too"]
    assert {one.judged_at for one in pending} == {first - 1}
    assert before < first - 1


def test_the_revision_before_is_in_force_also_when_the_clock_stands_still(store: StateStore) -> None:
    for name in ("a", "b"):
        store.configuration.apply([TRAIL], calls=[call(name)])
    times = [change.effective_at for change in store.configuration.changes_after(0)]
    assert [one.judged_at for one in store.calls.claim(10, LEASE)] == [times[0] - 1, times[0]]


def test_calls_without_a_change_are_judged_by_the_revision_of_their_answer(store: StateStore) -> None:
    assert store.configuration.apply([], calls=[call("before there was any")]) == 0
    store.configuration.apply([TRAIL])
    store.calls.record([call("a")])
    store.configuration.apply([], calls=[call("b")])
    store.configuration.apply([TRAIL])
    store.calls.record([call("c")])
    first, second = (change.effective_at for change in store.configuration.changes_after(0))
    assert [one.judged_at for one in store.calls.claim(10, LEASE)] == [0, first, first, second]


@pytest.mark.parametrize("changes", [[TRAIL], []])
def test_a_change_that_conflicts_leaves_neither_change_nor_call(store: StateStore, changes: list[NewChange]) -> None:
    before = dump(store)
    with pytest.raises(RevisionConflict):
        store.configuration.apply(changes, expected_revision=3, calls=[call("a")])
    assert dump(store) == before


@pytest.mark.parametrize("broken", ["change", "call"])
def test_a_change_that_fails_leaves_neither_change_nor_call(store: StateStore, broken: str) -> None:
    before = dump(store)
    change = TRAIL if broken == "call" else NewChange(Kind.TRAIL, "trail-1", {"limit": float("nan")})
    given: Any = [call("a"), NewCall(ACCOUNT, REGION, None)] if broken == "call" else [call("a")]  # type: ignore[arg-type]
    with pytest.raises(StateError):
        store.configuration.apply([change], calls=given)
    assert dump(store) == before
    store.configuration.apply([TRAIL], calls=[call("b")])
    assert numbers(store) == {(ACCOUNT, REGION): [0]}


# --- numbers --------------------------------------------------------------------------------------


def test_numbers_rise_by_one_for_each_account_and_region(store: StateStore, other: StateStore) -> None:
    store.calls.record([call("a"), call("b", OTHER), call("c"), call("d", region=ELSEWHERE)])
    other.configuration.apply([TRAIL], calls=[call("e"), call("f", OTHER)])
    other.calls.record([call("g")])
    assert numbers(store) == {(ACCOUNT, REGION): [0, 1, 2, 3], (OTHER, REGION): [0, 1], (ACCOUNT, ELSEWHERE): [0]}
    pending = store.calls.claim(10, LEASE)
    assert [name for name in names(pending) if name in "aceg"] == ["a", "c", "e", "g"]
    clients = {(one.account_id, one.region, one.client_id) for one in pending}
    assert len(clients) == len({client for *_, client in clients}) == 3


def test_numbers_go_on_after_calls_are_done(store: StateStore) -> None:
    for number in range(3):
        store.calls.record([call("a")])
        (pending,) = store.calls.claim(10, LEASE)
        store.calls.done([pending.id])
        assert pending.number == number


def test_numbers_have_no_gaps_whoever_writes_at_once(store: StateStore, other: StateStore) -> None:
    """Also where transactions fail, and where one has several accounts, in whatever order."""
    both = [call("a"), call("b", OTHER)]

    def write(index: int) -> None:
        of = (store, other)[index % 2]
        for turn in range(10):
            calls = both if turn % 2 else both[::-1]
            if turn % 3 == 0:
                of.configuration.apply([TRAIL], calls=calls)
            else:
                of.calls.record(calls)
            if turn % 4 == 0:
                with pytest.raises(RevisionConflict):
                    of.configuration.apply([TRAIL], expected_revision=1_000, calls=calls)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))

    assert numbers(store) == {(ACCOUNT, REGION): list(range(40)), (OTHER, REGION): list(range(40))}


def test_who_made_no_call_for_a_month_gets_another_client(store: StateStore, clock: Clock) -> None:
    """Before delivery forgets the old one, for which numbers in the middle would mean that all before were lost."""
    store.calls.record([call("a")] * 3)
    clock.move(30 * DAY)
    store.calls.record([call("b")])
    clock.move(30 * DAY)
    clock.milliseconds += 1
    store.calls.record([call("c"), call("d")])
    clock.move(-50 * DAY)
    store.calls.record([call("e")])
    pending = store.calls.claim(10, LEASE)
    assert [one.number for one in pending] == [0, 1, 2, 3, 0, 1, 2]
    assert len({one.client_id for one in pending[:4]}) == len({one.client_id for one in pending[4:]}) == 1
    assert pending[3].client_id != pending[4].client_id


def test_a_region_that_was_settled_gets_other_clients(store: StateStore) -> None:
    """In a ledger from a backup the next number may be on the bus already."""
    store.calls.record([call("a"), call("elsewhere", region=ELSEWHERE)])
    lease, _ = store.ledger.own(REGION, 0, 0)
    store.ledger.settle(lease, Settlement(topic_id="topic", partitions=1, next_offset=0))
    store.calls.record([call("b"), call("elsewhere too", region=ELSEWHERE)])
    pending = by_name(store.calls.claim(10, LEASE))
    assert (pending["a"].number, pending["b"].number) == (0, 0)
    assert pending["a"].client_id != pending["b"].client_id
    assert pending["elsewhere too"].number == 1
    assert pending["elsewhere"].client_id == pending["elsewhere too"].client_id

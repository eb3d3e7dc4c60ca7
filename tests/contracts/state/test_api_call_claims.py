"""The calls of the API are claimed in order, by one at a time, and wait until they are done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import NewChange, PendingCall, StateStore
from tests.contracts.state.api_call_samples import DAY, ELSEWHERE, LEASE, OTHER, TRAIL, by_name, call, names
from tests.contracts.state.plans import plans_of
from tests.contracts.state.samples import ACCOUNT, REGION, START, Clock, dump


def test_a_claim_gives_the_oldest_and_at_most_the_limit(store: StateStore) -> None:
    store.calls.record([call("a"), call("b"), call("c")])
    assert names(store.calls.claim(2, LEASE)) == ["a", "b"]


def test_nothing_is_given_behind_a_call_that_is_claimed(store: StateStore, other: StateStore) -> None:
    store.calls.record([call("a")])
    store.calls.record([call("b")])
    (first,) = store.calls.claim(1, LEASE)
    store.calls.record([call("c"), call("not behind it", OTHER), call("nor this", region=ELSEWHERE)])
    assert sorted(names(other.calls.claim(10, LEASE))) == ["nor this", "not behind it"]
    assert other.calls.claim(10, LEASE) == []
    assert store.calls.claim(10, LEASE) == [], "not for who claimed it, either"
    store.calls.done([first.id])
    assert names(other.calls.claim(10, LEASE)) == ["b", "c"]


def test_a_claim_of_which_a_part_is_done_still_holds(store: StateStore, other: StateStore) -> None:
    store.calls.record([call("a"), call("b"), call("c")])
    a, b = store.calls.claim(2, LEASE)
    store.calls.done([b.id])
    assert other.calls.claim(10, LEASE) == []
    store.calls.done([a.id])
    assert names(other.calls.claim(10, LEASE)) == ["c"]


def test_a_claim_ends_by_the_stores_clock_and_the_same_numbers_are_given_again(
    store: StateStore, other: StateStore, clock: Clock
) -> None:
    store.calls.record([call("a"), call("b")])
    claimed = store.calls.claim(1, LEASE)
    clock.milliseconds += LEASE - 1
    assert other.calls.claim(10, LEASE) == []
    clock.milliseconds += 1
    again = other.calls.claim(10, LEASE)
    assert again[:1] == claimed
    assert names(again) == ["a", "b"]
    clock.milliseconds += LEASE - 1
    assert store.calls.claim(10, LEASE) == [], "the second claim counts from when it was made"


def test_many_publishers_get_each_call_once_and_in_order(store: StateStore, other: StateStore) -> None:
    accounts = [f"{number:012}" for number in range(6)]
    store.calls.record([call(f"{number}", account) for number in range(40) for account in accounts])
    published: list[PendingCall] = []  # what the bus would have, in its order

    def publish(index: int) -> None:
        of = (store, other)[index % 2]
        quiet = 0
        while quiet < 20:
            claimed = of.calls.claim(7, 10 * LEASE)
            published.extend(claimed)
            of.calls.done([one.id for one in claimed])
            quiet = 0 if claimed else quiet + 1

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(publish, range(4)))

    assert dump(store)["api_call"] == []
    for account in accounts:
        assert [one.number for one in published if one.account_id == account] == list(range(40))


def test_a_publisher_that_is_late_and_one_that_took_over_do_not_hinder_each_other(
    store: StateStore, other: StateStore
) -> None:
    """Claims that end at once: both write the same rows, in one order."""
    store.calls.record([call(f"{number}", f"{number % 3}") for number in range(60)])
    ids = [row["id"] for row in dump(store)["api_call"]]

    def work(index: int) -> None:
        of = (store, other)[index % 2]
        for turn in range(15):
            of.calls.claim(60, 0)
            of.calls.done(ids[turn * 4 : turn * 4 + 4][:: -1 if index else 1])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert dump(store)["api_call"] == []


# --- what is pending ------------------------------------------------------------------------------


def test_a_call_is_pending_from_its_transaction_until_it_is_done(store: StateStore, other: StateStore) -> None:
    assert other.calls.oldest_pending() == {}
    store.configuration.apply([TRAIL], calls=[call("a"), call("b", OTHER, ELSEWHERE)])
    store.configuration.apply([TRAIL], calls=[call("c")])
    first, second = (change.effective_at for change in store.configuration.changes_after(0))
    store.calls.record([call("read", OTHER, ELSEWHERE)])
    both = {(ACCOUNT, REGION): first - 1, (OTHER, ELSEWHERE): first - 1}
    assert other.calls.oldest_pending() == both
    claimed = by_name(store.calls.claim(10, LEASE))
    assert other.calls.oldest_pending() == both, "claimed is not yet on the bus"
    store.calls.done([claimed["a"].id, claimed["b"].id])
    assert other.calls.oldest_pending() == {(ACCOUNT, REGION): second - 1, (OTHER, ELSEWHERE): second}
    store.calls.done([claimed["c"].id, claimed["read"].id])
    assert other.calls.oldest_pending() == {}


def test_what_waits_is_never_forgotten(store: StateStore, clock: Clock) -> None:
    store.configuration.apply([TRAIL], calls=[call("a")])
    store.calls.record([call("b")])
    store.calls.claim(10, LEASE)
    clock.move(1_000 * DAY)
    store.configuration.apply([NewChange(Kind.TRAIL, "trail-1", None)])
    clock.move(1_000 * DAY)
    store.forget(DAY * 1000)
    assert dump(store)["api_call_series"][0]["next_number"] == 2
    assert names(store.calls.claim(10, LEASE)) == ["a", "b"]
    assert store.calls.oldest_pending().keys() == {(ACCOUNT, REGION)}


def test_a_long_queue_is_not_looked_through_by_who_only_asks(store: StateStore) -> None:
    store.configuration.apply([TRAIL], calls=[call("change")])
    for _ in range(4):
        store.calls.record([call("read", f"{number % 40:012}") for number in range(2_000)])
    store.calls.claim(20, LEASE)
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
    assert len(store.calls.oldest_pending()) == 41
    plan = plans_of(store, lambda: store.calls.claim(100, LEASE))
    assert "Sort" not in plan, "a hundred are taken from the front, past those that are claimed"
    assert "TEMP B-TREE" not in plan
    assert "api_call_claimed" in plan


def test_the_time_of_a_claim_is_not_recorded(store: StateStore) -> None:
    """Publishers ask all the time: they do not take the row of the clock that all partitions share."""
    store.calls.record([call("a")])
    before = dump(store)["clock"]
    store.calls.claim(10, LEASE)
    assert dump(store)["clock"] == before
    assert dump(store)["api_call"][0]["claimed_until"] == START * 1000 + LEASE

"""A format is switched on once every worker that lives knows it, and never off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from opentrail_backends.state.port import StateStore
from tests.contracts.state.samples import Clock, dump

TEN_MINUTES = 600


def test_one_worker_alone_switches_on_what_it_knows(store: StateStore) -> None:
    assert store.ledger.report_worker("a", {"batch": 2, "intent": 1}) == {"batch": 2, "intent": 1}
    assert store.ledger.report_worker("a", {"batch": 2, "intent": 1}) == {"batch": 2, "intent": 1}


def test_the_oldest_release_that_runs_decides(store: StateStore, other: StateStore, clock: Clock) -> None:
    assert store.ledger.report_worker("old", {"batch": 1}) == {"batch": 1}
    assert other.ledger.report_worker("new", {"batch": 3, "intent": 2}) == {"batch": 1}
    clock.move(TEN_MINUTES - 1)
    assert other.ledger.report_worker("new", {"batch": 3, "intent": 2}) == {"batch": 1}
    assert store.ledger.report_worker("old", {"batch": 2, "intent": 1}) == {"batch": 2, "intent": 1}
    store.ledger.remove_worker("old")
    store.ledger.remove_worker("old")
    assert other.ledger.report_worker("new", {"batch": 3, "intent": 2}) == {"batch": 3, "intent": 2}


def test_a_worker_that_was_not_seen_for_ten_minutes_is_waited_for_no_more(store: StateStore, clock: Clock) -> None:
    store.ledger.report_worker("gone", {"batch": 1})
    clock.move(TEN_MINUTES - 1)
    assert store.ledger.report_worker("new", {"batch": 2}) == {"batch": 1}
    clock.move(1)
    assert store.ledger.report_worker("new", {"batch": 2}) == {"batch": 2}


def test_what_is_switched_on_stays_on_and_an_older_worker_learns_of_it(store: StateStore) -> None:
    store.ledger.report_worker("new", {"batch": 2})
    assert store.ledger.report_worker("old", {"batch": 1}) == {"batch": 2}
    assert store.ledger.report_worker("older", {}) == {"batch": 2}
    store.ledger.remove_worker("new")
    assert store.ledger.report_worker("old", {"batch": 1}) == {"batch": 2}


def test_workers_that_come_at_once_switch_nothing_on_that_one_of_them_does_not_know(
    store: StateStore, other: StateStore
) -> None:
    def report(index: int) -> int:
        known = 2 if index % 2 else 1
        return (store, other)[index % 2].ledger.report_worker(f"{index}", {"batch": known}).get("batch", 0)

    store.ledger.report_worker("first", {"batch": 1})
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(report, range(12))) == [1] * 12
    assert dump(store)["format"] == [{"kind": "batch", "version": 1}]

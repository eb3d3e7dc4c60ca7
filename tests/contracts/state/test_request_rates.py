"""How many requests are taken: exact whoever asks, and cheap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from opentrail_backends.state.port import StateStore
from tests.contracts.state.conftest import Opener, between_processes
from tests.contracts.state.samples import ACCOUNT, REGION, START, Clock, dump

DAY = 86_400


def take(store: StateStore, limit: int, window_ms: int = 1_000, **whose: str) -> int:
    """How long (ms) a request has to wait; 0 if it is taken."""
    key = {"account_id": ACCOUNT, "region": REGION, "operation_class": "read", **whose}
    return store.rates.take(**key, limit=limit, window_ms=window_ms).wait_ms


@contextmanager
def before_each(store: StateStore, do: Callable[[str], None]) -> Iterator[None]:
    """Does something before each statement of a request."""
    engine = store._transactions._hasty  # type: ignore[attr-defined]

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        do(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield
    event.remove(engine, "before_cursor_execute", note)


def statements(store: StateStore) -> list[str]:
    """What one more request asks the database."""
    said: list[str] = []
    with before_each(store, said.append):
        take(store, 2)
    return said


def test_the_limit_holds_in_any_window_and_says_how_long_to_wait(store: StateStore, clock: Clock) -> None:
    assert [take(store, 2), take(store, 2)] == [0, 0]
    clock.milliseconds += 300
    assert take(store, 2) == 700
    clock.milliseconds += 699
    assert take(store, 2) == 1
    clock.milliseconds += 1
    assert [take(store, 2), take(store, 2), take(store, 2)] == [0, 0, 1_000]


def test_several_are_taken_together_as_far_as_there_is_room(store: StateStore, clock: Clock) -> None:
    assert store.rates.take(ACCOUNT, REGION, "read", 10, 1_000, 4) == (4, 0)
    clock.milliseconds += 200
    assert store.rates.take(ACCOUNT, REGION, "read", 10, 1_000, 8) == (6, 800)
    assert store.rates.take(ACCOUNT, REGION, "read", 10, 1_000, 8) == (0, 800)
    clock.milliseconds += 800
    assert store.rates.take(ACCOUNT, REGION, "read", 10, 1_000, 4) == (4, 0)


def test_a_refusal_takes_nothing(store: StateStore, clock: Clock) -> None:
    assert take(store, 1) == 0
    before = dump(store)
    for _ in range(9):
        clock.milliseconds += 100
        assert take(store, 1) > 0
    assert dump(store) == before
    clock.milliseconds += 100
    assert take(store, 1) == 0


def test_accounts_regions_and_classes_count_by_themselves(store: StateStore) -> None:
    assert take(store, 1) == 0
    for whose in ({"account_id": "444455556666"}, {"region": "eu-west-1"}, {"operation_class": "write"}):
        assert take(store, 1, **whose) == 0
        assert take(store, 1, **whose) == 1_000


def test_a_limit_and_a_window_may_change(store: StateStore, clock: Clock) -> None:
    assert [take(store, 4) for _ in range(5)] == [0, 0, 0, 0, 1_000]
    assert take(store, 2) == 1_000
    assert [take(store, 5), take(store, 5)] == [0, 1_000]
    assert take(store, 5, window_ms=60_000) == 60_000
    clock.move(60)
    assert [take(store, 5, window_ms=60_000), take(store, 1)] == [0, 1_000]


@pytest.mark.parametrize(("limit", "window_ms", "wanted"), [(0, 1_000, 1), (-1, 1_000, 1), (1, 0, 1), (1, 1_000, 0)])
def test_what_could_never_be_taken_is_a_mistake(store: StateStore, limit: int, window_ms: int, wanted: int) -> None:
    with pytest.raises(ValueError, match="never be taken"):
        store.rates.take(ACCOUNT, REGION, "read", limit, window_ms, wanted)


def test_processes_count_together(store: StateStore, other: StateStore, clock: Clock) -> None:
    for _ in range(3):
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda index: take((store, other)[index % 2], 10), range(60)))
        assert sorted(answers) == [0] * 10 + [1_000] * 50
        clock.milliseconds += 999
        assert take(store, 10) == 1
        clock.milliseconds += 1


@between_processes
def test_no_window_of_real_time_holds_more_than_the_limit(store: StateStore, open_store: Opener) -> None:
    """By the real clock: PostgreSQL's own, for SQLite each process's."""
    stores = (open_store(clock=None), open_store(clock=None))
    limit, window = 20, 0.4

    def taken_in_five_windows() -> int:
        end = time.monotonic() + 5 * window

        def ask(index: int) -> list[tuple[float, float]]:
            taken = []
            while (asked := time.monotonic()) < end:
                wait = take(stores[index % 2], limit, int(window * 1000))
                if wait == 0:
                    taken.append((asked, time.monotonic()))
                time.sleep(0.001)
            return taken

        with ThreadPoolExecutor(6) as threads:
            taken = [one for of_thread in threads.map(ask, range(6)) for one in of_thread]
        # The n-th was taken not before the n-th question, and not after the n-th answer.
        asked, answered = sorted(asked for asked, _ in taken), sorted(answered for _, answered in taken)
        for first, last in zip(asked, answered[limit:], strict=False):
            assert last - first >= window - 0.002
        return len(taken)

    # As many as may be are taken; a machine that stood still meanwhile tries again.
    assert any(taken_in_five_windows() >= 4 * limit for _ in range(5))


def test_a_clock_that_was_set_back_holds_nobody_up_for_longer_than_a_window(store: StateStore, clock: Clock) -> None:
    """A recorded time of the store never falls: requests would be refused for the whole hour."""
    assert take(store, 1) == 0
    store.ledger.own(REGION, 0, 0)
    clock.move(-3600)
    assert take(store, 1) == 1_000
    clock.milliseconds += 999
    assert take(store, 1) == 1
    clock.milliseconds += 1
    assert take(store, 1) == 0


def test_rows_of_accounts_that_are_idle_are_forgotten(store: StateStore, clock: Clock) -> None:
    take(store, 5)
    clock.move(10)
    take(store, 5, operation_class="write")
    clock.move(DAY - 10)
    assert store.forget(DAY * 1000) == 0
    clock.milliseconds += 1
    assert store.forget(DAY * 1000) == 1
    assert [row["operation_class"] for row in dump(store)["request_rate"]] == ["write"]
    assert take(store, 5) == 0


@between_processes
def test_a_row_that_is_forgotten_meanwhile_is_made_anew(store: StateStore, clock: Clock) -> None:
    take(store, 5)
    clock.move(2 * DAY)

    def forget(statement: str) -> None:
        if statement.startswith("UPDATE request_rate"):
            forgotten.append(store.forget(DAY * 1000))

    forgotten: list[int] = []
    with before_each(store, forget):
        assert take(store, 5) == 0
    assert forgotten == [1]
    assert [row["taken"] for row in dump(store)["request_rate"]] == [[clock.milliseconds]]


@between_processes
def test_who_is_overtaken_counts_the_other_one(store: StateStore, other: StateStore) -> None:
    """Between what is read and what is written another process takes the last one that is left."""

    def overtake(statement: str) -> None:
        if not statement.startswith("SELECT") and len(overtaking) < 2:
            overtaking.append(take(other, 2))

    overtaking: list[int] = []
    with before_each(store, overtake):
        assert take(store, 2) == 1_000
    assert overtaking == [0, 0]
    assert dump(store)["request_rate"][0]["taken"] == [START * 1000] * 2


# --- what it costs --------------------------------------------------------------------------------


def test_a_request_takes_two_statements_and_a_refusal_one(store: StateStore) -> None:
    assert [said.split()[0] for said in statements(store)] == ["SELECT", "INSERT"]
    assert [said.split()[0] for said in statements(store)] == ["SELECT", "UPDATE"]
    assert [said.split()[0] for said in statements(store)] == ["SELECT"]


@pytest.mark.postgresql
@pytest.mark.parametrize("state_url", ["postgresql"], indirect=True)
def test_on_postgresql_only_this_commit_waits_for_no_disk(store: StateStore) -> None:
    take(store, 2)
    assert "set_config" in statements(store)[1]
    transactions = store._transactions  # type: ignore[attr-defined]
    for opened in (transactions.hasty, transactions.writing):
        with opened() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


@pytest.mark.parametrize("state_url", ["sqlite file"], indirect=True)
def test_on_sqlite_only_these_connections_wait_for_no_disk(store: StateStore) -> None:
    take(store, 5)
    transactions = store._transactions  # type: ignore[attr-defined]
    for opened, synchronous in ((transactions.hasty, 1), (transactions.writing, 2), (transactions.reading, 2)):
        with opened() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == synchronous
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"

"""Event history under several indexers at once, and where commits are lost: each event once, no position ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from opentrail_backends.state.port import OutcomeUnknown, StateError, StateStore
from opentrail_backends.state.port.event_history import HistoryMoved
from tests.contracts.state.conftest import Opener
from tests.contracts.state.history_samples import TOPIC, WEEK, add, event, found, names, pages, query
from tests.contracts.state.samples import REGION

INDEXERS = 5


@pytest.fixture(autouse=True)
def without_tables_of_weeks(store: StateStore) -> Iterator[None]:
    """PostgreSQL's database is that of all tests, which only removes rows."""
    yield
    store.history.forget(1 << 40)


def at_once(open_store: Opener, work: Callable[[int, StateStore], Any]) -> list[Any]:
    """What each of some processes' stores gives, or raises, when all begin together."""
    start = threading.Barrier(INDEXERS)

    def run(number: int) -> Any:
        store = open_store()
        start.wait(60)
        try:
            return work(number, store)
        except (HistoryMoved, StateError) as error:
            return error

    with ThreadPoolExecutor(INDEXERS) as threads:
        return list(threads.map(run, range(INDEXERS)))


def test_indexers_that_need_the_same_tables_at_once_all_succeed(store: StateStore, open_store: Opener) -> None:
    weeks = range(3)

    def index(number: int, its_own: StateStore) -> int:
        return add(its_own, *(event(f"{number} {week}", -week * WEEK) for week in weeks), partition=number)

    assert at_once(open_store, index) == [len(weeks)] * INDEXERS
    assert sorted(found(store)) == sorted(f"{number} {week}" for number in range(INDEXERS) for week in weeks)


def test_of_indexers_of_one_partition_one_goes_on(store: StateStore, open_store: Opener) -> None:
    for before, after in ((None, 1), (1, 2)):
        added = at_once(
            open_store,
            lambda number, its_own, offsets=(before, after): its_own.history.add(  # type: ignore[misc]
                REGION, 0, TOPIC, offsets, [event(f"{offsets} by {number}")]
            ),
        )
        assert sorted(str(type(one).__name__) for one in added) == ["HistoryMoved"] * (INDEXERS - 1) + ["int"]
        assert store.history.position(REGION, 0, TOPIC) == after
    assert len(found(store)) == 2


def test_an_id_that_several_partitions_have_at_once_is_indexed_once(store: StateStore, open_store: Opener) -> None:
    ids = [f"id {n}" for n in range(50)]

    def index(number: int, its_own: StateStore) -> int:
        for _ in range(100):
            try:
                return add(its_own, *(event(f"{id_} of {number}", event_id=id_) for id_ in ids), partition=number)
            except StateError:  # another one has just added them
                continue
        raise AssertionError("never added")

    assert sorted(at_once(open_store, index)) == [0] * (INDEXERS - 1) + [len(ids)]
    assert len(found(store)) == len(ids)
    for id_ in ids:
        (name,) = found(store, ("EventId", id_))
        assert name.startswith(f"{id_} of ")


def test_readers_see_whole_batches_while_indexers_work(store: StateStore, open_store: Opener) -> None:
    size, rounds = 20, 10

    def work(number: int, its_own: StateStore) -> None:
        if number == 0:
            for _ in range(rounds):
                seen = names([one for page in pages(its_own.history, query(("Username", "1")), 7) for one in page])
                assert len(set(seen)) == len(seen)
                assert len(found(its_own, ("Username", "2"))) % size == 0
            return
        for batch in range(rounds):
            events = [event(f"{number} {batch} {n}", n, ("Username", f"{number}")) for n in range(size)]
            assert add(its_own, *events, partition=number) == size

    assert at_once(open_store, work) == [None] * INDEXERS
    assert len(found(store)) == (INDEXERS - 1) * rounds * size


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_commit_without_an_answer_is_repeated_from_the_position(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, lost: int, *, kept: bool
) -> None:
    """The first commit numbers the blocks, the second one adds: nothing of it is half there."""
    add(store, event("before"))
    events = [event("a"), event("b", -WEEK)]
    lose_commit(store, monkeypatch, lost, kept=kept)
    with pytest.raises(OutcomeUnknown):
        add(store, *events)
    is_there = kept and lost == 2
    assert store.history.position(REGION, 0, TOPIC) == (2 if is_there else 1)
    assert found(store) == (["a", "before", "b"] if is_there else ["before"])
    assert add(store, *events) == (0 if is_there else 2)
    assert found(store) == ["a", "before", "b"]


def lose_commit(store: StateStore, monkeypatch: pytest.MonkeyPatch, which: int, *, kept: bool) -> None:
    """The connection breaks after (kept) or before one of the next commits; no answer comes either way."""
    dialect = store._transactions.engine.dialect  # type: ignore[attr-defined]
    commit, rollback = dialect.do_commit, dialect.do_rollback
    commits = iter(range(1, which + 1))

    def do_commit(connection: Any) -> None:
        if next(commits) < which:
            commit(connection)
            return
        monkeypatch.setattr(dialect, "do_commit", commit)
        (commit if kept else rollback)(connection)
        raise dialect.loaded_dbapi.OperationalError("the connection was lost")

    monkeypatch.setattr(dialect, "do_commit", do_commit)

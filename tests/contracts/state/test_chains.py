"""Chains: which there are, when they are due, and where their times begin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import Chain, NewChange, StateError, StateStore
from tests.contracts.state.samples import (
    START,
    chain,
    current,
    digest,
    dump,
)

HOUR = 3600
LATER = START + 100 * HOUR


# --- chains are made ------------------------------------------------------------------------------


def test_a_chain_comes_back_as_it_was_made(store: StateStore) -> None:
    plain = chain()
    organization = chain(
        "chain-2", incarnation="trail-2", key_prefix="a/b", organization_id="o-1", place="place-2", last_end=START + 1
    )
    store.chains.ensure_chains([plain, organization])
    assert store.chains.all_chains() == [plain, organization]


def test_ensuring_again_changes_nothing_even_under_another_id(store: StateStore, first: Chain) -> None:
    store.chains.append(first, digest(first), [], first.next_end + HOUR, ended=False)
    before = dump(store)
    store.chains.ensure_chains(
        [chain(), chain("chain-2"), chain(last_end=LATER, next_end=LATER + 1, place="elsewhere")]
    )
    store.chains.ensure_chains([])
    assert dump(store) == before


@pytest.mark.parametrize(
    "different",
    [{"incarnation": "trail-2"}, {"logging_session": 2}, {"account_id": "999999999999"}, {"region": "eu-west-1"}],
    ids=lambda different: next(iter(different)),
)
def test_incarnation_session_account_and_region_tell_chains_apart(
    store: StateStore, first: Chain, different: dict[str, object]
) -> None:
    store.chains.ensure_chains([chain("chain-2", place="place-2", **different)])
    assert {found.id for found in store.chains.all_chains()} == {"chain-1", "chain-2"}


def test_an_id_that_another_chain_has_is_refused(store: StateStore, first: Chain) -> None:
    with pytest.raises(StateError):
        store.chains.ensure_chains([chain("chain-1", incarnation="trail-2")])
    assert store.chains.all_chains() == [first]


def test_who_knows_an_older_configuration_starts_no_chain(store: StateStore) -> None:
    revision = store.configuration.apply([NewChange(Kind.TRAIL, "trail-9", {})])
    there = store.chains.all_chains()
    store.chains.ensure_chains([chain("late", logging_session=9)], revision - 1)
    store.chains.ensure_chains([chain("late", logging_session=9)], revision + 1)
    assert store.chains.all_chains() == there
    store.chains.ensure_chains([chain("late", logging_session=9)], revision)
    assert [made.id for made in store.chains.all_chains() if made.logging_session == 9] == ["late"]


def test_processes_that_ensure_the_same_chains_at_once_make_each_once(store: StateStore, other: StateStore) -> None:
    wanted = [chain(f"chain-{n}", account_id=f"{n:012}", place=f"place-{n % 7}") for n in range(40)]
    start = Barrier(4)

    def ensure(index: int) -> None:
        start.wait()
        (store, other)[index % 2].chains.ensure_chains(wanted if index < 2 else reversed(wanted))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(ensure, range(4)))
    assert len(store.chains.all_chains()) == 40


def test_a_new_chain_begins_above_every_stamp_of_its_place(store: StateStore, first: Chain) -> None:
    """Across incarnations: a trail deleted and made anew, whose clock may even be behind."""
    assert store.chains.append(first, digest(first, START + 5000), [], START + 9000, ended=True)

    again = {"incarnation": "trail-2", "last_end": START, "next_end": START + HOUR}
    store.chains.ensure_chains([chain("again", **again), chain("elsewhere", **again, region="eu-west-1", place="x")])

    made, elsewhere = current(store, "again"), current(store, "elsewhere")
    assert (made.last_end, made.next_end) == (START + 5001, START + 5002)
    assert (elsewhere.last_end, elsewhere.next_end) == (START, START + HOUR)


def test_a_new_chain_that_is_above_keeps_its_times(store: StateStore, first: Chain) -> None:
    store.chains.append(first, digest(first, START + 5000), [], START + 9000, ended=True)
    store.chains.ensure_chains([chain("again", logging_session=2, last_end=START + 6000, next_end=START + 7000)])
    assert (current(store, "again").last_end, current(store, "again").next_end) == (START + 6000, START + 7000)


# --- what is due ----------------------------------------------------------------------------------


def test_chains_are_due_at_their_time_the_longest_due_first(store: StateStore) -> None:
    for name, next_end in (("b", START + 20), ("a", START + 20), ("c", START + 10), ("d", START + 21)):
        store.chains.ensure_chains([chain(name, account_id=name, place=name, next_end=next_end)])

    def due(now: int, limit: int = 10) -> list[str]:
        return [found.id for found in store.chains.due(now, limit)]

    assert due(START + 9) == []
    assert due(START + 20) == ["c", "a", "b"]
    assert due(START + 20, limit=2) == ["c", "a"]


def test_an_ending_chain_is_due_at_once_and_an_ended_one_never(store: StateStore, first: Chain) -> None:
    assert store.chains.due(START, 10) == []
    store.chains.mark_ending(first.id)
    store.chains.mark_ending(first.id)
    (ending,) = store.chains.due(START, 10)
    assert ending == replace(first, ending=True)

    assert store.chains.append(ending, digest(ending, START + 5), [], START + 5, ended=True)
    assert store.chains.due(LATER, 10) == []
    assert current(store).ended


def test_only_a_chain_that_exists_can_be_ended(store: StateStore) -> None:
    with pytest.raises(StateError, match="no chain nothing"):
        store.chains.mark_ending("nothing")


def test_all_chains_has_the_newest_ended_session_and_everything_that_goes_on(store: StateStore) -> None:
    def ended(session: int) -> None:
        made = chain(f"session-{session}", logging_session=session)
        store.chains.ensure_chains([made])
        made = current(store, made.id)
        assert store.chains.append(made, digest(made), [], made.next_end, ended=True)

    ended(1)
    ended(2)
    assert [found.id for found in store.chains.all_chains()] == ["session-2"]
    store.chains.ensure_chains([chain("session-3", logging_session=3), chain("other", account_id="999999999999")])
    assert [found.id for found in store.chains.all_chains()] == ["session-3", "other"]


def test_a_chain_that_ended_and_is_wanted_again_goes_on_with_a_starting_digest(store: StateStore, first: Chain) -> None:
    last = digest(first)
    assert store.chains.append(first, last, [], last.end + HOUR, ended=True)
    assert current(store).ended
    store.chains.ensure_chains([chain()])
    again = current(store)
    assert not again.ended
    assert (again.head_key, again.head_signature, again.sequence) == (None, None, 1)
    assert last.end < again.last_end < again.next_end
    store.chains.ensure_chains([chain()])
    assert current(store) == again


def test_a_moved_chain_links_to_its_old_place_and_rises_above_the_stamps_of_the_new_one(
    store: StateStore, first: Chain
) -> None:
    there = chain("there", incarnation="trail-2", place="new place")
    store.chains.ensure_chains([there])
    stamp = digest(current(store, "there"), end=first.next_end + 5 * HOUR)
    assert store.chains.append(current(store, "there"), stamp, [], stamp.end + HOUR, ended=True)
    assert store.chains.append(first, digest(first), [], first.next_end + HOUR, ended=False)
    before = current(store)
    assert not store.chains.move(first, "new-bucket", "prefix", None, "new place"), "the head has moved since"
    assert store.chains.move(before, "new-bucket", "prefix", None, "new place")
    moved = current(store)
    assert (moved.bucket, moved.key_prefix, moved.place) == ("new-bucket", "prefix", "new place")
    assert moved.head_key == before.head_key
    assert moved.next_end > stamp.end

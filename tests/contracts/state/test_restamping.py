"""Waiting digests that get later stamps: above all that were used in the place where each lies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail_backends.state.port import BuiltDigest, Chain, StateStore
from tests.contracts.state.conftest import Clock
from tests.contracts.state.samples import START, chain, current, digest

NEW = "place-2"


def append(store: StateStore, of: Chain, end: int) -> BuiltDigest:
    built = digest(of, end)
    assert store.chains.append(of, built, [], end + 3600, ended=False)
    return built


def later(built: BuiltDigest, end: int) -> BuiltDigest:
    return replace(built, end=end, object_key=f"AWSLogs/restamped-{built.chain_id}-{end}", signature=f"again-{end}")


@pytest.fixture
def two(store: StateStore) -> tuple[Chain, Chain]:
    """Two chains of one place."""
    store.chains.ensure_chains([chain("ours"), chain("other", incarnation="trail-2")])
    return current(store, "ours"), current(store, "other")


def test_a_stamp_between_those_of_waiting_digests_is_anothers(store: StateStore, two: tuple[Chain, Chain]) -> None:
    ours, other = two
    first = append(store, ours, START + 10)
    append(store, other, START + 11)
    second = append(store, current(store, "ours"), START + 30)
    waiting = [first, second]
    assert not store.chains.replace_waiting(waiting, [later(first, START + 11), later(second, START + 31)])
    assert not store.chains.replace_waiting(waiting, [later(first, START + 30), later(second, START + 31)])
    assert store.chains.replace_waiting(waiting, [later(first, START + 31), later(second, START + 32)])
    assert current(store, "ours").last_end == START + 32
    assert current(store, "other").next_end > START + 32


def test_the_stamps_of_the_place_where_a_digest_lies_count_not_those_where_its_chain_has_moved(
    store: StateStore, clock: Clock, two: tuple[Chain, Chain]
) -> None:
    ours, _ = two
    first = append(store, ours, START + 10)
    assert store.chains.move(current(store, "ours"), "another-bucket", None, None, NEW)
    assert store.chains.replace_waiting([first], [later(first, START + 20)])
    assert current(store, "other").next_end > START + 20, "the other chain of the old place does not use it again"
    other = current(store, "other")
    assert not store.chains.append(other, digest(other, START + 20), [], START + 3620, ended=False)
    moved = current(store, "ours")
    assert (moved.place, moved.last_end) == (NEW, START + 20)
    store.chains.ensure_chains([chain("newcomer", incarnation="trail-3", place=NEW)])
    newcomer = current(store, "newcomer")
    assert store.chains.append(newcomer, digest(newcomer, START + 15), [], START + 3615, ended=False), (
        "it is free there"
    )


def test_the_next_digest_of_a_chain_that_has_moved_ends_after_its_restamped_head(
    store: StateStore, clock: Clock, two: tuple[Chain, Chain]
) -> None:
    ours, _ = two
    first = append(store, ours, START + 10)
    assert store.chains.move(current(store, "ours"), "another-bucket", None, None, NEW)
    far = START + 4000
    assert store.chains.replace_waiting([first], [later(first, far)])
    assert current(store, "ours").next_end == far + 1
    assert "ours" not in {due.id for due in store.chains.due(far, 10)}
    (due,) = [due for due in store.chains.due(far + 1, 10) if due.id == "ours"]
    assert store.chains.append(due, digest(due), [], far + 3601, ended=False)

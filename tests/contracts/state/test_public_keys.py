"""Signing keys: one per region and time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from opentrail_backends.state.port import PublicKey, StateStore
from tests.contracts.state.samples import REGION, public_key


def test_there_is_no_key_yet(store: StateStore) -> None:
    assert store.public_keys.covering(REGION, 100) is None
    assert store.public_keys.between(REGION, 0, 2**40) == []


def test_a_key_covers_its_validity_both_ends_included(store: StateStore) -> None:
    key = public_key("a", 100, 200)
    assert store.public_keys.add(key) == key
    assert [store.public_keys.covering(REGION, at) for at in (99, 100, 200, 201)] == [None, key, key, None]
    assert store.public_keys.covering("eu-west-1", 150) is None


@pytest.mark.parametrize("valid_from", [100, 150, 200])
def test_a_time_that_is_covered_gets_no_second_key(store: StateStore, valid_from: int) -> None:
    first = store.public_keys.add(public_key("a", 100, 200))
    assert store.public_keys.add(public_key("b", valid_from, 300)) == first
    assert store.public_keys.between(REGION, 0, 1000) == [first]


def test_a_key_before_or_after_or_of_another_region_is_added(store: StateStore) -> None:
    for key in (
        public_key("a", 100, 200),
        public_key("after", 201, 300),
        public_key("before", 50, 400),
        public_key("a", 100, 200, region="eu-west-1"),
    ):
        assert store.public_keys.add(key) == key


def test_of_two_keys_the_one_that_became_valid_later_covers(store: StateStore) -> None:
    late = store.public_keys.add(public_key("late", 150, 200))
    early = store.public_keys.add(public_key("early", 100, 300))
    assert [store.public_keys.covering(REGION, at) for at in (149, 150, 200, 201)] == [early, late, late, early]


def test_keys_of_a_range_are_those_whose_validity_meets_it_in_order(store: StateStore) -> None:
    second = store.public_keys.add(public_key("b", 201, 300))
    first = store.public_keys.add(public_key("a", 100, 200))
    assert store.public_keys.between(REGION, 0, 1000) == [first, second]
    assert store.public_keys.between(REGION, 200, 201) == [first, second]
    assert store.public_keys.between(REGION, 0, 100) == [first]
    assert store.public_keys.between(REGION, 300, 300) == [second]
    assert store.public_keys.between(REGION, 0, 99) == store.public_keys.between(REGION, 301, 400) == []


def test_a_key_whose_validity_ends_before_it_begins_is_refused(store: StateStore) -> None:
    with pytest.raises(ValueError, match="ends before"):
        store.public_keys.add(public_key("a", 200, 199))


def test_of_processes_that_add_at_once_one_wins_and_all_learn_which(store: StateStore, other: StateStore) -> None:
    racers = 8
    start = Barrier(racers)

    def add(index: int) -> PublicKey:
        start.wait()
        return (store, other)[index % 2].public_keys.add(public_key(f"key-{index}", 100, 1000))

    with ThreadPoolExecutor(racers) as threads:
        answers = set(threads.map(add, range(racers)))

    assert list(answers) == store.public_keys.between(REGION, 0, 2000)

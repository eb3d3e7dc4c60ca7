"""Numbers of clients, against a model that remembers every number."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opentrail.events.batch import ranges_of
from opentrail.events.client_numbers import MAX_HOLES, MAX_UNSEEN_MS, ClientNumbers, bounded, count_of, covers, take

messages = st.lists(st.sets(st.integers(0, 60), min_size=1, max_size=12), min_size=1, max_size=25)


def numbers_in(ranges):
    return [n for first, last in ranges for n in range(first, last + 1)]


@given(messages)
def test_each_number_is_new_exactly_once_whatever_the_order_and_the_splits(sent):
    known, delivered, repeats = ClientNumbers(), set(), 0
    for at, numbers in enumerate(sent):
        taken = take(known, ranges_of(numbers), at)
        assert not taken.unknown
        assert set(numbers_in(taken.repeats)) == numbers & delivered
        repeats += len(numbers & delivered)
        delivered |= numbers
        known = taken.numbers
        assert (known.repeats, known.given_up) == (repeats, 0)
        assert known.missing == known.newest + 1 - len(delivered)
        assert known.newest == max(delivered)
        assert set(numbers_in(known.holes)) == set(range(known.newest)) - delivered
        assert list(known.holes) == ranges_of(numbers_in(known.holes)), "runs rise, apart from each other"
        assert known.seen_at == at


@pytest.mark.parametrize("first", [10_000, 10_001], ids=["repeats", "fills holes"])
def test_a_client_with_all_holes_that_it_may_have_costs_no_more_than_others(first):
    """One thread takes the messages of all accounts: a second for each would be a hostile client's way to stop it."""
    known = take(ClientNumbers(), [(n, n) for n in range(0, 2 * MAX_HOLES + 1, 2)], 1).numbers
    assert len(known.holes) == MAX_HOLES
    sent = [(n, n) for n in range(first, first + 1_000, 2)]
    began = time.process_time()
    taken = take(known, sent, 1)
    assert time.process_time() - began < 0.2, "two seconds before each range looked only at the holes that it meets"
    assert len(taken.repeats) + MAX_HOLES - len(taken.numbers.holes) == len(sent)


@given(messages, st.integers(0, 3))
def test_with_holes_given_up_nothing_is_delivered_twice_and_nothing_vanishes_unseen(sent, max_holes):
    clients, delivered, dead, given_up = {b"c": ClientNumbers()}, set(), set(), set()
    for at, numbers in enumerate(sent):
        taken = take(clients[b"c"], ranges_of(numbers), at)
        repeats, unknown = set(numbers_in(taken.repeats)), set(numbers_in(taken.unknown))
        assert repeats <= delivered, "a number that was never delivered is no repeat"
        new = numbers - repeats - unknown
        assert not new & delivered
        delivered |= new
        dead |= unknown
        assert unknown & given_up == unknown - delivered, "what was given up tells which dead letters are new"
        clients, gone = bounded({b"c": taken.numbers}, max_holes=max_holes)
        now_given_up = set(numbers_in(gone.get(b"c", ())))
        assert now_given_up == set(numbers_in(taken.numbers.holes)) - set(numbers_in(clients[b"c"].holes))
        given_up |= now_given_up
        assert clients[b"c"].given_up == len(given_up)
        assert len(clients[b"c"].holes) <= max_holes
    assert delivered | dead >= set().union(*sent)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), min_size=1, max_size=40), st.integers(1, 4))
def test_the_least_recently_seen_client_is_forgotten_first(seen, max_clients):
    clients = {}
    for client, at in seen:
        client_id = bytes([client])
        clients[client_id] = take(clients.get(client_id, ClientNumbers()), [(0, 0)], at).numbers
    kept = bounded(clients, max_clients=max_clients).clients
    assert len(kept) == min(len(clients), max_clients)
    forgotten = [clients[c].seen_at for c in clients if c not in kept]
    assert not forgotten or max(forgotten) <= min(n.seen_at for n in kept.values())


def test_holes_are_given_up_by_the_client_that_was_seen_least_recently():
    clients = {
        b"old": ClientNumbers(9, ((0, 0), (2, 3)), seen_at=1),
        b"new": ClientNumbers(9, ((0, 0), (5, 5)), seen_at=2),
    }
    kept, given_up = bounded(clients, max_holes=3)
    assert kept[b"old"] == ClientNumbers(9, ((2, 3),), floor=1, seen_at=1, given_up=1)
    assert kept[b"new"] == clients[b"new"]
    assert given_up == {b"old": ((0, 0),)}
    assert bounded(clients, max_holes=4) == (clients, {})
    assert bounded(clients, max_holes=1).given_up == {b"old": ((0, 0), (2, 3)), b"new": ((0, 0),)}


def test_a_client_that_was_not_seen_for_as_long_as_the_bus_keeps_messages_is_forgotten():
    clients = {b"old": ClientNumbers(9, seen_at=1_000), b"new": ClientNumbers(3, seen_at=1_000 + MAX_UNSEEN_MS)}
    assert bounded(clients).clients == clients
    later = {**clients, b"new": ClientNumbers(3, seen_at=1_001 + MAX_UNSEEN_MS)}
    assert bounded(later).clients.keys() == {b"new"}
    assert bounded({}) == ({}, {})


def test_count_of():
    assert [count_of(ranges) for ranges in ([], [(4, 4)], [(1, 2), (5, 7)])] == [0, 1, 5]


def test_covers():
    assert [n for n in range(10) if covers([(1, 2), (5, 5)], n)] == [1, 2, 5]

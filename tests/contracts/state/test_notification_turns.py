"""Who tells a trail's topic: one at a time, another after a while, and no trail hides another."""

from __future__ import annotations

from typing import Any

from opentrail_backends.state.port import StateStore, Turn
from tests.contracts.state.conftest import between_processes
from tests.contracts.state.notification_samples import LEASE, deliver, keys, take
from tests.contracts.state.samples import REGION, Clock


def test_a_turn_is_had_by_one_until_it_ends(store: StateStore, other: StateStore) -> None:
    deliver(store, "a")
    turn = take(store)
    assert other.notifications.take_turns(10, LEASE) == []
    store.notifications.end_turn(turn)
    assert take(other).token != turn.token


def test_a_turn_whose_holder_died_is_had_by_another_after_the_lease(
    store: StateStore, other: StateStore, clock: Clock
) -> None:
    deliver(store, "a")
    dead = take(store)
    clock.move(LEASE / 1000 - 1)
    assert other.notifications.take_turns(10, LEASE) == []
    clock.move(1)
    living = take(other)
    assert not store.notifications.told(dead, store.notifications.untold("trail-1", 10), LEASE)
    assert keys(store) == [], "told is told, whoever did it"
    deliver(store, "b")
    store.notifications.end_turn(dead)
    assert store.notifications.take_turns(10, LEASE) == [], "a dead one ends nobody's turn"
    assert other.notifications.told(living, [], LEASE)


def test_telling_keeps_the_turn(store: StateStore, other: StateStore, clock: Clock) -> None:
    deliver(store, "a", "b")
    turn = take(store)
    clock.move(LEASE / 1000 - 1)
    assert store.notifications.told(turn, store.notifications.untold("trail-1", 1), LEASE)
    clock.move(LEASE / 1000 - 1)
    assert other.notifications.take_turns(10, LEASE) == []


def test_trails_have_turns_of_their_own_and_the_longest_waiting_comes_first(store: StateStore) -> None:
    for number, name in enumerate(["trail-9", "trail-1", "trail-5"]):
        deliver(store, name, incarnation=name, part=number)
    first, second = store.notifications.take_turns(2, LEASE)
    assert [first.incarnation, second.incarnation] == ["trail-9", "trail-1"]
    assert [turn.incarnation for turn in store.notifications.take_turns(2, LEASE)] == ["trail-5"]
    assert keys(store, "trail-9") == ["trail-9"]


def test_a_trail_that_waits_for_its_retry_hides_no_other(store: StateStore) -> None:
    deliver(store, "bad", incarnation="trail-0")
    deliver(store, "good", part=1)
    (bad, good) = store.notifications.take_turns(2, LEASE)
    store.notifications.failed(bad, [REGION], "AuthorizationError", 10_000)
    store.notifications.end_turn(good)
    assert [turn.incarnation for turn in store.notifications.take_turns(1, LEASE)] == ["trail-1"]


@between_processes
def test_of_two_that_take_a_turn_at_the_same_moment_one_has_it(store: StateStore, other: StateStore) -> None:
    deliver(store, "a")
    original = store.notifications._clock.read  # type: ignore[attr-defined]
    taken: list[Turn] = []

    def overtaken(connection: Any) -> int:
        """Between our look and our write another process takes the turn."""
        if not taken:
            taken.append(take(other))
        return original(connection)

    store.notifications._clock.read = overtaken  # type: ignore[attr-defined]
    try:
        assert store.notifications.take_turns(10, LEASE) == []
    finally:
        store.notifications._clock.read = original  # type: ignore[attr-defined]
    assert len(taken) == 1

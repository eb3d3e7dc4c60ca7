"""Changes of the configuration are forgotten, but not what any time or intent that counts can ask for."""

from __future__ import annotations

import random

import pytest

from opentrail.trails.configuration import Configuration, ConfigurationHistory, Kind, trail_body
from opentrail.trails.trail import Trail
from opentrail_backends.state.port import Intent, NewChange, StateStore
from tests.contracts.state.samples import REGION, START, Clock, dump

DAY = 24 * 3600
KEPT = 35 * DAY
HORIZON = KEPT + DAY
"""How long before now (seconds) everything must still be known."""


def forget(store: StateStore, limit: int = 5_000) -> int:
    return store.forget(KEPT * 1000, limit)


def trail(name: str, bucket: str) -> NewChange:
    made = Trail(
        incarnation=name,
        name=name,
        account_id="111122223333",
        home_region=REGION,
        s3_bucket_name=bucket,
        is_logging=True,
    )
    return NewChange(Kind.TRAIL, name, trail_body(made))


def gone(name: str) -> NewChange:
    return NewChange(Kind.TRAIL, name, None)


def apply(store: StateStore, clock: Clock, *changes: NewChange) -> None:
    for change in changes:
        store.configuration.apply([change])
        clock.move(10)


def revisions(store: StateStore) -> list[int]:
    return [change.revision for change in store.configuration.changes_after(0)]


def history(store: StateStore) -> ConfigurationHistory:
    return ConfigurationHistory(store.configuration.changes_after(0))


def content(configuration: Configuration) -> object:
    return configuration.revision, dict(configuration.trails), dict(configuration.accounts)


def test_the_newest_change_of_each_entity_up_to_the_horizon_stays(store: StateStore, clock: Clock) -> None:
    apply(store, clock, trail("a", "1"), trail("a", "2"), trail("b", "1"), trail("c", "1"), gone("c"), trail("d", "1"))
    clock.move(HORIZON - 5)  # 5 s after the last change: the change before it is older than the horizon
    apply(store, clock, trail("a", "3"), gone("b"))
    before = history(store)
    assert forget(store) == 3
    assert revisions(store) == [2, 3, 6, 7, 8]
    assert forget(store) == 0
    after = history(store)
    assert content(after.newest) == content(before.newest)
    for revision in (6, 7, 8):
        assert content(after.at_revision(revision)) == content(before.at_revision(revision))
    with pytest.raises(KeyError):
        after.at_revision(1)


def test_the_horizons_own_change_stays_although_it_is_a_deletion(store: StateStore, clock: Clock) -> None:
    apply(store, clock, trail("a", "1"), trail("b", "1"), gone("a"))
    clock.move(HORIZON)
    assert forget(store) == 1
    assert revisions(store) == [2, 3]
    assert history(store).at_revision(3).trails.keys() == {"b"}
    apply(store, clock, trail("c", "1"))
    clock.move(HORIZON)
    assert forget(store) == 1
    assert revisions(store) == [2, 4]


def test_a_young_configuration_stays_whole(store: StateStore, clock: Clock) -> None:
    apply(store, clock, *(trail("a", f"{number}") for number in range(5)))
    clock.move(HORIZON - 60)
    assert forget(store) == 0
    assert revisions(store) == [1, 2, 3, 4, 5]


def test_at_most_the_limit_goes_at_once_and_any_part_of_it_may_be_gone(store: StateStore, clock: Clock) -> None:
    apply(store, clock, *(trail("ab"[number % 2], f"{number}") for number in range(10)))
    before = history(store)
    clock.move(HORIZON)
    assert [forget(store, limit=3) for _ in range(4)] == [3, 3, 2, 0]
    assert revisions(store) == [9, 10]
    assert content(history(store).newest) == content(before.newest)


@pytest.mark.parametrize("named", [0, 2, 4])
def test_what_an_open_intent_names_stays_until_the_intent_is_closed(
    store: StateStore, clock: Clock, named: int
) -> None:
    apply(store, clock, *(trail("a", f"{number}") for number in range(1, 6)))
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = Intent(1, 0, 10, {"revisions": [[0, 5], [3, named], [7, 4]]}, [])
    lease = store.ledger.write_intent(lease, window)
    clock.move(10 * HORIZON)
    before = history(store)
    assert forget(store) == max(named - 1, 0)
    assert revisions(store) == list(range(max(named, 1), 6))
    assert content(history(store).at_revision(named)) == content(before.at_revision(named))
    store.ledger.deliver(lease, window)
    forget(store)
    assert revisions(store) == [5]


@pytest.mark.parametrize("seed", range(8))
def test_each_time_from_the_horizon_on_has_the_configuration_that_it_had(store: StateStore, seed: int) -> None:
    """Any changes, forgotten in any parts: also in a process that starts in between."""
    chance = random.Random(seed)
    clock = store._clock._source  # type: ignore[attr-defined]
    for _ in range(60):
        name = chance.choice("abcdef")
        change = gone(name) if chance.random() < 0.3 else trail(name, f"{chance.random()}")
        store.configuration.apply([change] * chance.randint(1, 2))
        clock.move(chance.choice([0, 1, DAY, 3 * DAY]))
    whole = history(store)
    total = len(revisions(store))
    for _ in range(6):
        clock.move(chance.choice([0, 5 * DAY, 10 * DAY]))
        forget(store, limit=chance.choice([1, 7, 5000]))
        horizon = clock.milliseconds - HORIZON * 1000
        kept = history(store)
        times = [horizon, clock.milliseconds]
        times += [change.effective_at + at for change in whole._changes for at in (-1, 0, 1)]
        assert len(times) > 100
        for time in times:
            if time >= horizon:
                assert content(kept.at_time(time)) == content(whole.at_time(time))
                revision = whole.at_time(time).revision
                assert content(kept.at_revision(revision)) == content(whole.at_revision(revision))
        assert content(kept.newest) == content(whole.newest)
    forget(store)
    assert len(revisions(store)) < total
    assert dump(store)["configuration_head"][0]["revision"] == total


def test_a_process_that_goes_on_from_what_it_knows_learns_all_that_is_new(store: StateStore, clock: Clock) -> None:
    assert clock.milliseconds == START * 1000
    apply(store, clock, trail("a", "1"))
    known = history(store)
    apply(store, clock, trail("a", "2"), trail("b", "1"))
    clock.move(HORIZON)
    assert forget(store) == 1
    known.extend(store.configuration.changes_after(known.newest.revision))
    assert content(known.newest) == content(history(store).newest)

"""An operator settles a partition whose ledger and bus do not fit: all in one transaction, and fenced."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opentrail_backends.state.port import KnownTopic, Lease, LedgerLost, LostOffsets, Settlement, StateError, StateStore
from tests.contracts.state.samples import (
    ACCOUNT,
    LATER,
    PARKED,
    REGION,
    START,
    Clock,
    chain,
    dump,
    intended_file,
    intent,
)

FILES = {name: intended_file(name) for name in ("delivered", "digested", "parked", "lost")}
KEYS = {name: file.object_key for name, file in FILES.items()}
LOST = LostOffsets(
    region=REGION,
    partition=0,
    topic_id="old",
    first_offset=15,
    end_offset=20,
    reason="the log was cut",
    accounts=(ACCOUNT,),
)
SETTLEMENT = Settlement(
    topic_id="new",
    partitions=4,
    next_offset=7,
    delivered={KEYS["delivered"], KEYS["digested"]},
    digested={KEYS["digested"]},
    parked={KEYS["parked"]: PARKED},
    lost=[KEYS["lost"]],
    lost_offsets=[LOST],
)


@pytest.fixture
def lease(store: StateStore) -> Lease:
    """Two open intents behind a closed one, of a topic that is gone."""
    store.ledger.record_topic(REGION, "old", 8)
    lease, _ = store.ledger.own(REGION, 0, 0)
    lease = store.ledger.write_intent(lease, intent(1, 0, 10))
    lease = store.ledger.deliver(lease, intent(1, 0, 10))
    lease = store.ledger.write_intent(lease, intent(2, 10, 15, FILES["delivered"], FILES["digested"]))
    return store.ledger.write_intent(lease, intent(3, 15, 20, FILES["parked"], FILES["lost"]))


def test_all_open_intents_are_closed_by_what_became_of_their_files(
    store: StateStore, lease: Lease, clock: Clock
) -> None:
    clock.move(60)
    settled = store.ledger.settle(lease, SETTLEMENT)

    assert settled == replace(lease, next_offset=7)
    assert store.ledger.known_topic(REGION) == KnownTopic("new", 4)
    states = {row["object_key"]: (row["state"], row["delivered_at"], row["digest"]) for row in dump(store)["file"]}
    assert states == {
        KEYS["delivered"]: ("delivered", (START + 60) * 1000, None),
        KEYS["digested"]: ("delivered", (START + 60) * 1000, 0),
        KEYS["parked"]: ("parked", None, None),
        KEYS["lost"]: ("lost", None, 0),
    }
    (due,) = store.chains.undigested(chain(), LATER)
    assert due.object_key == KEYS["delivered"]
    (parked,) = store.ledger.parked_files(10)
    assert (parked.object_key, parked.size, parked.error) == (KEYS["parked"], PARKED.size, PARKED.error)
    assert store.trail_status("trail-1", REGION)["delivered_at"] == (START + 60) * 1000
    assert store.ledger.lost_offsets() == [replace(LOST, recorded_at=(START + 60) * 1000)]
    (window,) = store.ledger.windows()
    assert (window["next_offset"], window["open_intents"]) == (7, 0)
    assert [(row["number"], row["closed"]) for row in dump(store)["intent"]] == [(3, True)]


def test_delivery_goes_on_at_the_settled_offset(store: StateStore, lease: Lease) -> None:
    settled = store.ledger.settle(lease, SETTLEMENT)
    again, open_intents = store.ledger.own(REGION, 0, 99)
    assert (again.next_offset, again.last_intent, open_intents) == (7, settled.last_intent, [])
    following = intent(4, 7, 9)
    assert store.ledger.deliver(store.ledger.write_intent(again, following), following).next_offset == 9


def test_a_partition_without_open_intents_gets_another_offset_and_counts_as_no_delivery(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 40)
    settled = store.ledger.settle(lease, Settlement(topic_id="new", partitions=8, next_offset=0))
    assert settled.next_offset == 0
    assert store.ledger.windows()[0]["last_delivered_at"] is None
    assert store.ledger.lost_offsets() == []


def test_a_living_owner_is_fenced_out_by_a_settlement_and_fences_it_out(store: StateStore, lease: Lease) -> None:
    operators, _ = store.ledger.own(REGION, 0, 0)
    with pytest.raises(LedgerLost):
        store.ledger.deliver(lease, intent(2, 10, 15))
    store.ledger.own(REGION, 0, 0)
    before = dump(store)
    with pytest.raises(LedgerLost):
        store.ledger.settle(operators, SETTLEMENT)
    assert dump(store) == before


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"lost": []}, "is left out"),
        ({"lost": [KEYS["lost"], KEYS["parked"]]}, "is named twice"),
        ({"lost": [KEYS["lost"], KEYS["delivered"]]}, "is named twice"),
        ({"lost": [KEYS["lost"], "another"]}, "another is no file of an open intent"),
        ({"digested": [KEYS["lost"]]}, "is no delivered file"),
        ({"delivered": [KEYS["delivered"]], "digested": []}, "is left out"),
    ],
)
def test_a_settlement_that_does_not_say_of_each_file_once_what_became_of_it_changes_nothing(
    store: StateStore, lease: Lease, changes: dict[str, Any], why: str
) -> None:
    before = dump(store)
    with pytest.raises(StateError, match=rf"cannot be settled.* {why}.*nothing was changed"):
        store.ledger.settle(lease, replace(SETTLEMENT, **changes))
    assert dump(store) == before


def test_what_was_lost_is_shown_the_newest_first(store: StateStore, clock: Clock) -> None:
    for partition in range(3):
        lease, _ = store.ledger.own(REGION, partition, 40)
        lost = [replace(LOST, partition=partition, accounts=())]
        store.ledger.settle(lease, Settlement(topic_id="new", partitions=8, next_offset=50, lost_offsets=lost))
        clock.move(1)
    assert [(lost.partition, lost.accounts) for lost in store.ledger.lost_offsets()] == [(2, ()), (1, ()), (0, ())]
    assert [lost.recorded_at for lost in store.ledger.lost_offsets()] == [(START + at) * 1000 for at in (2, 1, 0)]

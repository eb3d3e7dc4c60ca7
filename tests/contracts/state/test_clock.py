"""The store's clock: recorded times never fall, whatever the machine's clock does."""

from __future__ import annotations

import time

from opentrail_backends.state.port import StateStore
from tests.contracts.state.conftest import Opener, between_processes
from tests.contracts.state.samples import START, Clock, chain, delivered, digest, dump

NOW = START * 1000


def test_all_ports_have_one_clock(store: StateStore, clock: Clock) -> None:
    assert store.ledger.now() == store.chains.now() == store.configuration.now() == NOW
    clock.milliseconds += 1
    assert store.ledger.now() == store.chains.now() == store.configuration.now() == NOW + 1


def test_a_clock_that_steps_back_stands_still_for_this_process(store: StateStore, clock: Clock) -> None:
    clock.move(10)
    given = store.ledger.now()
    clock.move(-5)
    assert store.ledger.now() == store.chains.now() == given
    delivered(store, ["a"])
    assert dump(store)["file"][0]["delivered_at"] == given
    clock.move(6)
    assert store.ledger.now() == given + 1000


def test_a_recorded_time_holds_for_every_process_after_a_step_back(store: StateStore, open_store: Opener) -> None:
    delivered(store, ["a"])
    behind = open_store(clock=Clock(START - 3600))
    assert behind.ledger.now() == NOW
    delivered(behind, ["b"])
    assert [row["delivered_at"] for row in dump(store)["file"]] == [NOW, NOW]


@between_processes
def test_the_clock_that_is_ahead_leads(store: StateStore, open_store: Opener) -> None:
    ahead = open_store(clock=Clock(START + 60))
    delivered(store, ["a"])
    delivered(ahead, ["b"])
    delivered(store, ["c"])
    assert [row["delivered_at"] - NOW for row in dump(store)["file"]] == [0, 60_000, 60_000]


def test_delivery_and_publication_record_times_in_order(store: StateStore, clock: Clock) -> None:
    store.chains.ensure_chains([chain()])
    store.chains.append(chain(), digest(chain()), [], START + 7200, ended=False)
    clock.move(5)
    store.chains.mark_published("chain-1", 1)
    clock.move(-5)
    delivered(store, ["a"])
    status = store.trail_status("trail-1", "us-east-1")
    assert (status["delivered_at"], status["digest_delivered_at"]) == (NOW + 5000, NOW + 5000)


def test_without_a_clock_of_ours_the_time_is_the_machines(open_store: Opener) -> None:
    real = open_store(clock=None)
    real.migrate()
    before = time.time_ns() // 1_000_000
    delivered(real, ["a"])
    now = real.ledger.now()
    minute = 60_000  # the server may be another machine
    assert before - minute <= dump(real)["file"][0]["delivered_at"] <= now <= time.time_ns() // 1_000_000 + minute

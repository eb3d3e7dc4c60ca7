"""Step 1, the fence: who lost a partition writes nothing, whatever it still wants and whenever it wakes up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from threading import Barrier, Event

import pytest

from opentrail_backends.state import ledger as ledger_module
from opentrail_backends.state.port import Lease, LedgerLost, StateStore
from tests.contracts.state.samples import PARKED, REGION, dump, intended_file, intent

OPEN = intent(1, 0, 10, intended_file("a"))

WRITES: dict[str, Callable[[StateStore, Lease], object]] = {
    "step 3": lambda store, lease: store.ledger.write_intent(lease, intent(2, 10, 20, intended_file("b"))),
    "step 4": lambda store, lease: store.ledger.rename_file(lease, 1, "AWSLogs/a.json.gz", "AWSLogs/z.json.gz"),
    "step 5": lambda store, lease: store.ledger.deliver(lease, OPEN),
    "step 5, parked": lambda store, lease: store.ledger.deliver(lease, OPEN, parked={"AWSLogs/a.json.gz": PARKED}),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())


@pytest.fixture
def lease(store: StateStore) -> Lease:
    """A partition with one open intent."""
    lease, _ = store.ledger.own(REGION, 0, 0)
    return store.ledger.write_intent(lease, OPEN)


@each_write
def test_an_owner_writes(store: StateStore, lease: Lease, write: Callable[[StateStore, Lease], object]) -> None:
    before = dump(store)
    write(store, lease)
    assert dump(store) != before


@each_write
def test_an_old_owner_that_wakes_up_writes_nothing(
    store: StateStore, other: StateStore, lease: Lease, write: Callable[[StateStore, Lease], object]
) -> None:
    other.ledger.own(REGION, 0, 0)
    before = dump(store)
    with pytest.raises(LedgerLost):
        write(store, lease)
    assert dump(store) == before


@each_write
@pytest.mark.parametrize(
    "unfit",
    [
        lambda lease: replace(lease, token="0" * 32),
        lambda lease: replace(lease, epoch=lease.epoch - 1),
        lambda lease: replace(lease, epoch=lease.epoch + 1),
        lambda lease: replace(lease, partition=1),
        lambda lease: replace(lease, region="eu-west-1"),
    ],
    ids=["token of a restored ledger", "epoch below", "epoch above", "other partition", "other region"],
)
def test_a_lease_must_fit_in_every_part(
    store: StateStore,
    lease: Lease,
    write: Callable[[StateStore, Lease], object],
    unfit: Callable[[Lease], Lease],
) -> None:
    before = dump(store)
    with pytest.raises(LedgerLost):
        write(store, unfit(lease))
    assert dump(store) == before


@pytest.mark.parametrize("last_intent", [0, 2])
def test_a_lease_names_the_last_intent(store: StateStore, lease: Lease, last_intent: int) -> None:
    """A ledger that moved on under the same epoch: two tasks of one owner."""
    stale = replace(lease, last_intent=last_intent)
    before = dump(store)
    for write in (WRITES["step 4"], WRITES["step 5"]):
        with pytest.raises(LedgerLost):
            write(store, stale)
    with pytest.raises(LedgerLost):
        store.ledger.write_intent(stale, intent(last_intent + 1, 10, 20))
    assert dump(store) == before


def test_a_new_owner_waits_for_a_write_that_holds_the_fence_and_sees_it(
    store: StateStore, other: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fence is a lock, not a look: between the look and the write nobody else becomes the owner."""
    lease, _ = store.ledger.own(REGION, 0, 0)
    fenced, go_on = Event(), Event()
    refuse_gap = ledger_module._refuse_gap

    def pause(*arguments: object) -> None:
        fenced.set()
        assert go_on.wait(60)
        refuse_gap(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger_module, "_refuse_gap", pause)
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(store.ledger.write_intent, lease, OPEN)
        assert fenced.wait(60)
        owning = threads.submit(other.ledger.own, REGION, 0, 0)
        assert not wait([owning], timeout=0.2).done
        go_on.set()
        assert writing.result(60).last_intent == 1
        new_lease, open_intents = owning.result(60)

    assert new_lease.last_intent == 1
    assert open_intents == [OPEN]


def test_of_owners_that_race_only_the_last_one_writes(store: StateStore, other: StateStore) -> None:
    racers = 6
    start = Barrier(racers)

    def race(index: int) -> Lease:
        start.wait()
        return (store, other)[index % 2].ledger.own(REGION, 0, 0)[0]

    with ThreadPoolExecutor(racers) as threads:
        leases = sorted(threads.map(race, range(racers)), key=lambda lease: lease.epoch)

    assert [lease.epoch for lease in leases] == list(range(1, racers + 1))
    for lease in leases[:-1]:
        with pytest.raises(LedgerLost):
            store.ledger.write_intent(lease, OPEN)
    store.ledger.write_intent(leases[-1], OPEN)


def test_two_owners_that_race_for_windows_deliver_each_offset_once(store: StateStore, other: StateStore) -> None:
    """Each takes the partition, redoes what is open, adds a window, and takes it again when it lost it."""
    rounds = 8
    done: list[tuple[int, int]] = []

    def work(own_store: StateStore) -> None:
        for _ in range(rounds):
            try:
                lease, open_intents = own_store.ledger.own(REGION, 0, 0)
                for window in open_intents:
                    lease = own_store.ledger.deliver(lease, window)
                    done.append((window.first_offset, window.end_offset))
                window = intent(lease.last_intent + 1, lease.next_offset, lease.next_offset + 5, intended_file("f"))
                lease = own_store.ledger.write_intent(lease, window)
                lease = own_store.ledger.deliver(lease, window)
                done.append((window.first_offset, window.end_offset))
            except LedgerLost:
                continue

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, (store, other)))
    work(store)

    assert sorted(done) == [(offset, offset + 5) for offset in range(0, 5 * len(done), 5)]
    assert len(dump(store)["file"]) == len(done)
    assert store.ledger.windows()[0]["next_offset"] == 5 * len(done)

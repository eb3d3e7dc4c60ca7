"""Rows that nothing needs any more go; what may still be needed stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import (
    Chain,
    DigestFailure,
    NewChange,
    Parking,
    Settlement,
    StateStore,
)
from tests.contracts.state.plans import looks_at_every, plans_of
from tests.contracts.state.samples import (
    ACCOUNT,
    HOUR,
    LATER,
    PARKED,
    REGION,
    START,
    Clock,
    chain,
    current,
    delivered,
    digest,
    dump,
    ids,
    intended_file,
    intent,
)

DAY = 24 * HOUR
KEPT = 35 * DAY


@pytest.fixture(autouse=True)
def trail(store: StateStore) -> None:
    """The trail exists: what tells its status stays."""
    store.configuration.apply([NewChange(Kind.TRAIL, "trail-1", {"name": "t"})])


def forget(store: StateStore, limit: int = 5_000) -> int:
    return store.forget(KEPT * 1000, limit)


def files(store: StateStore) -> list[str]:
    return [row["object_key"].split("/")[1].split(".")[0] for row in dump(store)["file"]]


def digested(store: StateStore, *names: str, chain_id: str = "chain-1", ended: bool = False, **changes: Any) -> int:
    """Files and the digest that names them, published; its sequence."""
    if names:
        delivered(store, names, **changes)
    head = current(store, chain_id)
    built = digest(head)
    taken = ids(store, head, built.end)
    assert store.chains.append(head, built, taken, built.end + HOUR, ended=ended)
    store.chains.mark_published(chain_id, built.sequence)
    return built.sequence


def test_files_go_so_long_after_their_digest_was_published(store: StateStore, clock: Clock, first: Chain) -> None:
    digested(store, "old", "old too")
    clock.move(10)
    digested(store, "young")
    delivered(store, ["undigested"])
    clock.move(KEPT - 10)
    assert forget(store) == 0
    clock.milliseconds += 1
    assert forget(store) == 2 + 1, "two files and their digest"
    assert files(store) == ["young", "undigested"]
    assert [row["sequence"] for row in dump(store)["digest"]] == [2]
    clock.move(LATER)
    assert forget(store) == 1
    assert forget(store) == 0
    assert files(store) == ["undigested"], "however old it is, a digest is yet to name it"
    assert [row["sequence"] for row in dump(store)["digest"]] == [2], "the chain's head"


def test_files_of_a_digest_that_waits_stay_and_so_does_the_digest(
    store: StateStore, clock: Clock, first: Chain
) -> None:
    digested(store, "a")
    delivered(store, ["waits"])
    head = current(store)
    built = digest(head)
    assert store.chains.append(head, built, ids(store, head, built.end), LATER, ended=False)
    store.chains.begin_puts([(first.id, 2)])
    store.chains.fail_puts([DigestFailure(first.id, 2, "AccessDenied", is_answered=True)])
    clock.move(2 * KEPT)
    assert forget(store) == 1
    assert files(store) == ["waits"]
    assert store.chains.withdraw(first.id) == 1
    assert current(store).head_key is not None, "the digest before it is still known"
    assert len(ids(store, first, 2 * LATER)) == 1


def test_files_that_no_digest_is_to_name_go_so_long_after_their_delivery(store: StateStore, clock: Clock) -> None:
    delivered(store, ["delivered"], is_digested=False)
    lease, _ = store.ledger.own(REGION, 1, 0)
    window = intent(1, 0, 10, *(intended_file(name, is_digested=False) for name in ("parked", "stays")))
    lease = store.ledger.write_intent(lease, window)
    store.ledger.deliver(lease, window, {file.object_key: PARKED for file in window.files})
    lost = intended_file("lost")
    lease = store.ledger.write_intent(store.ledger.own(REGION, 2, 0)[0], intent(1, 0, 10, lost))
    store.ledger.settle(lease, Settlement(topic_id="t", partitions=3, next_offset=0, lost=[lost.object_key]))
    store.ledger.write_intent(store.ledger.own(REGION, 3, 0)[0], intent(1, 0, 10, intended_file("intended")))
    clock.move(DAY)
    assert store.ledger.deliver_parked(store.ledger.parked_files(1)[0])
    clock.move(KEPT)
    store.ledger.expire_parked(0)
    assert forget(store) == 2
    assert files(store) == ["parked", "stays", "intended"]
    clock.move(1)
    assert forget(store) == 1
    assert files(store) == ["stays", "intended"]
    clock.move(1000 * DAY)
    assert forget(store) == 0


def test_parked_and_open_files_of_old_do_not_hide_what_may_go(store: StateStore, clock: Clock, first: Chain) -> None:
    window = intent(1, 0, 10, *(intended_file(f"open {n}", part=n) for n in range(1200)))
    store.ledger.write_intent(store.ledger.own(REGION, 8, 0)[0], window)
    lease, _ = store.ledger.own(REGION, 9, 0)
    window = intent(1, 0, 10, *(intended_file(f"{n}", part=n) for n in range(2500)))
    lease = store.ledger.write_intent(lease, window)
    store.ledger.deliver(lease, window, {file.object_key: PARKED for file in window.files})
    digested(store, "old")
    digested(store)
    clock.move(KEPT + 1)
    delivered(store, ["young"])
    assert forget(store) == 2
    assert len(files(store)) == 3701


def test_at_most_the_limit_of_each_kind_goes_in_one_call(store: StateStore, clock: Clock, first: Chain) -> None:
    for number in range(6):
        digested(store, f"{number}", f"{number} too")
    clock.move(KEPT + 1)
    assert [forget(store, limit=4) for _ in range(4)] == [8, 5, 4, 0]
    assert files(store) == []


def test_an_ended_chain_goes_with_its_digests_once_another_tells_the_newest_time(
    store: StateStore, clock: Clock, first: Chain
) -> None:
    digested(store, "a")
    digested(store, ended=True)
    clock.move(KEPT - 1)
    store.chains.ensure_chains([chain("chain-2", logging_session=2)])
    assert forget(store) == 0
    clock.move(2)
    assert forget(store) == 2, "the file and the digest; the chain tells when the trail had its newest digest"
    newest = store.trail_status("trail-1", REGION)["digest_delivered_at"]
    assert newest == START * 1000
    digested(store, chain_id="chain-2")
    assert forget(store) == 1
    assert [row["id"] for row in dump(store)["chain"]] == ["chain-2"]
    assert [row["chain_id"] for row in dump(store)["digest"]] == ["chain-2"]
    assert store.trail_status("trail-1", REGION)["digest_delivered_at"] > newest


def test_nothing_is_left_of_a_trail_that_was_deleted(store: StateStore, clock: Clock, first: Chain) -> None:
    digested(store, "a", ended=True)
    clock.move(KEPT + 2 * DAY)
    assert forget(store) == 1
    store.configuration.apply([NewChange(Kind.TRAIL, "trail-1", None), NewChange(Kind.ACCOUNT, ACCOUNT, {})])
    clock.move(KEPT + 2 * DAY)
    while forget(store):
        pass
    rows = dump(store)
    kept = {name for name, of_table in rows.items() if of_table}
    assert kept == {"clock", "configuration_head", "configuration_change", "partition", "intent"}
    assert [row["entity_id"] for row in rows["configuration_change"]] == [ACCOUNT]
    assert store.trail_status("trail-1", REGION)["delivered_at"] is None


def test_a_running_or_unpublished_chain_stays(store: StateStore, clock: Clock, first: Chain) -> None:
    digested(store, "a")
    store.chains.ensure_chains([chain("waits", account_id="1", place="place-2")])
    digested(store, chain_id="waits")
    digested(store, chain_id="waits")
    head = current(store, "waits")
    assert store.chains.append(head, digest(head), [], LATER, ended=True)
    clock.move(10 * KEPT)
    digested(store)
    forget(store)
    assert {row["id"] for row in dump(store)["chain"]} == {first.id, "waits"}
    assert {row["place"] for row in dump(store)["place"]} == {"place-1", "place-2"}
    assert store.chains.unpublished(10)[0].chain_id == "waits"


def test_stamps_of_a_place_rise_although_it_was_forgotten(store: StateStore, clock: Clock, first: Chain) -> None:
    digested(store)
    stamp = current(store).last_end
    assert store.chains.move(current(store), "new", None, None, "place-2")
    digested(store)
    clock.milliseconds = stamp * 1000 + KEPT * 1000
    forget(store)
    assert {row["place"] for row in dump(store)["place"]} == {"place-1", "place-2"}
    clock.milliseconds += 1
    assert forget(store) == 1
    assert {row["place"] for row in dump(store)["place"]} == {"place-2"}
    now = clock.milliseconds // 1000
    store.chains.ensure_chains([chain("again", logging_session=3, last_end=now - HOUR, next_end=now)])
    assert current(store, "again").last_end > stamp


def test_a_chain_may_move_to_a_place_while_it_is_forgotten(
    store: StateStore, other: StateStore, clock: Clock, first: Chain
) -> None:
    places = [f"place-{number}" for number in range(30)]
    store.chains.ensure_chains([chain(f"old-{place}", account_id=place, place=place) for place in places])
    for place in places:
        assert store.chains.move(current(store, f"old-{place}"), "new", None, None, "elsewhere")
    clock.move(KEPT + 1)

    def start(place: str) -> None:
        now = clock.milliseconds // 1000
        made = chain(place, account_id=place, logging_session=2, place=place, last_end=now, next_end=now + HOUR)
        other.chains.ensure_chains([made])

    with ThreadPoolExecutor(4) as threads:
        started = threads.map(start, places)
        forgotten = [threads.submit(forget, store) for _ in range(6)]
        list(started)
        assert sum(of.result() for of in forgotten) <= len(places)
    assert {row["place"] for row in dump(store)["place"]} >= {*places, "elsewhere"}


def test_tokens_and_workers_that_are_gone(store: StateStore, clock: Clock) -> None:
    store.configuration.add_token(b"\x01" * 32, ACCOUNT, "expired", expires_at=(START + DAY) * 1000)
    store.configuration.add_token(b"\x02" * 32, ACCOUNT, "endless")
    store.configuration.add_token(b"\x03" * 32, ACCOUNT, "valid", expires_at=(START + 3 * DAY) * 1000)
    store.ledger.report_worker("gone", {"batch": 1})
    clock.move(DAY)
    store.ledger.report_worker("lives", {"batch": 1})
    assert forget(store) == 0
    clock.move(1)
    assert forget(store) == 1
    assert [row["id"] for row in dump(store)["worker"]] == ["lives"]
    clock.move(DAY)
    assert forget(store) == 2
    assert [row["name"] for row in dump(store)["token"]] == ["endless", "valid"]
    assert store.ledger.report_worker("new", {}) == {"batch": 1}, "a format stays on"


def test_several_processes_forget_at_once(store: StateStore, other: StateStore, clock: Clock, first: Chain) -> None:
    for number in range(8):
        digested(store, *(f"{number}-{part:03}" for part in range(300)))
    clock.move(KEPT + 1)
    with ThreadPoolExecutor(4) as threads:
        removed = list(threads.map(lambda index: forget((store, other)[index % 2]), range(8)))
    forget(store)
    assert sum(removed) >= 2400
    assert files(store) == []
    assert [row["sequence"] for row in dump(store)["digest"]] == [8]


@pytest.mark.parametrize("is_due", [True, False], ids=["something", "nothing"])
def test_young_rows_are_not_looked_through(store: StateStore, clock: Clock, first: Chain, is_due: bool) -> None:
    digested(store, "old")
    digested(store)
    clock.move(KEPT + is_due)
    for number in range(3):
        digested(store, *(f"{number}-{part:04}" for part in range(4000)))
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
    plan = plans_of(store, lambda: forget(store))
    assert not looks_at_every("file", plan)
    assert not looks_at_every("digest", plan)
    assert plan.count("LEFT") <= 8, "one page, two joins"
    assert len(files(store)) == 12_000 + (not is_due)


def test_a_spool_that_is_full_of_old_files_is_no_hindrance(store: StateStore, clock: Clock) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("a"))
    lease = store.ledger.write_intent(lease, window)
    store.ledger.deliver(lease, window, {window.files[0].object_key: Parking(1, None, is_answered=True)})
    clock.move(10 * KEPT)
    assert forget(store) == 0
    (file,) = store.ledger.parked_files(10)
    assert store.ledger.deliver_parked(file)
    assert forget(store) == 0, "its digest is yet to come"
    store.chains.ensure_chains([chain(last_end=clock.milliseconds // 1000, next_end=clock.milliseconds // 1000 + 1)])
    digested(store)
    digested(store)
    clock.move(KEPT + 1)
    assert forget(store) >= 1
    assert files(store) == []

"""Which chains there must be, which wait, and which files no digest is to name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import insert, text

from opentrail_backends.state import tables
from opentrail_backends.state.port import Chain, Orphans, StateError, StateStore
from tests.contracts.state.plans import looks_at_every, plans_of
from tests.contracts.state.samples import (
    ACCOUNT,
    BUCKET,
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


def sessions(store: StateStore, limit: int = 10) -> list[tuple[str, int, str]]:
    return [(of.incarnation, of.logging_session, of.account_id) for of in store.chains.orphans(limit)]


def test_files_of_a_session_without_a_chain_are_orphans_until_it_runs(store: StateStore, clock: Clock) -> None:
    assert store.chains.orphans(10) == []
    delivered(store, ["b", "a"], trail_arn="arn:one")
    clock.move(1)
    delivered(store, ["0"], trail_arn="arn:one", bucket="newer")
    assert store.chains.orphans(10) == [
        Orphans(
            incarnation="trail-1",
            logging_session=1,
            account_id=ACCOUNT,
            region=REGION,
            bucket=BUCKET,
            object_key="AWSLogs/a.json.gz",
            trail_arn="arn:one",
            delivered_at=START * 1000,
        )
    ]
    store.chains.ensure_chains([chain()])
    assert store.chains.orphans(10) == []
    assert len(ids(store, current(store))) == 3


def test_orphans_come_one_of_each_session_the_longest_waiting_first(store: StateStore, clock: Clock) -> None:
    store.chains.ensure_chains([chain(logging_session=2)])
    for session, account in ((3, ACCOUNT), (2, ACCOUNT), (1, "999999999999"), (1, ACCOUNT)):
        delivered(store, ["a", "b"], logging_session=session, account_id=account)
        clock.move(1)
    assert sessions(store) == [("trail-1", 3, ACCOUNT), ("trail-1", 1, "999999999999"), ("trail-1", 1, ACCOUNT)]
    assert sessions(store, limit=2) == sessions(store)[:2]


def test_an_ended_chain_whose_session_has_late_files_is_started_again(store: StateStore, first: Chain) -> None:
    last = digest(first)
    assert store.chains.append(first, last, [], last.end + HOUR, ended=True)
    assert sessions(store) == []
    delivered(store, ["late"])
    assert sessions(store) == [("trail-1", 1, ACCOUNT)]
    store.chains.ensure_chains([chain(ending=True)])
    assert sessions(store) == []
    again = current(store)
    (due,) = store.chains.due(START, 10)
    assert due == again
    assert (again.ending, again.ended, again.head_key) == (True, False, None)
    assert store.chains.append(again, digest(again, LATER), ids(store, again), LATER, ended=True)
    assert sessions(store) == []


def test_what_is_not_delivered_or_needs_no_digest_is_no_orphan(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, intended_file("unvalidated", is_digested=False), intended_file("bad", part=1))
    lease = store.ledger.write_intent(lease, window)
    assert store.ledger.own(REGION, 0, 0)[1] == [window], "a redo knows which files no digest is to name"
    lease, _ = store.ledger.own(REGION, 0, 0)
    store.ledger.deliver(lease, window, {window.files[1].object_key: PARKED})
    store.ledger.write_intent(store.ledger.own(REGION, 1, 0)[0], intent(1, 0, 10, intended_file("intended")))
    assert [row["digest"] for row in dump(store)["file"]] == [0, None, None]
    assert sessions(store) == []


def test_step_8_a_file_that_no_digest_is_to_name_stops_it(store: StateStore, first: Chain) -> None:
    delivered(store, ["unvalidated"], is_digested=False)
    delivered(store, ["good"], partition=1)
    assert len(ids(store, first)) == 1
    both = [row["id"] for row in dump(store)["file"]]
    with pytest.raises(StateError, match="nothing was written"):
        store.chains.append(first, digest(first), both, LATER, ended=False)


def test_orphans_are_found_by_the_index_of_undigested_files_among_many_digested_ones(
    store: StateStore, first: Chain
) -> None:
    row = {
        "region": REGION, "partition": 0, "logging_session": 1, "account_id": ACCOUNT,
        "part": 0, "bucket": BUCKET, "sha256": "ab" * 32, "events": 1, "oldest_event_time": 0, "newest_event_time": 0,
        "state": "delivered", "delivered_at": START * 1000, "intent": 1,
    }  # fmt: skip
    rows = [
        {
            **row,
            "position": n,
            "object_key": f"{n:06}",
            "incarnation": f"trail-{n % 2}",
            "digest": None if n % 2000 < 2 else n % 3,
        }
        for n in range(20_000)
    ]
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(insert(tables.file), rows)
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE file"))
    assert sessions(store) == [("trail-0", 1, ACCOUNT)]
    plan = plans_of(store, lambda: store.chains.orphans(10))
    assert "file_undigested" in plan
    assert not looks_at_every("file", plan)


# --- digests that wait ----------------------------------------------------------------------------


def test_a_chain_with_many_waiting_digests_is_not_due(store: StateStore, first: Chain) -> None:
    store.chains.ensure_chains([chain("other", account_id="999999999999", place="place-2")])
    for _ in range(3):
        head = current(store)
        assert store.chains.append(head, digest(head), [], head.next_end + HOUR, ended=False)
    store.chains.mark_published(first.id, 1)

    def due(most_waiting: int) -> list[str]:
        return [found.id for found in store.chains.due(LATER, 10, most_waiting)]

    assert due(3) == ["other", first.id]
    assert due(2) == due(1) == ["other"]
    store.chains.mark_ending(first.id)
    assert due(2) == ["other"]
    store.chains.mark_published(first.id, 2)
    assert set(due(2)) == {"other", first.id}
    assert {found.id for found in store.chains.due(LATER, 10)} == {"other", first.id}


def test_step_9_what_is_given_up_is_left_out_with_all_that_waits_behind_it(store: StateStore) -> None:
    for name, buckets in (("denied", ["old", "old"]), ("moved", ["old", "new"]), ("there", ["new", "old", "new"])):
        store.chains.ensure_chains([chain(name, account_id=name, place=name)])
        for hour, bucket in enumerate(buckets, start=1):
            head = current(store, name)
            built = digest(head, START + hour * HOUR, bucket=bucket, trail_arn=f"arn:{name}")
            assert store.chains.append(head, built, [], LATER, ended=False)

    def waiting(*left_out: object) -> list[tuple[str, int]]:
        return [(built.chain_id, built.sequence) for built in store.chains.unpublished(20, *left_out)]  # type: ignore[arg-type]

    everything = [(name, turn) for turn in (1, 2) for name in ("denied", "moved", "there")]
    assert waiting() == [*everything, ("there", 3)]
    assert waiting(["old"]) == [("there", 1)]
    assert waiting(["new"]) == [("denied", 1), ("moved", 1), ("denied", 2)]
    assert waiting(["old", "new"]) == []
    assert waiting([], [("old", "arn:moved"), ("old", "arn:nobody")]) == [
        ("denied", 1), ("there", 1), ("denied", 2), ("there", 2), ("there", 3)
    ]  # fmt: skip
    assert waiting(["new"], [("old", "arn:denied")]) == [("moved", 1)]


def test_step_9_what_is_given_up_does_not_fill_the_answer(store: StateStore) -> None:
    for number in range(4):
        name = f"chain-{number}"
        store.chains.ensure_chains([chain(name, account_id=name, place=name)])
        head = current(store, name)
        built = replace(digest(head), bucket="denied" if number < 3 else "good")
        assert store.chains.append(head, built, [], LATER, ended=False)
    (built,) = store.chains.unpublished(1, ["denied"])
    assert built.chain_id == "chain-3"

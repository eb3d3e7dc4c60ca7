"""Steps 7 to 10: what a digest takes, that each file is in one digest only, and what waits to be put."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import insert, text

from opentrail_backends.state import tables
from opentrail_backends.state.chains import undigested_files
from opentrail_backends.state.port import Chain, StateError, StateStore
from tests.contracts.state.samples import (
    ACCOUNT,
    BUCKET,
    REGION,
    START,
    Clock,
    chain,
    current,
    delivered,
    digest,
    dump,
    intended_file,
    intent,
)

HOUR = 3600
LATER = START + 100 * HOUR


def keys(store: StateStore, of: Chain, before: int = LATER) -> list[str]:
    return [file.object_key.split("/")[1].split(".")[0] for file in store.chains.undigested(of, before)]


def ids(store: StateStore, of: Chain, before: int = LATER) -> list[int]:
    return [file.id for file in store.chains.undigested(of, before)]


# --- step 7 ---------------------------------------------------------------------------------------


def test_step_7_files_come_by_delivery_then_by_key(store: StateStore, clock: Clock, first: Chain) -> None:
    delivered(store, ["b", "a", "B", "_"])
    clock.move(1)
    delivered(store, ["0"])
    assert keys(store, first) == ["B", "_", "a", "b", "0"]
    (file, *_) = store.chains.undigested(first, LATER)
    assert (file.bucket, file.sha256, file.delivered_at) == (BUCKET, "ab" * 32, START * 1000)
    assert (file.oldest_event_time, file.newest_event_time) == (START - 100, START - 50)


def test_step_7_only_files_delivered_before_the_time(store: StateStore, clock: Clock, first: Chain) -> None:
    delivered(store, ["a"])
    clock.milliseconds += 999
    delivered(store, ["b"])
    clock.milliseconds += 1
    delivered(store, ["c"])
    assert keys(store, first, START) == []
    assert keys(store, first, START + 1) == ["a", "b"]
    assert keys(store, first, START + 2) == ["a", "b", "c"]


def test_step_7_only_files_of_the_chain(store: StateStore, first: Chain) -> None:
    delivered(store, ["other trail"], incarnation="trail-2")
    delivered(store, ["other session"], logging_session=2)
    delivered(store, ["other account"], account_id="999999999999")
    lease, _ = store.ledger.own("eu-west-1", 0, 0)
    window = intent(1, 0, 10, intended_file("other region"))
    store.ledger.deliver(store.ledger.write_intent(lease, window), window)
    delivered(store, ["ours"], partition=1)
    assert keys(store, first) == ["ours"]


def test_step_7_uses_the_index_of_undigested_files_among_many_digested_ones(store: StateStore, first: Chain) -> None:
    row = {
        "region": REGION, "partition": 0, "incarnation": "trail-1", "logging_session": 1, "account_id": ACCOUNT,
        "part": 0, "bucket": BUCKET, "sha256": "ab" * 32, "events": 1, "oldest_event_time": 0, "newest_event_time": 0,
        "state": "delivered", "delivered_at": START * 1000, "intent": 1,
    }  # fmt: skip
    rows = [
        {**row, "position": n, "object_key": f"{n:06}", "digest": None if n % 2000 == 0 else 1} for n in range(20_000)
    ]
    query = undigested_files(first, START + 1)
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(insert(tables.file), rows)
        is_postgresql = connection.dialect.name == "postgresql"
        if is_postgresql:
            connection.execute(text("ANALYZE file"))
        sql = str(query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN" if is_postgresql else "EXPLAIN QUERY PLAN"
        plan = " ".join(str(line) for line in connection.exec_driver_sql(f"{explain} {sql}"))

    assert "file_undigested" in plan
    assert "Seq Scan" not in plan
    assert "SCAN file" not in plan
    assert len(store.chains.undigested(first, START + 1)) == 10


# --- step 8 ---------------------------------------------------------------------------------------


def test_step_8_moves_the_head_and_marks_exactly_the_named_files(store: StateStore, first: Chain) -> None:
    delivered(store, ["a", "b", "c"])
    a, b, c = ids(store, first)
    built = digest(first)

    assert store.chains.append(first, built, [a, c], first.next_end + HOUR, ended=False)

    assert ids(store, first) == [b]
    assert current(store) == replace(
        first,
        sequence=1,
        last_end=built.end,
        next_end=built.end + HOUR,
        head_bucket=BUCKET,
        head_key=built.object_key,
        head_sha256=built.sha256,
        head_signature=built.signature,
    )
    assert store.chains.unpublished(10) == [built]


def test_step_8_twice_moves_nothing(store: StateStore, first: Chain) -> None:
    delivered(store, ["a", "b"])
    assert store.chains.append(first, digest(first), ids(store, first)[:1], first.next_end + HOUR, ended=False)
    before = dump(store)
    assert not store.chains.append(first, digest(first), [], first.next_end + HOUR, ended=False)
    assert not store.chains.append(first, digest(first, LATER), ids(store, first), LATER + HOUR, ended=True)
    assert dump(store) == before


def test_step_8_of_builders_that_race_one_appends(store: StateStore, other: StateStore, first: Chain) -> None:
    delivered(store, ["a", "b"])
    file_ids = ids(store, first)
    racers = 6
    start = Barrier(racers)

    def build(index: int) -> bool:
        built = digest(first, first.next_end + index, object_key=f"digest-{index}")
        start.wait()
        return (store, other)[index % 2].chains.append(first, built, file_ids, LATER, ended=False)

    with ThreadPoolExecutor(racers) as threads:
        won = list(threads.map(build, range(racers)))

    assert won.count(True) == 1
    (built,) = store.chains.unpublished(10)
    assert built.object_key == f"digest-{won.index(True)}" == current(store).head_key
    assert current(store).last_end == built.end
    assert ids(store, first) == []


def test_step_8_two_builders_that_go_on_make_one_line(store: StateStore, other: StateStore, first: Chain) -> None:
    names = [f"{n:02}" for n in range(12)]
    delivered(store, names)

    def build(own_store: StateStore) -> None:
        for _ in range(10):
            head = current(own_store)
            taken = [file.id for file in own_store.chains.undigested(head, LATER)][:1]
            own_store.chains.append(head, digest(head), taken, head.next_end + HOUR, ended=False)

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(build, (store, other)))

    digests = store.chains.unpublished(100)
    assert [built.sequence for built in digests] == list(range(1, len(digests) + 1))
    assert [built.start for built in digests[1:]] == [built.end for built in digests[:-1]]
    marked = [row["digest"] for row in dump(store)["file"] if row["digest"] is not None]
    assert sorted(marked) == list(range(1, min(12, len(digests)) + 1))


@pytest.mark.parametrize(
    "unfit", ["in a digest", "of another chain", "not delivered", "unknown", "delivered at the end", "parked"]
)
def test_step_8_a_file_that_does_not_belong_in_the_digest_stops_it(
    store: StateStore, clock: Clock, first: Chain, unfit: str
) -> None:
    delivered(store, ["good"])
    (good,) = ids(store, first)
    clock.move(1)
    end = first.next_end
    if unfit == "in a digest":
        delivered(store, ["bad"])
        (bad,) = (id_ for id_ in ids(store, first) if id_ != good)
        assert store.chains.append(first, digest(first, START + 1800), [bad], end, ended=False)
    elif unfit == "of another chain":
        delivered(store, ["bad"], account_id="999999999999")
        (bad,) = ids(store, chain(account_id="999999999999"))
    elif unfit == "delivered at the end":
        clock.move(end - START - 1)
        delivered(store, ["bad"])
        (bad,) = (id_ for id_ in ids(store, first) if id_ != good)
    elif unfit == "unknown":
        bad = good + 1000
    else:
        lease, _ = store.ledger.own(REGION, 1, 0)
        window = intent(1, 0, 10, intended_file("bad"))
        lease = store.ledger.write_intent(lease, window)
        if unfit == "parked":
            store.ledger.deliver(lease, window, parked=["AWSLogs/bad.json.gz"])
        bad = max(row["id"] for row in dump(store)["file"])
    head = current(store)
    before = dump(store)

    with pytest.raises(StateError, match="nothing was written"):
        store.chains.append(head, digest(head, end), [good, bad], end + HOUR, ended=False)

    assert dump(store) == before
    assert store.chains.append(head, digest(head, end), [good], end + HOUR, ended=False)


@pytest.mark.parametrize(
    "wrong",
    [{"sequence": 0}, {"sequence": 2}, {"chain_id": "chain-2"}, {"end": START}, {"end": START - 1}],
    ids=["same sequence", "sequence left out", "another chain", "empty time", "backwards"],
)
def test_step_8_a_digest_that_does_not_follow_is_refused(
    store: StateStore, first: Chain, wrong: dict[str, Any]
) -> None:
    before = dump(store)
    with pytest.raises(StateError, match="cannot follow"):
        store.chains.append(first, replace(digest(first), **wrong), [], LATER, ended=False)
    assert dump(store) == before


def test_step_8_stamps_of_a_place_rise_over_all_its_chains(store: StateStore, first: Chain) -> None:
    """Two sessions of one trail are due at the same second: the second one's key would be the first one's."""
    store.chains.ensure_chains([chain("session-2", logging_session=2)])
    second = current(store, "session-2")
    assert second.next_end == first.next_end
    assert store.chains.append(first, digest(first), [], first.next_end + HOUR, ended=True)
    before = dump(store)

    assert not store.chains.append(second, digest(second), [], second.next_end + HOUR, ended=False)
    assert not store.chains.append(second, digest(second, second.next_end - 5), [], LATER, ended=False)
    assert dump(store) == before

    again = current(store, "session-2")
    assert again.next_end == first.next_end + 1
    assert store.chains.due(first.next_end, 10) == []
    assert store.chains.due(first.next_end + 1, 10) == [again]
    assert store.chains.append(again, digest(again), [], again.next_end + HOUR, ended=False)


def test_step_8_a_digest_of_20000_files(store: StateStore, first: Chain) -> None:
    for window in range(4):
        delivered(store, [f"{window}-{n:04}" for n in range(5000)])
    file_ids = ids(store, first)
    assert len(file_ids) == 20_000
    assert store.chains.append(first, digest(first), file_ids, LATER, ended=False)
    assert ids(store, first) == []


# --- steps 9 and 10 -------------------------------------------------------------------------------


def test_step_9_the_same_bytes_wait_until_they_are_published(store: StateStore, other: StateStore) -> None:
    store.chains.ensure_chains([chain()])
    built = digest(chain(), kms_key_id="arn:aws:kms:key", body=b"\x00\xff{}")
    store.chains.append(chain(), built, [], LATER, ended=False)
    assert other.chains.unpublished(10) == [built]
    assert other.chains.unpublished(10) == [built]


def test_step_9_digests_come_in_the_order_of_their_chains_and_no_chain_holds_up_another(store: StateStore) -> None:
    """A bucket that takes nothing has the oldest digests; with a limit they are not all that is seen."""
    for name in ("stuck", "busy"):
        store.chains.ensure_chains([chain(name, account_id=name, place=name)])
    for hour in range(1, 12):
        for name in ("stuck", "busy"):
            if name == "stuck" or hour > 9:
                head = current(store, name)
                store.chains.append(head, digest(head, START + hour * HOUR), [], LATER, ended=False)

    waiting = [(built.chain_id, built.sequence) for built in store.chains.unpublished(100)]
    assert waiting[:4] == [("stuck", 1), ("busy", 1), ("stuck", 2), ("busy", 2)]
    assert waiting[4:] == [("stuck", sequence) for sequence in range(3, 12)]
    assert len(store.chains.unpublished(3)) == 3

    store.chains.mark_published("busy", 1)
    store.chains.mark_published("stuck", 1)
    waiting = [(built.chain_id, built.sequence) for built in store.chains.unpublished(2)]
    assert waiting == [("stuck", 2), ("busy", 2)]


def test_step_10_a_published_digest_is_no_longer_waiting_and_its_bytes_are_forgotten(
    store: StateStore, clock: Clock, first: Chain
) -> None:
    store.chains.append(first, digest(first), [], LATER, ended=False)
    head = current(store)
    clock.move(3)
    store.chains.mark_published(first.id, 1)
    before = dump(store)
    clock.move(3)
    store.chains.mark_published(first.id, 1)

    assert dump(store) == before
    assert store.chains.unpublished(10) == []
    assert before["digest"][0]["body"] is None
    assert current(store) == head
    assert store.trail_status("trail-1", REGION)["digest_delivered_at"] == (START + 3) * 1000


@pytest.mark.parametrize(("chain_id", "sequence"), [("chain-1", 2), ("chain-2", 1)])
def test_step_10_only_a_digest_that_was_built_is_published(
    store: StateStore, first: Chain, chain_id: str, sequence: int
) -> None:
    store.chains.append(first, digest(first), [], LATER, ended=False)
    with pytest.raises(StateError, match="no digest"):
        store.chains.mark_published(chain_id, sequence)

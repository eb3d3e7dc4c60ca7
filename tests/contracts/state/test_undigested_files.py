"""Step 7: which files a digest takes."""

from __future__ import annotations

from sqlalchemy import insert, text

from opentrail_backends.state import tables
from opentrail_backends.state.chains import undigested_files
from opentrail_backends.state.port import Chain, StateStore
from tests.contracts.state.samples import (
    ACCOUNT,
    BUCKET,
    LATER,
    PARKED,
    REGION,
    START,
    Clock,
    delivered,
    intended_file,
    intent,
)


def keys(store: StateStore, of: Chain, before: int = LATER) -> list[str]:
    return [file.object_key.split("/")[1].split(".")[0] for file in store.chains.undigested(of, before)]


def test_step_7_files_come_by_delivery_then_by_key(store: StateStore, clock: Clock, first: Chain) -> None:
    delivered(store, ["b", "a", "B", "_"])
    clock.move(1)
    delivered(store, ["0"])
    assert keys(store, first) == ["B", "_", "a", "b", "0"]
    (file, *_) = store.chains.undigested(first, LATER)
    assert (file.bucket, file.sha256, file.delivered_at) == (BUCKET, "ab" * 32, START * 1000)
    assert (file.oldest_event_time, file.newest_event_time) == (START - 100, START - 50)


def test_the_count_and_root_of_a_files_records_go_from_the_intent_to_the_digest(
    store: StateStore, other: StateStore, first: Chain
) -> None:
    """However it was delivered: at once, under another key, or after it was parked and sent elsewhere."""
    files = [
        intended_file(name, part=part, events=part + 1, records_root=f"{part}" * 64) for part, name in enumerate("abcd")
    ]
    window = intent(1, 0, 10, *files, intended_file("old", part=4))
    lease = store.ledger.write_intent(store.ledger.own(REGION, 0, 0)[0], window)
    assert other.ledger.own(REGION, 0, 0)[1] == [window], "the next owner's intent has it, too"
    lease, _ = store.ledger.own(REGION, 0, 0)
    store.ledger.rename_file(lease, 1, files[1].object_key, "AWSLogs/renamed.json.gz")
    store.ledger.deliver(lease, window, {file.object_key: PARKED for file in files[2:]})
    moved, stays = store.ledger.parked_files(10)
    assert store.ledger.reaim_parked(moved, "another", "AWSLogs/moved.json.gz", None)
    for file in (store.ledger.parked_files(1)[0], stays):
        assert store.ledger.deliver_parked(file)
    roots = sorted((file.events, file.records_root or "") for file in other.chains.undigested(first, LATER))
    assert roots == [(1, "0" * 64), (2, "1" * 64), (3, ""), (3, "2" * 64), (4, "3" * 64)]


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

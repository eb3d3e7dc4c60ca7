"""What lies in the spool, in sums, and what GetTrailStatus tells of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, text

from opentrail_backends.state import tables
from opentrail_backends.state.port import ParkedFailure, ParkedOfTrail, Parking, SpoolUsage, StateStore
from tests.contracts.state.plans import looks_at_every, plans_of
from tests.contracts.state.samples import ACCOUNT, BUCKET, REGION, START, Clock, intended_file, intent


def park(store: StateStore, name: str, parking: Parking, partition: int = 0, region: str = REGION, **of: Any) -> int:
    lease, _ = store.ledger.own(region, partition, 0)
    file = intended_file(name, **of)
    window = intent(lease.last_intent + 1, lease.next_offset, lease.next_offset + 10, file)
    store.ledger.deliver(store.ledger.write_intent(lease, window), window, {file.object_key: parking})
    return max(file.id for file in store.ledger.parked_files(1000))


def test_an_empty_spool(store: StateStore) -> None:
    assert store.ledger.spool_usage() == SpoolUsage(0, {})
    assert store.ledger.parked_by_trail() == []


def test_bytes_in_the_spool_by_owner_until_they_are_delivered(store: StateStore, clock: Clock) -> None:
    denied, ours = Parking(1000, "AccessDenied", is_answered=True), Parking(30, None, is_answered=True)
    park(store, "a", denied, owner="o-1")
    park(store, "b", denied, owner="o-1", account_id="999999999999")
    park(store, "c", ours, owner=ACCOUNT)
    assert store.ledger.spool_usage() == SpoolUsage(2030, {"o-1": 2000, ACCOUNT: 30})
    assert store.ledger.expire_parked(0) == 2
    assert store.ledger.spool_usage() == SpoolUsage(2030, {"o-1": 2000, ACCOUNT: 30})
    (own,) = store.ledger.parked_files(10)
    assert store.ledger.deliver_parked(own)
    assert store.ledger.spool_usage() == SpoolUsage(2000, {"o-1": 2000})


def test_files_in_the_spool_by_trail_and_region(store: StateStore, clock: Clock) -> None:
    slow, ours = Parking(5, "SlowDown", is_answered=True), Parking(7, None, is_answered=True)
    park(store, "a", ours, trail_arn="arn:one")
    clock.move(1)
    first = park(store, "b", slow, trail_arn="arn:one")
    clock.move(1)
    park(store, "c", slow, trail_arn="arn:one", partition=1)
    park(store, "d", ours, trail_arn="arn:one", region="eu-west-1")
    park(store, "e", slow, trail_arn="arn:two", incarnation="trail-2")
    clock.move(1)
    store.ledger.fail_parked([ParkedFailure(first, "AccessDenied", is_answered=True)])
    assert store.ledger.expire_parked(3000 - 1000) == 1

    one = ParkedOfTrail(
        incarnation="trail-1",
        trail_arn="arn:one",
        region=REGION,
        files=3,
        size=17,
        oldest_parked_at=START * 1000,
        expired=1,
        error="SlowDown",
    )
    there = ParkedOfTrail(
        incarnation="trail-1",
        trail_arn="arn:one",
        region="eu-west-1",
        files=1,
        size=7,
        oldest_parked_at=(START + 2) * 1000,
        expired=0,
        error=None,
    )
    two = ParkedOfTrail(
        incarnation="trail-2",
        trail_arn="arn:two",
        region=REGION,
        files=1,
        size=5,
        oldest_parked_at=(START + 2) * 1000,
        expired=0,
        error="SlowDown",
    )
    assert store.ledger.parked_by_trail() == [there, one, two]


def test_a_trails_status_tells_what_stands_in_the_way_and_since_when(store: StateStore, clock: Clock) -> None:
    def status(incarnation: str = "trail-1", region: str = REGION) -> tuple[Any, Any]:
        now = store.trail_status(incarnation, region)
        of_files = {"delivered_at", "digest_delivered_at", "delivery_error", "digest_error", "failing_since"}
        assert set(now) == of_files | {"notified_at", "notification_error", "notification_failing_since"}
        return now["delivery_error"], now["failing_since"]

    park(store, "a", Parking(5, None, is_answered=True))
    assert status() == (None, None), "our own rate limit is no error of the bucket"
    clock.move(1)
    first = park(store, "b", Parking(5, "SlowDown", is_answered=True))
    clock.move(1)
    second = park(store, "c", Parking(5, "NoSuchBucket", is_answered=True))
    assert status() == ("NoSuchBucket", (START + 1) * 1000)
    assert status("trail-2") == status(region="eu-west-1") == (None, None)
    assert store.ledger.expire_parked(1000) == 1
    assert status() == ("NoSuchBucket", (START + 1) * 1000)
    store.ledger.retry_expired()
    for file in store.ledger.parked_files(10):
        if file.id != second:
            assert store.ledger.deliver_parked(file)
    assert status() == ("NoSuchBucket", (START + 2) * 1000)
    store.ledger.deliver_parked(store.ledger.parked_files(10)[0])
    assert status() == (None, None)
    assert first < second


@pytest.mark.parametrize("what", ["usage", "status", "page"])
def test_the_spool_is_summed_from_its_index_among_many_delivered_files(store: StateStore, what: str) -> None:
    row = {
        "region": REGION, "partition": 0, "incarnation": "trail-1", "logging_session": 1, "account_id": ACCOUNT,
        "part": 0, "bucket": BUCKET, "sha256": "ab" * 32, "events": 1, "oldest_event_time": 0, "newest_event_time": 0,
        "digest": 1, "intent": 1, "owner": "o-1", "failing_since": 5,
    }  # fmt: skip
    rows = [
        {
            **row,
            "position": n,
            "object_key": f"{n:06}",
            "state": "delivered" if n % 500 else ("parked" if n % 1000 else "expired"),
            "parked_bytes": 10,
        }
        for n in range(20_000)
    ]
    reads: dict[str, Callable[[], int]] = {
        "usage": lambda: store.ledger.spool_usage().total,
        "status": lambda: store.trail_status("trail-1", REGION)["failing_since"],
        "page": lambda: len(store.ledger.parked_files(500)),
    }
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(insert(tables.file), rows)
        is_postgresql = connection.dialect.name == "postgresql"
        if is_postgresql:
            connection.execute(text("ANALYZE file"))
    assert reads[what]() == {"usage": 400, "status": 5, "page": 20}[what]
    plan = plans_of(store, reads[what])
    assert "file_spooled" in plan or (what == "page" and "file_parked" in plan)
    assert not looks_at_every("file", plan)
    if what == "usage" and not is_postgresql:  # PostgreSQL's choice depends on what VACUUM has seen
        assert "USING COVERING INDEX file_spooled" in plan

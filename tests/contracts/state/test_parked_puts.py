"""Parked files on their way: what the ledger counts of their puts, and where they may be put."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from opentrail_backends.state.port import LedgerLost, ParkedFailure, ParkedFile, Parking, StateStore
from tests.contracts.state.conftest import between_processes
from tests.contracts.state.samples import ACCOUNT, BUCKET, PARKED, REGION, START, Clock, dump, intended_file, intent

DENIED = "AccessDenied"
NEW = ("new-bucket", "new/key", "arn:aws:kms:new")


def park(store: StateStore, *names: str, parking: Parking = PARKED, partition: int = 0) -> list[ParkedFile]:
    """A window whose files are all parked; returns all parked files."""
    lease, _ = store.ledger.own(REGION, partition, 0)
    files = [intended_file(name, trail_arn="arn:trail", kms_key_id="arn:kms", owner="o-1") for name in names]
    window = intent(lease.last_intent + 1, lease.next_offset, lease.next_offset + 10, *files)
    lease = store.ledger.write_intent(lease, window)
    store.ledger.deliver(lease, window, {file.object_key: parking for file in files})
    return list(store.ledger.parked_files(1000))


def parked(store: StateStore) -> ParkedFile:
    (file,) = store.ledger.parked_files(10)
    return file


def test_a_parked_file_is_known_by_all_of_its_intent_and_by_why_it_is_parked(store: StateStore) -> None:
    (file,) = park(store, "a")
    assert file == ParkedFile(
        id=file.id,
        region=REGION,
        partition=0,
        intent=1,
        incarnation="trail-1",
        logging_session=1,
        account_id=ACCOUNT,
        part=0,
        owner="o-1",
        bucket=BUCKET,
        object_key="AWSLogs/a.json.gz",
        sha256="ab" * 32,
        trail_arn="arn:trail",
        kms_key_id="arn:kms",
        size=100,
        parked_at=START * 1000,
        failing_since=START * 1000,
        error=DENIED,
        is_answered=True,
    )


def test_what_only_our_own_rate_limit_holds_does_not_age(store: StateStore) -> None:
    (file,) = park(store, "a", parking=Parking(size=7, error=None, is_answered=True))
    assert (file.size, file.error, file.failing_since) == (7, None, None)
    assert store.ledger.expire_parked(0) == 0


def test_a_put_counts_as_not_answered_until_its_failure_says_that_it_was(store: StateStore, clock: Clock) -> None:
    (file,) = park(store, "a", parking=Parking(size=7, error=None, is_answered=True))
    store.ledger.begin_parked([file.id])
    assert not parked(store).is_answered
    clock.move(5)
    store.ledger.fail_parked([ParkedFailure(file.id, "SlowDown", is_answered=True)])
    assert parked(store) == replace(file, error="SlowDown", failing_since=(START + 5) * 1000)
    clock.move(5)
    store.ledger.begin_parked([file.id])
    store.ledger.fail_parked([ParkedFailure(file.id, "timeout", is_answered=False)])
    file = parked(store)
    assert (file.error, file.failing_since, file.is_answered) == ("timeout", (START + 5) * 1000, False)
    store.ledger.begin_parked([file.id])
    store.ledger.fail_parked([ParkedFailure(file.id, DENIED, is_answered=True)])
    assert not parked(store).is_answered, "the one before may still appear"


def test_two_processes_puts_of_one_file_are_counted_apart(store: StateStore, other: StateStore) -> None:
    (file,) = park(store, "a")
    store.ledger.begin_parked([file.id])
    other.ledger.begin_parked([file.id])
    store.ledger.fail_parked([ParkedFailure(file.id, DENIED, is_answered=True)])
    assert not store.ledger.reaim_parked(file, *NEW), "the other process's put is under way"
    other.ledger.fail_parked([ParkedFailure(file.id, DENIED, is_answered=True)])
    assert store.ledger.reaim_parked(file, *NEW)


def test_before_a_put_the_ledger_tells_where_the_file_is_to_go_now(store: StateStore, other: StateStore) -> None:
    gone, moved, stays = park(store, "a", "b", "c")
    other.ledger.deliver_parked(gone)
    assert other.ledger.reaim_parked(moved, *NEW)
    begun = store.ledger.begin_parked([stays.id, moved.id, gone.id])
    assert [(file.id, file.bucket, file.object_key) for file in begun] == [
        (moved.id, "new-bucket", "new/key"),
        (stays.id, BUCKET, stays.object_key),
    ]
    assert store.ledger.begin_parked([]) == []
    store.ledger.fail_parked([])
    store.ledger.fail_parked([ParkedFailure(gone.id, DENIED, is_answered=False)])
    assert {row["error"] for row in dump(store)["file"] if row["id"] == gone.id} == {DENIED}


def test_a_re_aimed_file_ages_anew_and_is_put_nowhere_else(store: StateStore) -> None:
    (file,) = park(store, "a")
    assert store.ledger.reaim_parked(file, *NEW)
    aimed = parked(store)
    assert aimed == replace(
        file,
        bucket=NEW[0],
        object_key=NEW[1],
        kms_key_id=NEW[2],
        failing_since=None,
        error=None,
        parked_at=file.parked_at,
    )
    assert not store.ledger.deliver_parked(file)
    assert not store.ledger.reaim_parked(file, *NEW)
    with pytest.raises(LedgerLost, match="not parked as s3://trail-bucket/"):
        store.ledger.rename_parked(file, "another/key")
    assert not store.ledger.deliver_parked(replace(aimed, bucket=file.bucket)), "the same key in the old bucket"
    assert store.ledger.deliver_parked(aimed)
    assert not store.ledger.reaim_parked(aimed, "a third", "key", None)


def test_a_file_whose_put_before_the_parking_was_not_answered_is_never_re_aimed(store: StateStore) -> None:
    (file,) = park(store, "a", parking=Parking(size=7, error="timeout", is_answered=False))
    assert not file.is_answered
    store.ledger.begin_parked([file.id])
    store.ledger.fail_parked([ParkedFailure(file.id, DENIED, is_answered=True)])
    assert not store.ledger.reaim_parked(file, *NEW)


@between_processes
def test_a_crash_after_begin_leaves_the_file_where_it_is(store: StateStore, other: StateStore) -> None:
    (file,) = park(store, "a")
    store.ledger.begin_parked([file.id])
    store.close()
    assert not other.ledger.reaim_parked(file, *NEW)
    other.ledger.begin_parked([file.id])
    assert other.ledger.deliver_parked(file)


def test_of_many_that_deliver_rename_and_re_aim_the_same_file_one_wins(store: StateStore, other: StateStore) -> None:
    for turn in range(6):
        file = park(store, f"{turn}")[-1]
        start = Barrier(6)

        def rename(by: StateStore, of: ParkedFile = file) -> bool:
            try:
                by.ledger.rename_parked(of, "renamed")
            except LedgerLost:
                return False
            return True

        moves: list[Callable[[StateStore], bool]] = [
            lambda by, of=file: by.ledger.deliver_parked(of),  # type: ignore[misc]
            lambda by, of=file: by.ledger.reaim_parked(of, *NEW),  # type: ignore[misc]
            rename,
        ]

        def race(index: int, moves: list[Callable[[StateStore], bool]] = moves, start: Barrier = start) -> bool:
            start.wait()
            return moves[index % 3]((store, other)[index % 2])

        with ThreadPoolExecutor(6) as threads:
            won = list(threads.map(race, range(6)))
        assert won.count(True) == 1, won
        for left in store.ledger.parked_files(10):
            assert store.ledger.deliver_parked(left)


def test_counts_of_processes_that_try_at_once_come_out_even(store: StateStore, other: StateStore) -> None:
    ids = [file.id for file in park(store, "a", "b", "c")]
    start = Barrier(4)

    def tries(index: int) -> None:
        by = (store, other)[index % 2]
        start.wait()
        for _ in range(8):
            by.ledger.begin_parked(ids if index < 2 else ids[::-1])
            by.ledger.fail_parked(
                [ParkedFailure(id_, DENIED, is_answered=True) for id_ in (ids[::-1] if index < 2 else ids)]
            )

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(tries, range(4)))
    assert {row["unanswered_puts"] for row in dump(store)["file"]} == {0}
    assert len(store.ledger.begin_parked(ids)) == 3
    assert {row["unanswered_puts"] for row in dump(store)["file"]} == {1}


def test_files_whose_bucket_fails_for_long_are_tried_no_more_until_an_operator_says_so(
    store: StateStore, clock: Clock
) -> None:
    old, delivered = park(store, "old", "delivered")
    assert store.ledger.deliver_parked(delivered)
    clock.move(100)
    new = park(store, "new", partition=1)[-1]

    assert store.ledger.expire_parked(100_001) == 0
    assert store.ledger.expire_parked(100_000) == 1
    assert store.ledger.expire_parked(100_000) == 0

    assert store.ledger.parked_files(10) == [new]
    assert store.ledger.spool_usage().total == 200, "they stay in the spool"
    assert not store.ledger.deliver_parked(old)
    assert store.ledger.begin_parked([old.id]) == []
    assert [(of.files, of.expired) for of in store.ledger.parked_by_trail()] == [(2, 1)]

    clock.move(1000)
    assert store.ledger.retry_expired() == 1
    assert store.ledger.retry_expired() == 0
    assert store.ledger.parked_files(10) == [replace(old, failing_since=None), new]
    assert store.ledger.expire_parked(1_000_001) == 0
    assert store.ledger.deliver_parked(old)

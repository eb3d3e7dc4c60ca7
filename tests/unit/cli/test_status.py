"""`opentrail status`: what it reads, and what it prints."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rich.console import Console

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.event_bus.port import Bounds, CommittedPosition, Partition
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import IntendedFile, Intent, LostOffsets, Parking, Settlement, StateStore
from opentrail_cli.status import read_status, switched_on_formats
from opentrail_cli.status_tables import print_status

REGION, ACCOUNT = "eu-central-1", "111122223333"
ARN = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/t"


class Bus:
    """A bus with one partition that holds ten messages, and one that holds none."""

    def lag(self, _group: str) -> Mapping[Partition, tuple[CommittedPosition | None, Bounds]]:
        return {Partition(REGION, 0): (None, Bounds(0, 10)), Partition(REGION, 1): (None, Bounds(0, 0))}


@pytest.fixture
def clock() -> list[int]:
    return [1_767_225_600_000]


@pytest.fixture
def state(clock: list[int]) -> Iterator[StateStore]:
    store = open_state_store("sqlite://", secret_key=bytes(32), clock=lambda: clock[0])
    store.migrate()
    yield store
    store.close()


def deliver(state: StateStore, parked: Parking | None = None, numbers: ClientNumbers | None = None) -> None:
    lease, _ = state.ledger.own(REGION, 0, 0)
    file = IntendedFile(
        incarnation="i",
        logging_session=1,
        account_id=ACCOUNT,
        part=0,
        bucket="b",
        object_key=f"key-{lease.next_offset}",
        sha256="00",
        events=1,
        oldest_event_time=1,
        newest_event_time=1,
        trail_arn=ARN,
        owner=ACCOUNT,
    )
    intent = Intent(lease.last_intent + 1, lease.next_offset, lease.next_offset + 1, {}, [file])
    lease = state.ledger.write_intent(lease, intent)
    changed = {(ACCOUNT, b"c" * 16): numbers} if numbers else {}
    state.ledger.deliver(lease, intent, {} if parked is None else {file.object_key: parked}, changed)


def status_of(state: StateStore) -> dict[str, Any]:
    return read_status(Bus(), state)  # type: ignore[arg-type]


def printed(status: dict[str, Any]) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_status(status, console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_a_trail_that_waits_in_the_spool_has_a_lag_of_its_own(state: StateStore, clock: list[int]) -> None:
    deliver(state, Parking(1_234, "AccessDenied", is_answered=True))
    clock[0] += 90_000
    deliver(state, Parking(100, "AccessDenied", is_answered=True))
    (trail,) = status_of(state)["trails"]
    assert trail == {
        "trail_arn": ARN,
        "region": REGION,
        "parked_files": 2,
        "parked_bytes": 1_334,
        "expired_files": 0,
        "oldest_parked_at": "2026-01-01T00:00:00Z",
        "lag_seconds": 90,
        "error": "AccessDenied",
        "waits_for": "bucket",
    }
    text = printed(status_of(state))
    assert "In the spool" in text
    assert all(word in text for word in (ARN, "1334", "90", "AccessDenied"))


def test_what_waits_for_our_own_rate_limit_is_told_from_what_its_bucket_refuses(state: StateStore) -> None:
    deliver(state, Parking(100, None, is_answered=True))
    (trail,) = status_of(state)["trails"]
    assert (trail["waits_for"], trail["error"]) == ("rate limit", None)


def test_expired_files_wait_for_the_operator(state: StateStore) -> None:
    deliver(state, Parking(100, "AccessDenied", is_answered=True))
    assert state.ledger.expire_parked(-1) == 1
    (trail,) = status_of(state)["trails"]
    assert (trail["waits_for"], trail["expired_files"], trail["parked_files"]) == ("operator", 1, 1)


def test_clients_are_summed_up_per_account(state: StateStore) -> None:
    deliver(state, numbers=ClientNumbers(newest=9, holes=((2, 4),), seen_at=1, repeats=7, given_up=2))
    (clients,) = status_of(state)["clients"]
    expected = {"region": REGION, "account": ACCOUNT, "clients": 1, "missing": 3, "repeats": 7, "given_up": 2}
    assert clients == expected
    assert "given up" in printed(status_of(state))


def test_what_an_operator_gave_up_is_shown(state: StateStore) -> None:
    lease, _ = state.ledger.own(REGION, 0, 0)
    lost = LostOffsets(
        region=REGION,
        partition=0,
        topic_id="t",
        first_offset=3,
        end_offset=8,
        reason="the log was cut",
        accounts=(ACCOUNT,),
    )
    settlement = Settlement(topic_id="t", partitions=2, next_offset=8, lost_offsets=[lost])
    state.ledger.settle(lease, settlement)
    (shown,) = status_of(state)["lost_offsets"]
    assert (shown["first_offset"], shown["end_offset"], shown["accounts"]) == (3, 8, [ACCOUNT])
    text = printed(status_of(state))
    assert "3 to 7" in text
    assert "the log was cut" in text


def test_an_unknown_end_of_what_was_lost_is_not_made_up(state: StateStore) -> None:
    lease, _ = state.ledger.own(REGION, 0, 0)
    lost = LostOffsets(region=REGION, partition=0, topic_id="t", first_offset=3, end_offset=3, reason="made anew")
    state.ledger.settle(lease, Settlement(topic_id="t", partitions=2, next_offset=0, lost_offsets=[lost]))
    assert "from 3 on" in printed(status_of(state))


def test_partitions_that_hold_nothing_are_only_counted(state: StateStore) -> None:
    deliver(state)
    status = status_of(state)
    assert [one["lag"] for one in status["partitions"]] == [9, 0]
    text = printed(status)
    assert "1 partitions hold nothing yet." in text
    assert "In the spool" not in text
    assert "Given up" not in text


def test_looking_switches_no_format_on(state: StateStore) -> None:
    assert switched_on_formats(state.ledger).get("batch", 1) == 1
    state.ledger.report_worker("w", {"batch": 2, "intent": 1})
    assert switched_on_formats(state.ledger)["batch"] == 2
    assert "batch 2" in printed(status_of(state))

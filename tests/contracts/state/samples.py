"""Small values for the contract suite of the state store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select

from opentrail_backends.state import tables
from opentrail_backends.state.port import (
    BuiltDigest,
    Chain,
    IntendedFile,
    Intent,
    Lease,
    Parking,
    PublicKey,
    StateStore,
)

REGION = "us-east-1"
ACCOUNT = "111122223333"
BUCKET = "trail-bucket"
START = 1_700_000_000
"""Seconds: where the tests' clock starts."""
HOUR = 3600
LATER = START + 100 * HOUR
PARKED = Parking(size=100, error="AccessDenied", is_answered=True)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, seconds: int = START) -> None:
        self.milliseconds = seconds * 1000

    def __call__(self) -> int:
        return self.milliseconds

    def move(self, seconds: float) -> None:
        self.milliseconds += int(seconds * 1000)


def intended_file(name: str, **changes: Any) -> IntendedFile:
    values: dict[str, Any] = {
        "incarnation": "trail-1",
        "logging_session": 1,
        "account_id": ACCOUNT,
        "part": 0,
        "bucket": BUCKET,
        "object_key": f"AWSLogs/{name}.json.gz",
        "sha256": "ab" * 32,
        "events": 3,
        "oldest_event_time": START - 100,
        "newest_event_time": START - 50,
    }
    return IntendedFile(**{**values, **changes})


def intent(number: int, first: int, end: int, *files: IntendedFile) -> Intent:
    return Intent(number, first, end, {"format": 1, "window": number}, list(files))


def delivered(store: StateStore, names: Sequence[str], partition: int = 0, **changes: Any) -> Lease:
    """Owns a partition and delivers one window with these files."""
    lease, open_intents = store.ledger.own(REGION, partition, 0)
    assert not open_intents
    files = [intended_file(name, **changes) for name in names]
    window = intent(lease.last_intent + 1, lease.next_offset, lease.next_offset + 10, *files)
    return store.ledger.deliver(store.ledger.write_intent(lease, window), window)


def chain(name: str = "chain-1", **changes: Any) -> Chain:
    values: dict[str, Any] = {
        "id": name,
        "incarnation": "trail-1",
        "logging_session": 1,
        "account_id": ACCOUNT,
        "region": REGION,
        "trail_name": "audit",
        "home_region": REGION,
        "bucket": BUCKET,
        "key_prefix": None,
        "organization_id": None,
        "place": "place-1",
        "last_end": START,
        "next_end": START + 3600,
    }
    return Chain(**{**values, **changes})


def digest(of: Chain, end: int | None = None, **changes: Any) -> BuiltDigest:
    end = of.next_end if end is None else end
    built = BuiltDigest(
        chain_id=of.id,
        sequence=of.sequence + 1,
        bucket=of.bucket,
        object_key=f"AWSLogs/digest-{of.id}-{end}.json.gz",
        start=of.last_end,
        end=end,
        body=b'{"digest":%d}' % end,
        sha256=f"{end:064x}",
        signature=f"signature-{end}",
        fingerprint="f" * 32,
        trail_arn="arn:aws:cloudtrail:eu-central-1:111122223333:trail/t",
    )
    return replace(built, **changes)


def current(store: StateStore, chain_id: str = "chain-1") -> Chain:
    return next(found for found in store.chains.all_chains() if found.id == chain_id)


def public_key(name: str, valid_from: int, valid_until: int, region: str = REGION) -> PublicKey:
    return PublicKey(
        region=region,
        fingerprint=name,
        der=name.encode(),
        valid_from=valid_from,
        valid_until=valid_until,
        reference=f"file:{name}",
    )


def dump(store: StateStore) -> dict[str, list[dict[str, Any]]]:
    """Every row of the store, by primary key."""
    with store._transactions.reading() as connection:  # type: ignore[attr-defined]
        return {
            table.name: [
                dict(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
            ]
            for table in tables.metadata.sorted_tables
        }


def ids(store: StateStore, of: Chain, before: int = LATER) -> list[int]:
    """The files of a chain that are in no digest yet."""
    return [file.id for file in store.chains.undigested(of, before)]

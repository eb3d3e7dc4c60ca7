"""The fence of the ledger: who does not hold the partition any more writes nothing."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, update

from opentrail_backends.state import tables
from opentrail_backends.state.port import Lease, LedgerLost

_partition = tables.partition


def fence(connection: Connection, lease: Lease, **changes: Any) -> None:
    """Locks the partition's row if the lease still holds. Raises LedgerLost if not."""
    held = connection.execute(
        update(_partition)
        .where(
            _partition.c.region == lease.region,
            _partition.c.number == lease.partition,
            _partition.c.epoch == lease.epoch,
            _partition.c.token == lease.token,
            _partition.c.last_intent == lease.last_intent,
        )
        .values(**(changes or {"epoch": lease.epoch}))
    ).rowcount
    if held != 1:
        raise LedgerLost(f"{name_of(lease)} has another owner, or its ledger moved on without this one.")


def name_of(lease: Lease) -> str:
    """The partition, for messages."""
    return f"Partition {lease.region}/{lease.partition}"

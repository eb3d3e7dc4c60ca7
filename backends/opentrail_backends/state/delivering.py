"""Step 5: what becomes of an intent's files, and of the intent. The caller holds the fence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, bindparam, delete, literal, select, update

from opentrail_backends.state import tables
from opentrail_backends.state.engine import insert
from opentrail_backends.state.fence import name_of
from opentrail_backends.state.intent_rows import of_intent
from opentrail_backends.state.port import FileState, Intent, Lease, LedgerLost, Parking, StateError

_partition = tables.partition
_intent = tables.intent
_file = tables.file


def close_intent(connection: Connection, lease: Lease, intent: Intent) -> None:
    """Closes the intent and forgets the one before it; the newest closed one stays."""
    this_partition = and_(_intent.c.region == lease.region, _intent.c.partition == lease.partition)
    closed = connection.execute(
        update(_intent)
        .where(
            this_partition,
            _intent.c.number == intent.number,
            _intent.c.first_offset == intent.first_offset,
            _intent.c.end_offset == intent.end_offset,
            _intent.c.closed.is_(False),
        )
        .values(closed=True)
    ).rowcount
    if closed != 1:
        raise LedgerLost(f"Intent {intent.number} of {name_of(lease)} is not open.")
    connection.execute(delete(_intent).where(this_partition, _intent.c.number < intent.number, _intent.c.closed))


def deliver_files(connection: Connection, lease: Lease, number: int, now: int) -> None:
    """All files of the intent that are still intended are delivered now."""
    connection.execute(
        update(_file)
        .where(of_intent(lease, number), _file.c.state == FileState.INTENDED)
        .values(state=FileState.DELIVERED, delivered_at=now)
    )
    note_delivery(
        connection,
        select(_file.c.incarnation, literal(lease.region), literal(lease.partition), literal(now, BigInteger()))
        .where(of_intent(lease, number), _file.c.state == FileState.DELIVERED)
        .distinct(),
    )


def note_delivery(connection: Connection, delivered: Any) -> None:
    """The newest delivery of each trail outlives its files' rows (GetTrailStatus)."""
    noted = tables.trail_delivery
    add = insert(connection, noted).from_select(["incarnation", "region", "partition", "delivered_at"], delivered)
    connection.execute(
        add.on_conflict_do_update(
            index_elements=["incarnation", "region", "partition"], set_={"delivered_at": add.excluded.delivered_at}
        )
    )


def ids_of_parked(connection: Connection, lease: Lease, number: int, parked: Mapping[str, Parking]) -> dict[int, str]:
    """Which rows of the intent are to be parked: their keys by id. Raises StateError on a key that is no file's."""
    rows = connection.execute(select(_file.c.id, _file.c.object_key).where(of_intent(lease, number))).all()
    missing = set(parked) - {row.object_key for row in rows}
    if missing:
        raise StateError(f"Intent {number} of {name_of(lease)} has no file {min(missing)}: nothing was delivered.")
    return {row.id: row.object_key for row in rows if row.object_key in parked}


def park_files(connection: Connection, parked: Iterable[tuple[int, Parking]], now: int) -> None:
    """These files (by id) lie in the spool instead of their bucket."""
    values = [
        {
            "of_id": file_id,
            "parked_bytes": parking.size,
            "error": parking.error,
            "failing_since": None if parking.error is None else now,
            "unanswered_puts": 0 if parking.is_answered else 1,
        }
        for file_id, parking in parked
    ]
    if values:
        parking_of_one = (
            update(_file)
            .where(_file.c.id == bindparam("of_id"))
            .values(
                state=FileState.PARKED,
                parked_at=now,
                parked_bytes=bindparam("parked_bytes"),
                error=bindparam("error"),
                failing_since=bindparam("failing_since"),
                unanswered_puts=bindparam("unanswered_puts"),
            )
        )
        connection.execute(parking_of_one, values)


def advance(connection: Connection, lease: Lease, intent: Intent, now: int) -> None:
    """Delivery goes on behind the intent. Raises LedgerLost if it is not the next one."""
    advanced = connection.execute(
        update(_partition)
        .where(
            _partition.c.region == lease.region,
            _partition.c.number == lease.partition,
            _partition.c.next_offset == intent.first_offset,
        )
        .values(next_offset=intent.end_offset, last_delivered_at=now)
    ).rowcount
    if advanced != 1:
        raise LedgerLost(f"Intent {intent.number} of {name_of(lease)} is not the next to be delivered.")

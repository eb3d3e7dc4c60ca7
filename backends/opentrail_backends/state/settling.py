"""An operator's way on where a partition's ledger and its bus do not fit. The caller holds the fence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import BigInteger, Connection, and_, delete, literal, select, update

from opentrail_backends.state import tables
from opentrail_backends.state.api_calls import renew_clients
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.delivering import note_delivery, park_files
from opentrail_backends.state.engine import in_chunks, insert
from opentrail_backends.state.fence import name_of
from opentrail_backends.state.intent_rows import NO_DIGEST
from opentrail_backends.state.port import FileState, Lease, LostOffsets, Settlement, StateError

_partition = tables.partition
_intent = tables.intent
_file = tables.file
_lost = tables.lost_offsets


def settle(connection: Connection, clock: StoreClock, lease: Lease, settlement: Settlement) -> None:
    """Closes all open intents by what became of their files, and moves the next offset. Raises StateError.

    The API's calls get other clients in the region: in a ledger from a backup the next number is one that the bus has.
    """
    ids = _open_files(connection, lease)
    _refuse_incomplete(lease, set(ids), settlement)
    _close_all(connection, lease)
    topic = {"topic_id": settlement.topic_id, "partitions": settlement.partitions}
    add = insert(connection, tables.topic).values(region=lease.region, **topic)
    connection.execute(add.on_conflict_do_update(index_elements=["region"], set_=topic))
    renew_clients(connection, lease.region)
    now = clock.record(connection)
    park_files(connection, ((ids[key], parking) for key, parking in settlement.parked.items()), now)
    digested = set(settlement.digested)
    _deliver(connection, lease, [ids[key] for key in settlement.delivered if key not in digested], now)
    _deliver(connection, lease, [ids[key] for key in digested], now, digest=NO_DIGEST)  # its digest lies in the bucket
    for chunk in in_chunks(ids[key] for key in settlement.lost):
        connection.execute(
            update(_file).where(_file.c.id.in_(chunk)).values(state=FileState.LOST, digest=NO_DIGEST, parked_at=now)
        )
    moved = {"last_delivered_at": now} if settlement.delivered else {}
    connection.execute(
        update(_partition)
        .where(_partition.c.region == lease.region, _partition.c.number == lease.partition)
        .values(next_offset=settlement.next_offset, **moved)
    )
    _record_lost(connection, settlement.lost_offsets, now)


def read_lost_offsets(connection: Connection) -> list[LostOffsets]:
    """What operators gave up, the newest first."""
    columns = [_lost.c[field.name] for field in fields(LostOffsets)]
    rows = connection.execute(select(*columns).order_by(_lost.c.id.desc())).mappings()
    return [LostOffsets(**{**row, "accounts": tuple(row["accounts"])}) for row in rows]


def _open_files(connection: Connection, lease: Lease) -> dict[str, int]:
    """Ids of the open intents' files by object key."""
    still_open = select(_intent.c.number).where(
        _intent.c.region == lease.region, _intent.c.partition == lease.partition, _intent.c.closed.is_(False)
    )
    rows = connection.execute(
        select(_file.c.object_key, _file.c.id).where(
            _file.c.region == lease.region, _file.c.partition == lease.partition, _file.c.intent.in_(still_open)
        )
    )
    return {row.object_key: row.id for row in rows}


def _refuse_incomplete(lease: Lease, keys: set[str], settlement: Settlement) -> None:
    named = Counter((*set(settlement.delivered), *settlement.parked, *set(settlement.lost)))
    twice = {key for key, times in named.items() if times > 1}
    strange = (set(named) - keys) | (set(settlement.digested) - set(settlement.delivered))
    for which, what in (
        (keys - set(named), "is left out"),
        (twice, "is named twice"),
        (strange, "is no delivered file of an open intent" if strange & keys else "is no file of an open intent"),
    ):
        if which:
            raise StateError(f"{name_of(lease)} cannot be settled, {min(which)} {what}: nothing was changed.")


def _close_all(connection: Connection, lease: Lease) -> None:
    this_partition = and_(_intent.c.region == lease.region, _intent.c.partition == lease.partition)
    connection.execute(update(_intent).where(this_partition, _intent.c.closed.is_(False)).values(closed=True))
    connection.execute(delete(_intent).where(this_partition, _intent.c.number < lease.last_intent))


def _deliver(connection: Connection, lease: Lease, ids: Sequence[int], now: int, digest: int | None = None) -> None:
    marked = {} if digest is None else {"digest": digest}
    for chunk in in_chunks(ids):
        these = _file.c.id.in_(chunk)
        connection.execute(update(_file).where(these).values(state=FileState.DELIVERED, delivered_at=now, **marked))
        trails = select(
            _file.c.incarnation, literal(lease.region), literal(lease.partition), literal(now, BigInteger())
        )
        note_delivery(connection, trails.where(these).distinct())


def _record_lost(connection: Connection, lost: Sequence[LostOffsets], now: int) -> None:
    rows = [
        {
            "region": one.region,
            "partition": one.partition,
            "topic_id": one.topic_id,
            "first_offset": one.first_offset,
            "end_offset": one.end_offset,
            "reason": one.reason,
            "accounts": list(one.accounts),
            "recorded_at": now,
        }
        for one in lost
    ]
    if rows:
        connection.execute(insert(connection, _lost), rows)

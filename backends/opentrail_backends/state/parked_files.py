"""Parked files in the ledger: log files that were intended, are kept in the spool, and are not in their bucket yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, and_, select, update

from opentrail_backends.state import tables
from opentrail_backends.state.engine import insert
from opentrail_backends.state.port import FileState, LedgerLost, ParkedFile

_file = tables.file
_chain = tables.chain
_is_parked = _file.c.state == FileState.PARKED


def read_parked(connection: Connection, limit: int, after: int) -> Sequence[ParkedFile]:
    """Parked files with an id above `after`, by id."""
    columns = [_file.c[field.name] for field in fields(ParkedFile)]
    query = select(*columns).where(_is_parked, _file.c.id > after).order_by(_file.c.id).limit(limit)
    return [ParkedFile(**row) for row in connection.execute(query).mappings()]


def rename_parked(connection: Connection, file: ParkedFile, new_key: str) -> None:
    """Fixes a parked file's new key. Raises LedgerLost if it is not parked under the old one any more."""
    renamed = connection.execute(update(_file).where(_still(file)).values(object_key=new_key))
    if renamed.rowcount != 1:
        raise LedgerLost(f"File {file.id} is not parked as {file.object_key} any more.")


def deliver_parked(connection: Connection, file: ParkedFile, now: int) -> bool:
    """The row is the fence: of several that put the same file, one delivers it."""
    row = connection.execute(
        update(_file).where(_still(file)).values(state=FileState.DELIVERED, delivered_at=now).returning(_file)
    ).first()
    if row is None:
        return False
    noted = tables.trail_delivery
    add = insert(connection, noted).values(
        incarnation=row.incarnation, region=row.region, partition=row.partition, delivered_at=now
    )
    connection.execute(
        add.on_conflict_do_update(
            index_elements=["incarnation", "region", "partition"], set_={"delivered_at": add.excluded.delivered_at}
        )
    )
    identity = ("incarnation", "logging_session", "account_id", "region")
    connection.execute(
        update(_chain)
        .where(and_(*(_chain.c[name] == getattr(row, name) for name in identity)), _chain.c.ended)
        .values(ended=False, ending=True, head_bucket=None, head_key=None, head_sha256=None, head_signature=None)
    )
    return True


def _still(file: ParkedFile) -> Any:
    """The key belongs to the fence: another process may have renamed the file, and put it elsewhere."""
    return and_(_file.c.id == file.id, _file.c.object_key == file.object_key, _is_parked)

"""Parked files in the ledger: log files that were intended, are kept in the spool, and are not in their bucket yet.

Several processes may try the same file. Its row is the fence: who put it where the row does not say any more, or
under a key that it does not have any more, changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)

from opentrail_backends.state import tables
from opentrail_backends.state.delivering import note_delivery
from opentrail_backends.state.engine import in_chunks
from opentrail_backends.state.port import FileState, LedgerLost, ParkedFailure, ParkedFile

_file = tables.file
# States are written out, not given as parameters: only so a database sees that a partial index holds all the rows.
_is_parked = _file.c.state == literal_column("'parked'")
_is_expired = _file.c.state == literal_column("'expired'")

_COMPUTED: dict[str, Any] = {
    "size": func.coalesce(_file.c.parked_bytes, 0).label("size"),
    "parked_at": func.coalesce(_file.c.parked_at, 0).label("parked_at"),  # parked by a release that noted none
    "is_answered": (_file.c.unanswered_puts == 0).label("is_answered"),
}
_COLUMNS = [_COMPUTED[field.name] if field.name in _COMPUTED else _file.c[field.name] for field in fields(ParkedFile)]


def read_parked(connection: Connection, limit: int, after: int) -> Sequence[ParkedFile]:
    """Parked files with an id above `after`, by id."""
    query = select(*_COLUMNS).where(_is_parked, _file.c.id > after).order_by(_file.c.id).limit(limit)
    return [_parked_file(row) for row in connection.execute(query)]


def begin_parked(connection: Connection, ids: Collection[int]) -> Sequence[ParkedFile]:
    """Counts a put of each; returns the files as they are now, without those that are not parked any more."""
    begun: list[ParkedFile] = []
    for chunk in in_chunks(sorted(ids)):
        # In one order, so that two processes do not wait for each other in a circle.
        these = and_(_file.c.id.in_(chunk), _is_parked)
        files = [
            _parked_file(row)
            for row in connection.execute(select(*_COLUMNS).where(these).order_by(_file.c.id).with_for_update())
        ]
        connection.execute(update(_file).where(these).values(unanswered_puts=_file.c.unanswered_puts + 1))
        begun += files
    return begun


def fail_parked(connection: Connection, failures: Iterable[ParkedFailure], now: int) -> None:
    """Takes back the count of each put that was answered, and notes why it failed and since when."""
    values = [
        {"of_id": failure.id, "noted": failure.error, "answered": int(failure.is_answered)}
        for failure in sorted(failures)
    ]
    if values:
        left = _file.c.unanswered_puts - bindparam("answered")
        failing = (
            update(_file)
            .where(_file.c.id == bindparam("of_id"), _is_parked)
            .values(
                error=bindparam("noted"),
                failing_since=func.coalesce(_file.c.failing_since, now),
                unanswered_puts=case((left > 0, left), else_=0),
            )
        )
        connection.execute(failing, values)


def rename_parked(connection: Connection, file: ParkedFile, new_key: str) -> None:
    """Fixes a parked file's new key. Raises LedgerLost if it is not parked under the old one any more."""
    renamed = connection.execute(update(_file).where(_still(file)).values(object_key=new_key))
    if renamed.rowcount != 1:
        raise LedgerLost(f"File {file.id} is not parked as s3://{file.bucket}/{file.object_key} any more.")


def reaim_parked(
    connection: Connection, file: ParkedFile, bucket: str, object_key: str, kms_key_id: str | None
) -> bool:
    """The file is to be put elsewhere, if no put to its old place may still appear there."""
    aimed = connection.execute(
        update(_file)
        .where(_still(file), _file.c.unanswered_puts == 0)
        .values(bucket=bucket, object_key=object_key, kms_key_id=kms_key_id, failing_since=None, error=None)
    )
    return aimed.rowcount == 1


def deliver_parked(connection: Connection, file: ParkedFile, now: int) -> bool:
    """Of several that put the same file, one delivers it. A chain that has ended is started again by `orphans`."""
    delivered = connection.execute(
        update(_file).where(_still(file)).values(state=FileState.DELIVERED, delivered_at=now)
    ).rowcount
    if delivered:
        columns = (_file.c.incarnation, _file.c.region, _file.c.partition, _file.c.delivered_at)
        note_delivery(connection, select(*columns).where(_file.c.id == file.id))
    return delivered == 1


def failing_before(connection: Connection, time: int) -> list[int]:
    """Ids of parked files whose bucket has failed since a time or longer, rising."""
    query = select(_file.c.id).where(_is_parked, _file.c.failing_since <= time).order_by(_file.c.id)
    return list(connection.execute(query).scalars())


def expire(connection: Connection, ids: Collection[int], time: int) -> int:
    """Those of the files that still fail since that time are not tried any more."""
    still = (_file.c.id.in_(ids), _is_parked, _file.c.failing_since <= time)
    connection.execute(select(_file.c.id).where(*still).order_by(_file.c.id).with_for_update())
    return connection.execute(update(_file).where(*still).values(state=FileState.EXPIRED)).rowcount


def retry_expired(connection: Connection) -> int:
    """Expired files are parked again, and age anew."""
    expired = and_(is_spooled(_file), _is_expired)
    again = update(_file).where(expired).values(state=FileState.PARKED, failing_since=None)
    return connection.execute(again).rowcount


def is_spooled(file: FromClause) -> ColumnElement[bool]:
    """The file lies in the spool: what the index `file_spooled` holds."""
    return file.c.state.in_([literal_column("'parked'"), literal_column("'expired'")])


def _parked_file(row: Row[Any]) -> ParkedFile:
    return ParkedFile(**{**row._mapping, "is_answered": bool(row.is_answered)})  # noqa: SLF001 - public in SQLAlchemy


def _still(file: ParkedFile) -> Any:
    """Bucket and key belong to the fence: another process may have renamed or re-aimed the file, and put it there."""
    return and_(_file.c.id == file.id, _file.c.bucket == file.bucket, _file.c.object_key == file.object_key, _is_parked)

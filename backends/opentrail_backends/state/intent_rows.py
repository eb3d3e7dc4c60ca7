"""The rows of an intent and of its files, and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, and_, select

from opentrail_backends.state import tables
from opentrail_backends.state.port import FileState, IntendedFile, Intent, Lease

_intent = tables.intent
_file = tables.file
_FILE_FIELDS = [field.name for field in fields(IntendedFile) if field.name != "is_digested"]

NO_DIGEST = 0
"""In the place of a digest's sequence: no digest is to name the file."""


def open_intents(connection: Connection, lease: Lease) -> list[Intent]:
    """The partition's open intents with their files, oldest first."""
    rows = connection.execute(
        select(_intent)
        .where(_intent.c.region == lease.region, _intent.c.partition == lease.partition, _intent.c.closed.is_(False))
        .order_by(_intent.c.number)
    ).all()
    return [
        Intent(row.number, row.first_offset, row.end_offset, row.body, _files(connection, lease, row.number))
        for row in rows
    ]


def _files(connection: Connection, lease: Lease, number: int) -> list[IntendedFile]:
    columns = [*(_file.c[name] for name in _FILE_FIELDS), _file.c.digest]
    rows = connection.execute(select(*columns).where(of_intent(lease, number)).order_by(_file.c.position))
    return [
        IntendedFile(is_digested=row["digest"] is None, **{name: row[name] for name in _FILE_FIELDS})
        for row in rows.mappings()
    ]


def rows_of_files(lease: Lease, intent: Intent) -> list[dict[str, Any]]:
    """A row for each file of an intent that is written now."""
    common = {**partition_of(lease), "intent": intent.number, "state": FileState.INTENDED}
    return [
        {
            **common,
            "position": position,
            "digest": None if file.is_digested else NO_DIGEST,
            **{name: getattr(file, name) for name in _FILE_FIELDS},
        }
        for position, file in enumerate(intent.files)
    ]


def of_intent(lease: Lease, number: int) -> Any:
    """The condition that a file's row belongs to an intent."""
    return and_(_file.c.region == lease.region, _file.c.partition == lease.partition, _file.c.intent == number)


def partition_of(lease: Lease) -> dict[str, Any]:
    """The columns that name the partition."""
    return {"region": lease.region, "partition": lease.partition}

"""The `Inspection` port on SQL: for `opentrail fsck` and `opentrail settle`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import select, update

from opentrail_backends.state import tables
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions
from opentrail_backends.state.intent_rows import NO_DIGEST, open_intents
from opentrail_backends.state.parked_files import deliver_parked
from opentrail_backends.state.port import FileState, Intent, Lease, ParkedFile, StateError, StateStore
from opentrail_backends.state.port.inspection import FileRow, Inspection
from opentrail_backends.state.store import SqlStateStore

_file = tables.file
_COLUMNS = [_file.c[field.name] for field in fields(FileRow)]


def inspection_of(store: StateStore) -> Inspection:
    """The inspection of a state store. Raises StateError on one that is not on SQL."""
    if not isinstance(store, SqlStateStore):
        raise StateError(f"a {type(store).__name__} cannot be inspected")
    return SqlInspection(store._transactions)  # noqa: SLF001 - a part of the same adapter


class SqlInspection:
    """See Inspection."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._clock = StoreClock(is_postgresql=transactions.is_postgresql, source=None)

    def files(self, limit: int, after: int = 0) -> Sequence[FileRow]:
        """See Inspection."""
        query = select(*_COLUMNS).where(_file.c.id > after).order_by(_file.c.id).limit(limit)
        with self._transactions.reading() as connection:
            rows = connection.execute(query).mappings()
            return [FileRow(**{**row, "state": FileState(row["state"])}) for row in rows]

    def open_intents(self, region: str, partition: int) -> Sequence[Intent]:
        """See Inspection."""
        nobody = Lease(region, partition, 0, "", 0, 0)
        with self._transactions.reading() as connection:
            return open_intents(connection, nobody)

    def deliver_digested(self, file: ParkedFile) -> bool:
        """See Inspection."""
        with self._transactions.writing() as connection:
            delivered = deliver_parked(connection, file, self._clock.record(connection))
            if delivered:
                connection.execute(update(_file).where(_file.c.id == file.id).values(digest=NO_DIGEST))
            return delivered

    def lower_stamp(self, place: str, last_stamp: int) -> None:
        """See Inspection."""
        with self._transactions.writing() as connection:
            this = (tables.place.c.place == place, tables.place.c.last_stamp > last_stamp)
            connection.execute(update(tables.place).where(*this).values(last_stamp=last_stamp))

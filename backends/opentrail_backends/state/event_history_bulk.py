"""Many rows at once, as each database takes them fastest.

PostgreSQL gets a column as one array in text form, SQLite one statement with many rows. What SQLAlchemy does for each
row by itself would take longer than the database does.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Table, insert, text

from opentrail_backends.state.engine import in_chunks
from opentrail_backends.state.event_history_rows import WeekRows
from opentrail_backends.state.event_history_tables import WeekTables


def insert_rows(connection: Connection, tables: WeekTables, rows: WeekRows) -> None:
    """Inserts a week's rows. An id that is there already is an error of the database: nothing is kept then."""
    connection.execute(
        insert(tables.block), [{"number": number, "records": records} for number, records in rows.blocks]
    )
    for table, pairs in ((tables.id, rows.ids), (tables.posting, rows.postings)):
        _insert_places(connection, table, pairs)


def known_ids(connection: Connection, tables: WeekTables, terms: Sequence[bytes]) -> set[bytes]:
    """Which of these terms of ids a week has."""
    name = tables.id.name
    if connection.dialect.name == "postgresql":
        query = text(f"SELECT term FROM {name} WHERE term = ANY(CAST(:terms AS uuid[]))")  # noqa: S608 (our own name)
        return {row.term.bytes for row in connection.execute(query, {"terms": _uuids(terms)})}
    known: set[bytes] = set()
    for chunk in in_chunks(terms):
        marks = ",".join("?" * len(chunk))
        query_of_chunk = f"SELECT term FROM {name} WHERE term IN ({marks})"  # noqa: S608 (our own name)
        known.update(row.term for row in connection.exec_driver_sql(query_of_chunk, chunk))
    return known


def _insert_places(connection: Connection, table: Table, pairs: Sequence[tuple[bytes, int]]) -> None:
    if connection.dialect.name == "postgresql":
        arrays = "unnest(CAST(:terms AS uuid[]), CAST(:places AS bigint[]))"
        add = text(f"INSERT INTO {table.name} (term, place) SELECT * FROM {arrays}")  # noqa: S608 (our own name)
        places = ",".join([str(place) for _, place in pairs])
        connection.execute(add, {"terms": _uuids([term for term, _ in pairs]), "places": f"{{{places}}}"})
    else:
        connection.exec_driver_sql(f"INSERT INTO {table.name} (term, place) VALUES (?, ?)", list(pairs))  # noqa: S608 (our own name)


def _uuids(terms: Sequence[bytes]) -> str:
    """An array of uuid as PostgreSQL writes it, but for the hyphens, which it does not need."""
    return f"{{{','.join([term.hex() for term in terms])}}}"

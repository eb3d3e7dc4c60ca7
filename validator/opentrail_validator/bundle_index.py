"""The index of an evidence bundle: what lists, the API and the second place of heads answered, and what was not there.

One SQLite file, so that a bundle of a million files needs no memory for their names. Keys are kept as the bytes of
their UTF-8: those sort as S3 lists them, and a name that is no text fits, too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any, Final

_SCHEMA: Final = """
CREATE TABLE absent (bucket BLOB, key BLOB, outcome TEXT, detail TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE metadata (bucket BLOB, key BLOB, metadata TEXT, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE lists (id INTEGER PRIMARY KEY, bucket BLOB, prefix BLOB, start_after BLOB, state TEXT, detail TEXT,
                    last BLOB);
CREATE INDEX lists_by_prefix ON lists (bucket, prefix);
CREATE TABLE entries (list INTEGER, key BLOB, modified REAL, PRIMARY KEY (list, key)) WITHOUT ROWID;
CREATE TABLE folders (bucket BLOB, prefix BLOB, names TEXT, detail TEXT, PRIMARY KEY (bucket, prefix)) WITHOUT ROWID;
CREATE TABLE keys (region TEXT, start INTEGER, "end" INTEGER, answer TEXT);
CREATE TABLE heads (id INTEGER PRIMARY KEY, bucket BLOB, folder BLOB, start INTEGER, "end" INTEGER, failure TEXT);
CREATE TABLE head (heads INTEGER, body BLOB);
CREATE INDEX head_by_answer ON head (heads);
"""
_ROWS: Final = 1000
"""Read at a time."""
_LONGEST: Final = 64 << 20
"""Bytes of a value."""
_DISTRUST: Final = f"""
PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA hard_heap_limit = {256 << 20};
"""


def blob(text: str) -> bytes:
    """A name as the index keeps it."""
    return text.encode("utf-8", "surrogatepass")


def name(stored: bytes) -> str:
    """A name from the index. Raises ValueError, AttributeError on what is none."""
    return stored.decode("utf-8", "surrogatepass")


class Index:
    """The file, open. Safe for several threads. Every method may raise sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = Lock()

    @classmethod
    def create(cls, file: Path) -> Index:
        """A new index. It is not made to survive a crash: a bundle that was not finished is no bundle."""
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA} BEGIN;")
        return cls(connection)

    @classmethod
    def open(cls, file: Path) -> Index:
        """An index that is only read: nothing is written beside it, not even a lock. Whoever made it is not trusted."""
        uri = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        try:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            connection.executescript(_DISTRUST)
            _demand_own_schema(connection)
            _demand_whole_pages(connection)
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def write(self, statement: str, *parameters: Any) -> int:
        """Writes; returns the row's id."""
        with self._lock, closing(self._connection.execute(statement, parameters)) as cursor:
            return cursor.lastrowid or 0

    def write_all(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Writes many rows."""
        with self._lock:
            self._connection.executemany(statement, rows).close()

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a short answer."""
        with self._lock, closing(self._connection.execute(query, parameters)) as cursor:
            return cursor.fetchall()

    def pages(self, query: str, *parameters: Any) -> Iterator[tuple[Any, ...]]:
        """The rows of a long answer. The index must not be written meanwhile."""
        with self._lock:
            cursor = self._connection.execute(query, parameters)
        with closing(cursor):
            while True:
                with self._lock:
                    page = cursor.fetchmany(_ROWS)
                if not page:
                    return
                yield from page

    def finish(self) -> None:
        """Writes what is still in memory, and closes the file."""
        with self._lock:
            self._connection.execute("COMMIT")
            self._connection.close()

    def close(self) -> None:
        """Closes the file as it is."""
        with self._lock:
            self._connection.close()


def _demand_own_schema(connection: sqlite3.Connection) -> None:
    """A view under a table's name could make any query run for ever."""
    if _schema_of(connection) != _own_schema():
        raise sqlite3.DatabaseError("its tables are not those of a bundle's index")


def _demand_whole_pages(connection: sqlite3.Connection) -> None:
    """Pages that are reached in several ways could give a few rows in trillions of turns."""
    ((answer,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    if answer != "ok":
        raise sqlite3.DatabaseError(f"it is damaged: {answer}")


def _schema_of(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """All that the file says of its tables, but for where they lie in it."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name LIMIT 100"
    return connection.execute(query).fetchall()


def _own_schema() -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_SCHEMA)
        return _schema_of(connection)

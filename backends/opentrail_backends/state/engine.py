"""Connections and transactions: what each database needs so that a commit that was answered is never lost."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RootTransaction, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from opentrail_backends.state.port import OutcomeUnknown, StateError

T = TypeVar("T")

BUSY_MS = 30_000
"""How long a transaction waits for another one's lock."""

_WRITES = "opentrail_writes"
_HASTY = "opentrail_hasty"
_SQLITE = frozenset({"sqlite", "sqlite+pysqlite"})
_IN_MEMORY = ":memory:"
_UNKNOWN_COMPLETION = "40003"  # SQLSTATE statement_completion_unknown
_MISSING_SCHEMA = frozenset({"42P01", "42703", "3F000"})  # undefined table, column, schema


class Transactions:
    """Transactions on one database, with foreign exceptions turned into the port's."""

    def __init__(self, engine: Engine, hasty: Engine | None = None) -> None:
        self.engine = engine
        self._writer = engine.execution_options(**{_WRITES: True})
        self._asker = engine
        self._hasty = (hasty or engine).execution_options(**{_HASTY: True})
        if self.is_postgresql:
            self._asker = engine.execution_options(isolation_level="AUTOCOMMIT")
            self._hasty = self._hasty.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def is_postgresql(self) -> bool:
        """Whether the database is PostgreSQL; else it is SQLite."""
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads; it is rolled back at its end."""
        with _translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """One statement that reads, for what is asked all the time: no round trips for a transaction around it."""
        with _translated(), self._asker.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is committed at the end of the block, and undone if the block raises.

        Raises OutcomeUnknown if the commit was sent and its answer did not come.
        """
        with _translated(), self._writer.connect() as connection:
            transaction = connection.begin()
            yield connection
            _commit(transaction)

    @contextmanager
    def hasty(self) -> Iterator[Connection]:
        """Statements that are transactions of their own, without round trips for BEGIN and COMMIT.

        For what may be lost when a machine dies: SQLite's do not wait for the disk. PostgreSQL's do, unless a
        statement says otherwise.
        """
        with _translated(), self._hasty.connect() as connection:
            yield connection

    def close(self) -> None:
        """Closes all connections."""
        self._hasty.dispose()
        self.engine.dispose()


def insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that knows ON CONFLICT, which both databases have and SQLAlchemy keeps per dialect."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def in_chunks(values: Iterable[T]) -> Iterator[tuple[T, ...]]:
    """Values in parts that fit into one statement's parameters (SQLite: 32,766; PostgreSQL: 65,535)."""
    remaining = iter(values)
    while chunk := tuple(islice(remaining, 5_000)):
        yield chunk


def make_engine(url: str) -> Engine:
    """An engine for one of the supported URLs. Makes no connection. Raises StateError."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Without the parser's own words: what it could not read may be a part of the password.
        raise StateError(
            "The state store's URL cannot be read: it is sqlite:///file, sqlite:// or "
            "postgresql+psycopg://user:password@host:port/name, special characters percent-encoded."
        ) from None
    if parsed.drivername in _SQLITE:
        path = parsed.database or _IN_MEMORY
        return _sqlite_in_memory(url) if path == _IN_MEMORY else _sqlite_file(url, path, "FULL")
    if parsed.drivername == "postgresql+psycopg":
        try:
            return _postgresql(url)
        except ModuleNotFoundError as error:
            raise StateError(f"The state store needs {error.name}: install opentrail[postgresql]") from error
    raise StateError(
        f"A state store of the kind {parsed.drivername!r} is not supported: "
        "use sqlite:///file, sqlite:// or postgresql+psycopg://…"
    )


def make_hasty_engine(url: str) -> Engine | None:
    """An engine beside the one of `make_engine`, for hasty statements; None where the same one will do.

    Connections of their own: no other commit is ever left waiting for one that was let off the disk.
    """
    parsed = make_url(url)
    if parsed.drivername in _SQLITE and parsed.database not in {None, "", _IN_MEMORY}:
        return _sqlite_file(url, str(parsed.database), "NORMAL")
    return None


def _sqlite_in_memory(url: str) -> Engine:
    # The database lives in its one connection: the pool hands it to one transaction after another.
    engine = create_engine(
        url,
        hide_parameters=True,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=BUSY_MS / 1000,
        connect_args={"check_same_thread": False},
    )
    return _with_sqlite_transactions(engine, "FULL")


def _sqlite_file(url: str, path: str, synchronous: str) -> Engine:
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000})

    @event.listens_for(engine, "do_connect")
    def make_private(*_: object) -> None:
        _create_private(path)

    return _with_sqlite_transactions(engine, synchronous)


def _with_sqlite_transactions(engine: Engine, synchronous: str) -> Engine:
    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `begin` below does
        _use_wal(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous}")  # FULL: an answered commit survives a loss of power
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get(_HASTY, False):
            # A write takes its lock at once: one that started as a read could be refused half-way.
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES, False) else "BEGIN")

    return engine


def _create_private(path: str) -> None:
    """Who can read the store can read the places and hashes of all accounts. The -wal file gets the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StateError(f"The state store's file cannot be made: {error}") from error


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers do not block the writer. Of two processes that switch a new file at once, one is refused unwaited."""
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _postgresql(url: str) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        isolation_level="READ COMMITTED",  # row locks do the rest
        pool_pre_ping=True,  # a restart of the server costs no transaction that begins after it
        connect_args={
            "application_name": "opentrail",
            "connect_timeout": 10,
            # A dead peer is noticed within half a minute, also while we wait for an answer.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        },
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            # A commit that was answered survives the server's crash; what is stronger stays.
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', false)"
                " WHERE current_setting('synchronous_commit') IN ('off', 'local')"
            )
            # An owner that stands still in a transaction (a paused machine) does not hold its rows for ever.
            cursor.execute(f"SET lock_timeout = {BUSY_MS}")
            cursor.execute(f"SET idle_in_transaction_session_timeout = {2 * BUSY_MS}")
        connection.commit()

    return engine


def _commit(transaction: RootTransaction) -> None:
    try:
        transaction.commit()
    except DBAPIError as error:
        if _surely_undone(error):
            raise
        raise OutcomeUnknown(
            f"The state store did not confirm a commit, it may have been kept: {error.orig}. Start again at step 1."
        ) from error


def _surely_undone(error: DBAPIError) -> bool:
    """Whether the database itself said that it rolled back (SQLSTATE classes 23 and 40)."""
    if isinstance(error, IntegrityError):
        return True
    state = _sqlstate(error)
    return state.startswith("40") and state != _UNKNOWN_COMPLETION


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise StateError(_advice(error)) from error
    except SQLAlchemyError as error:
        raise StateError(f"The state store refused: {error}") from error


def _advice(error: DBAPIError) -> str:
    if _sqlstate(error) in _MISSING_SCHEMA or "no such table" in str(error.orig) or "no such column" in str(error.orig):
        return f"The state store's schema is missing or older than this release: migrate it first. ({error.orig})"
    if isinstance(error, IntegrityError):
        return f"The state store refused a row that does not fit what it holds: {error.orig}"
    return f"The state store could not be used: {error.orig}. Nothing was changed; try again when it is reachable."

"""What the database lacks of what delivery stands on: a commit that was answered must survive a crash (design §3)."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, text

_OLDEST_POSTGRESQL = 140_000
_FULL = 2  # PRAGMA synchronous; 3 is EXTRA
_IN_MEMORY = "memory"


def unmet_conditions(connection: Connection) -> list[str]:
    """One sentence for each condition that is not met; it says what to do."""
    is_postgresql = connection.dialect.name == "postgresql"
    return list(_of_postgresql(connection) if is_postgresql else _of_sqlite(connection))


def _of_sqlite(connection: Connection) -> Iterator[str]:
    synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    if synchronous < _FULL:
        yield (
            f"SQLite runs with PRAGMA synchronous = {synchronous}: a loss of power can take back what was committed. "
            "Let nothing else change the settings of OpenTrail's connections, and start the process again."
        )
    is_file = any(row[2] for row in connection.exec_driver_sql("PRAGMA database_list"))
    journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    if journal == "off" or (is_file and journal == _IN_MEMORY):
        yield (
            f"SQLite runs with PRAGMA journal_mode = {journal}: a crash can destroy the state store. "
            "Let nothing else change the settings of OpenTrail's connections, and start the process again."
        )


def _of_postgresql(connection: Connection) -> Iterator[str]:
    row = connection.execute(
        text(
            "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,"
            " current_setting('synchronous_commit') AS synchronous_commit,"
            " current_setting('server_version_num')::int AS version, current_setting('server_version') AS release,"
            " current_setting('transaction_read_only') AS read_only, pg_is_in_recovery() AS in_recovery"
        )
    ).one()
    if row.version < _OLDEST_POSTGRESQL:
        yield f"PostgreSQL is of release {row.release}: the state store needs release 14 or newer, upgrade the server."
    if row.fsync == "off":
        yield (
            "PostgreSQL runs with fsync = off: a crash of its machine can take back what was committed. "
            "Set fsync = on and reload the server's configuration."
        )
    if row.full_page_writes == "off":
        yield (
            "PostgreSQL runs with full_page_writes = off: a crash of its machine can destroy the state store. "
            "Set full_page_writes = on and reload the server's configuration."
        )
    if row.synchronous_commit in {"off", "local"}:
        yield (
            f"Commits to PostgreSQL run with synchronous_commit = {row.synchronous_commit}, though each connection "
            "sets it to on: connect to the server itself, or to a pooler that keeps a session's settings."
        )
    if row.in_recovery:
        yield "PostgreSQL is a standby, in recovery: let the state store's URL name the primary server."
    elif row.read_only == "on":
        yield (
            "PostgreSQL lets OpenTrail only read: set default_transaction_read_only = off for its user and database."
        )

"""Brings a database's schema to this release, in one transaction, however many processes start at once."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from opentrail_backends.state.engine import Transactions
from opentrail_backends.state.port import StateError

_MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x6F70656E74726C  # "opentrl"; one per database


def migrate(transactions: Transactions) -> None:
    """Runs the migrations that are missing. Raises StateError if the schema is newer than this release."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with transactions.writing() as connection:  # SQLite: BEGIN IMMEDIATE keeps the others out until the commit
        if transactions.is_postgresql:
            connection.execute(text("SET LOCAL lock_timeout = '10min'"))  # another process may be at a long migration
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        _refuse_newer(config, connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _refuse_newer(config: Config, connection: Connection) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise StateError(
                f"The state store's schema is at revision {revision}, which is newer than this release: start the "
                "release that made it, or a newer one, or restore a backup from before the upgrade."
            )

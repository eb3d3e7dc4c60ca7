"""The schema: made once however many start at once, equal to what the code uses, never older than the data."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from opentrail_backends.state import open_state_store, tables
from opentrail_backends.state.port import OutcomeUnknown, StateError, StateStore
from tests.contracts.state.conftest import DATABASES, Opener, between_processes, sqlite_url
from tests.contracts.state.samples import delivered, dump
from tests.contracts.state.severed import lose_next_commit

MIGRATE = (
    "import sys; from opentrail_backends.state import open_state_store as o; s = o(sys.argv[1]); s.migrate(); s.close()"
)


@pytest.fixture(params=DATABASES)
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a schema."""
    if request.param != "postgresql":
        return sqlite_url(request.param, tmp_path)
    url: str = request.getfixturevalue("postgres_url")
    return url


def test_migrating_again_keeps_everything(store: StateStore) -> None:
    delivered(store, ["a"])
    before = dump(store)
    store.migrate()
    assert dump(store) == before


def test_the_migrations_make_what_the_code_uses(store: StateStore) -> None:
    with store._transactions.reading() as connection:  # type: ignore[attr-defined]
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_the_migrations_make_the_indexes_that_the_code_describes(store: StateStore) -> None:
    """Also what the comparison above does not see: which rows a partial index holds."""
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        migrated = index_definitions(connection)
        tables.metadata.drop_all(connection)
        tables.metadata.create_all(connection)
        assert migrated == index_definitions(connection)
    assert "digest IS NULL" in migrated["file_undigested"]


def index_definitions(connection: Connection) -> dict[str, str]:
    if connection.dialect.name == "postgresql":
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    else:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    rows = {name: " ".join(sql.split()) for name, sql in connection.execute(text(query)) if "alembic" not in name}
    assert len(rows) >= 4
    return rows


@pytest.mark.postgresql
@pytest.mark.parametrize("state_url", ["postgresql"], indirect=True)
def test_names_are_ordered_by_their_bytes_whatever_the_databases_locale(store: StateStore) -> None:
    names = [
        (table.name, column.name)
        for table in tables.metadata.sorted_tables
        for column in table.columns
        if column.type is tables.Name
    ]
    query = text("SELECT table_name, column_name FROM information_schema.columns WHERE collation_name = 'C'")
    with store._transactions.reading() as connection:  # type: ignore[attr-defined]
        assert {tuple(row) for row in connection.execute(query)} >= set(names) != set()


@between_processes
def test_processes_that_migrate_at_once_all_succeed(state_url: str, open_store: Opener) -> None:
    started = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", MIGRATE, state_url], stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
    delivered(open_store(), ["a"])


def test_threads_that_migrate_at_once_all_succeed(open_store: Opener) -> None:
    stores = [open_store() for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda store: store.migrate(), stores))
    delivered(stores[0], ["a"])


def test_a_schema_that_is_newer_than_the_release_is_refused_and_kept(store: StateStore) -> None:
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateError, match=r"revision 9999, which is newer than this release: start the release"):
        store.migrate()
    with store._transactions.reading() as connection:  # type: ignore[attr-defined]
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "9999"


def test_a_migration_that_fails_leaves_nothing(open_store: Opener) -> None:
    store = open_store()
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(text("CREATE TABLE public_key (in_the_way INTEGER)"))
    with pytest.raises(StateError):
        store.migrate()
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(text("DROP TABLE public_key"))
    store.migrate()
    delivered(store, ["a"])


def test_a_commit_is_unknown_also_while_a_migration_is_in_it(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    lose_next_commit(store, monkeypatch, kept=True)
    with pytest.raises(OutcomeUnknown):
        store.migrate()
    store.migrate()
    assert store.ledger.windows() == []


def test_a_store_without_a_schema_says_that_it_must_be_migrated(open_store: Opener) -> None:
    with pytest.raises(StateError, match="migrate it first"):
        open_store().ledger.windows()


def test_a_file_is_private_durable_and_readable_while_it_is_written(tmp_path: Path) -> None:
    store = open_state_store(f"sqlite:///{tmp_path}/state.db")
    store.migrate()
    try:
        with store._transactions.writing() as connection:  # type: ignore[attr-defined]
            settings = ["journal_mode", "synchronous", "foreign_keys", "busy_timeout"]
            values = [connection.exec_driver_sql(f"PRAGMA {setting}").scalar_one() for setting in settings]
            assert values == ["wal", 2, 1, 30_000]
            assert store.ledger.windows() == []
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    finally:
        store.close()


@pytest.mark.postgresql
@pytest.mark.parametrize("setting", ["off", "local", "on", "remote_apply"])
def test_a_commit_on_postgresql_is_durable_whatever_the_databases_default(postgres_url: str, setting: str) -> None:
    store = open_state_store(f"{postgres_url}?options=-c%20synchronous_commit%3D{setting}")
    try:
        with store._transactions.writing() as connection:  # type: ignore[attr-defined]
            wanted = ["synchronous_commit", "transaction_isolation", "lock_timeout"]
            values = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in wanted]
        assert values == ["on" if setting in {"off", "local"} else setting, "read committed", "30s"]
    finally:
        store.close()

"""What the database must be like for a commit to survive: each lack is told, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from opentrail_backends.state import open_state_store, unmet_conditions
from opentrail_backends.state.port import StateError, StateStore
from tests.servers.postgresql import OwnPostgresServer

on_sqlite = pytest.mark.parametrize("state_url", ["sqlite memory", "sqlite file"], indirect=True)


def test_nothing_is_lacking_of_a_store_as_it_is_set_up(store: StateStore) -> None:
    assert store.unmet_conditions() == []


@contextmanager
def pragma(store: StateStore, name: str, value: str) -> Iterator[None]:
    """Someone else changes a setting of the store's one connection."""
    engine = store._transactions.engine  # type: ignore[attr-defined]
    connection = engine.raw_connection()
    connection.execute(f"PRAGMA {name} = {value}")
    connection.close()
    yield


@on_sqlite
@pytest.mark.parametrize("value", ["OFF", "NORMAL"])
def test_sqlite_must_wait_for_the_disk(store: StateStore, value: str) -> None:
    with pragma(store, "synchronous", value):
        (said,) = store.unmet_conditions()
    assert said.startswith("SQLite runs with PRAGMA synchronous = ")
    assert "start the process again" in said
    with pragma(store, "synchronous", "EXTRA"):
        assert store.unmet_conditions() == []


@on_sqlite
def test_sqlite_must_keep_a_journal(store: StateStore) -> None:
    with pragma(store, "journal_mode", "OFF"):
        (said,) = store.unmet_conditions()
    assert "journal_mode = off: a crash can destroy the state store" in said


@pytest.mark.postgresql
def test_postgresql_must_wait_for_the_disk(own_postgres: OwnPostgresServer) -> None:
    store = open_state_store(own_postgres.new_database())
    try:
        assert store.unmet_conditions() == []
        for setting in ("fsync", "full_page_writes"):
            _set(store, setting, "off")
            (said,) = store.unmet_conditions()
            assert f"{setting} = off: a crash of its machine" in said
            assert f"Set {setting} = on and reload" in said
            _set(store, setting, "on")
        assert store.unmet_conditions() == []
        own_postgres.stop()
        with pytest.raises(StateError):
            store.unmet_conditions()
    finally:
        store.close()


def _set(store: StateStore, setting: str, value: str) -> None:
    engine = store._transactions.engine.execution_options(isolation_level="AUTOCOMMIT")  # type: ignore[attr-defined]
    with engine.connect() as connection:
        connection.execute(text(f"ALTER SYSTEM SET {setting} = {value}"))
        connection.execute(text("SELECT pg_reload_conf()"))
        while connection.execute(text(f"SHOW {setting}")).scalar_one() != value:
            pass
    engine.dispose()


@pytest.mark.postgresql
def test_postgresql_must_take_writes_and_keep_what_a_connection_sets(postgres_url: str) -> None:
    store = open_state_store(f"{postgres_url}?options=-c%20default_transaction_read_only%3Don")
    try:
        (said,) = store.unmet_conditions()
        assert "only read: set default_transaction_read_only = off" in said
    finally:
        store.close()
    store = open_state_store(postgres_url)
    try:
        with store._transactions.reading() as connection:  # type: ignore[attr-defined]
            connection.execute(text("SET LOCAL synchronous_commit = local"))
            (said,) = unmet_conditions.unmet_conditions(connection)
        assert "synchronous_commit = local" in said
        assert "a pooler that keeps a session's settings" in said
    finally:
        store.close()

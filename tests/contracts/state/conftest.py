"""One suite for the state store, on SQLite in memory, on an SQLite file, and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, insert

from opentrail_backends.state import open_state_store, tables
from opentrail_backends.state.port import Chain, StateStore
from tests.contracts.state.samples import Clock, chain, current

DATABASES = ["sqlite memory", "sqlite file", pytest.param("postgresql", marks=pytest.mark.postgresql)]

between_processes = pytest.mark.parametrize("state_url", DATABASES[1:], indirect=True)
"""For what a database in memory cannot have: it belongs to one store."""

SECRET_KEY = bytes(range(32))
MEMORY = "sqlite://"

Opener = Callable[..., StateStore]


@pytest.fixture(params=DATABASES)
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without rows. On PostgreSQL it is one for all tests: to make a database takes longer than a test."""
    if request.param != "postgresql":
        return sqlite_url(request.param, tmp_path)
    url: str = request.getfixturevalue("migrated_postgresql")
    store = open_state_store(url)
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        for table in reversed(tables.metadata.sorted_tables):
            connection.execute(delete(table))
        connection.execute(insert(tables.clock).values(id=1, last=0))
        connection.execute(insert(tables.configuration_head).values(id=1, revision=0, effective_at=0))
    store.close()
    return url


@pytest.fixture(scope="session")
def migrated_postgresql(postgres_database: Callable[[], str]) -> str:
    url = postgres_database()
    store = open_state_store(url)
    store.migrate()
    store.close()
    return url


def sqlite_url(kind: str, folder: Path) -> str:
    return MEMORY if kind == "sqlite memory" else f"sqlite:///{folder}/state.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_store(state_url: str, clock: Clock) -> Iterator[Opener]:
    """Opens stores on one database, as several processes do. In memory there is one store for all."""
    opened: list[StateStore] = []

    def open_one(
        clock: Callable[[], int] | None = clock, secret_key: bytes | None = SECRET_KEY, url: str = state_url
    ) -> StateStore:
        if state_url == MEMORY and opened:
            return opened[0]
        opened.append(open_state_store(url, secret_key=secret_key, clock=clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Opener) -> StateStore:
    opened = open_store()
    opened.migrate()
    return opened


@pytest.fixture
def other(store: StateStore, open_store: Opener) -> StateStore:
    """A second process's store."""
    return open_store()


@pytest.fixture
def first(store: StateStore) -> Chain:
    """A chain without digests."""
    store.chains.ensure_chains([chain()])
    return current(store)

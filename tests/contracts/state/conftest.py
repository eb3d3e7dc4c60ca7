"""One suite for the state store, on SQLite in memory, on an SQLite file, and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import Chain, StateStore
from tests.contracts.state.samples import Clock, chain, current

between_processes = pytest.mark.parametrize(
    "state_url", ["sqlite file", pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
"""For what a database in memory cannot have: it belongs to one store."""

SECRET_KEY = bytes(range(32))
MEMORY = "sqlite://"

Opener = Callable[..., StateStore]


@pytest.fixture(
    params=["sqlite memory", "sqlite file", pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite memory":
        return MEMORY
    if request.param == "sqlite file":
        return f"sqlite:///{tmp_path}/state.db"
    url: str = request.getfixturevalue("postgres_database")()
    return url


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

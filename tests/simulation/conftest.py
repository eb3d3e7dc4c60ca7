"""What the tests of the simulation share: the real code under the schedule's clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from opentrail_backends.state.port import Chain
from tests.contracts.state.samples import Clock, chain, current
from tests.simulation.memory_contracts import SUITES, suite_of
from tests.simulation.memory_state import MemoryStateStore
from tests.simulation.virtual_time import replaced


@pytest.fixture(autouse=True)
def virtual_time() -> Iterator[None]:
    """The modules of delivery and the producer live in the schedule's time for as long as a test lasts."""
    with replaced():
        yield


# --- for the contract suites of the state store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> MemoryStateStore:
    made = MemoryStateStore(clock)
    for suite in SUITES:
        module = suite_of(suite)
        if hasattr(module, "dump"):
            monkeypatch.setattr(module, "dump", lambda store: repr(store.tables))
    return made


@pytest.fixture
def open_store(store: MemoryStateStore) -> Callable[..., MemoryStateStore]:
    return lambda **_: store


@pytest.fixture
def other(store: MemoryStateStore) -> MemoryStateStore:
    return store


@pytest.fixture
def first(store: MemoryStateStore) -> Chain:
    store.chains.ensure_chains([chain()])
    return current(store)

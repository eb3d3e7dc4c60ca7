"""The steps that run all the time take few statements, however many files there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from opentrail.events.client_numbers import ClientNumbers
from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import Chain, NewCall, NewChange, ParkedFailure, StateStore
from tests.contracts.state.samples import (
    ACCOUNT,
    LATER,
    PARKED,
    REGION,
    delivered,
    digest,
    dump,
    ids,
    intended_file,
    intent,
)

CALLS = [NewCall(ACCOUNT, REGION, b"{}")] * 100


def statements(store: StateStore, call: Callable[[], Any]) -> list[str]:
    said: list[str] = []
    engine = store._transactions.engine  # type: ignore[attr-defined]

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    call()
    event.remove(engine, "before_cursor_execute", note)
    return [statement for statement in said if not statement.startswith("BEGIN")]


@pytest.mark.parametrize(("parked", "most"), [(0, 8), (1, 10), (200, 10)])
def test_step_5_takes_few_statements(store: StateStore, parked: int, most: int) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, *(intended_file(f"{part}", part=part) for part in range(500)))
    lease = store.ledger.write_intent(lease, window)
    aside = {file.object_key: PARKED for file in window.files[:parked]}
    numbers = {(ACCOUNT, bytes([number]) * 16): ClientNumbers(1) for number in range(100)}
    said = statements(store, lambda: store.ledger.deliver(lease, window, aside, numbers))
    assert 0 < len(said) <= most, said


def test_steps_8_to_11_take_few_statements(store: StateStore, first: Chain) -> None:
    delivered(store, [f"{number}" for number in range(500)])
    taken = ids(store, first)
    said = statements(store, lambda: store.chains.append(first, digest(first), taken, LATER, ended=False))
    assert 0 < len(said) <= 4, said
    assert 0 < len(statements(store, lambda: store.chains.begin_puts([(first.id, 1)]))) <= 2
    assert 0 < len(statements(store, lambda: store.chains.mark_published(first.id, 1, None, b"head"))) <= 5
    assert len(statements(store, lambda: store.chains.heads_to_put(200))) == 1
    assert len(statements(store, lambda: store.chains.mark_heads_put([(first.id, 1)]))) == 1


def test_a_round_over_many_parked_files_takes_few_statements(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    window = intent(1, 0, 10, *(intended_file(f"{part}", part=part) for part in range(500)))
    lease = store.ledger.write_intent(lease, window)
    store.ledger.deliver(lease, window, {file.object_key: PARKED for file in window.files})
    of_all = [file.id for file in store.ledger.parked_files(500)]
    failures = [ParkedFailure(file_id, "AccessDenied", is_answered=True) for file_id in of_all]
    assert 0 < len(statements(store, lambda: store.ledger.begin_parked(of_all))) <= 2
    assert 0 < len(statements(store, lambda: store.ledger.fail_parked(failures))) <= 2
    assert len(store.ledger.parked_files(500)) == 500


def test_the_calls_of_the_api_take_few_statements(store: StateStore) -> None:
    changes = [NewChange(Kind.TRAIL, "trail-1", {})]
    assert 0 < len(statements(store, lambda: store.configuration.apply(changes, calls=CALLS))) <= 7
    assert 0 < len(statements(store, lambda: store.calls.record(CALLS))) <= 3
    assert statements(store, lambda: store.calls.record([])) == []
    assert 0 < len(statements(store, lambda: store.calls.claim(200, 1000))) <= 5
    assert len(statements(store, store.calls.oldest_pending)) == 1
    of_all = [row["id"] for row in dump(store)["api_call"]]
    assert len(of_all) == 200
    assert 0 < len(statements(store, lambda: store.calls.done(of_all))) <= 2
    assert len(statements(store, lambda: store.calls.claim(200, 1000))) == 1, "who finds nothing takes no lock"

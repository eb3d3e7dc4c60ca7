"""How the database looks for what a call asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from opentrail_backends.state.port import StateStore


def plans_of(store: StateStore, call: Callable[[], object]) -> str:
    """The plans of all SELECT statements of a call, as the database writes them."""
    asked: list[tuple[str, Any]] = []
    engine = store._transactions.engine  # type: ignore[attr-defined]

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    call()
    event.remove(engine, "before_cursor_execute", note)
    assert asked
    explain = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    with store._transactions.reading() as connection:  # type: ignore[attr-defined]
        lines = [
            str(line[-1])
            for statement, parameters in asked
            for line in connection.exec_driver_sql(f"{explain} {statement}", parameters)
        ]
    return "\n".join(lines)


def looks_at_every(table: str, plan: str) -> bool:
    """Whether all rows of a table are read one after the other."""
    scans = (f"Seq Scan on {table}", f"SCAN {table}")
    return any(line.strip(" ->").split(" (")[0] in scans for line in plan.splitlines())

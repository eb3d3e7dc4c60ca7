"""The store's clock: the times that rows record never fall, whatever the machine's clock does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, cast, func, literal, select, update

from opentrail_backends.state import tables


class StoreClock:
    """Milliseconds since the epoch, never below a time that a row records or that this process was given.

    One row keeps the highest recorded time. A transaction that records one raises that row and so holds its
    lock until it commits: it should be among the transaction's last locks.
    """

    def __init__(self, *, is_postgresql: bool, source: Callable[[], int] | None) -> None:
        self._larger = func.greatest if is_postgresql else func.max
        self._source = source if source is not None or is_postgresql else _process_milliseconds
        self._given = 0
        self._lock = threading.Lock()

    def read(self, connection: Connection) -> int:
        """The time now, recorded nowhere."""
        return self._give(connection.execute(select(self._now())).scalar_one())

    def record(self, connection: Connection, at_least: int = 0) -> int:
        """The time now for a row of this transaction, not below `at_least`."""
        raised = (
            update(tables.clock)
            .values(last=self._larger(self._now(), literal(at_least, BigInteger())))
            .returning(tables.clock.c.last)
        )
        recorded: int = connection.execute(raised).scalar_one()
        self._give(recorded)
        return recorded

    def machine_time(self) -> ColumnElement[int]:
        """The machine's clock as it is, for a statement: it may fall. For what only asks how long ago something was."""
        if self._source is not None:
            return bindparam(None, callable_=self._source, type_=BigInteger())  # asked when the statement is run
        return cast(func.floor(func.extract("epoch", func.clock_timestamp()) * 1000), BigInteger)

    def _now(self) -> Any:
        return self._larger(tables.clock.c.last, self.machine_time(), literal(self._given, BigInteger()))

    def _give(self, milliseconds: int) -> int:
        with self._lock:
            self._given = max(self._given, milliseconds)
            return self._given


def _process_milliseconds() -> int:
    return time.time_ns() // 1_000_000

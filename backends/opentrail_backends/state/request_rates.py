"""How many requests are taken: the `RequestRates` port on SQL, by compare-and-swap of one short row.

It runs for every request. So a refusal only reads, nobody waits for anybody's lock longer than for one statement, and
no commit waits for a disk: when a machine dies, what is lost are requests of the last moments that are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select, true, update

from opentrail_backends.state import tables
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, insert

_rate = tables.request_rate


class SqlRequestRates:
    """The `RequestRates` port on SQL."""

    def __init__(self, transactions: Transactions, clock: StoreClock) -> None:
        self._transactions = transactions
        self._clock = clock

    def take(self, account_id: str, region: str, operation_class: str, limit: int, window_ms: int = 1_000) -> int:
        """Takes one request: 0; or refuses it: the milliseconds after which one would be taken."""
        if limit < 1 or window_ms < 1:
            raise ValueError(f"{limit} requests in {window_ms} ms can never be taken")
        row = {"account_id": account_id, "region": region, "operation_class": operation_class}
        with self._transactions.hasty() as connection:
            while True:  # who is overtaken tries again: at most `limit` can overtake before it is refused
                now, before = connection.execute(self._read(row)).one()
                after, wait = counted(before or (), now, limit, window_ms)
                if after == before or self._swap(connection, row, before, after):
                    return wait

    def _read(self, row: dict[str, str]) -> Select[Any]:
        taken = select(_rate.c.taken).where(*_is(row)).scalar_subquery()
        return select(self._clock.machine_time(), taken)

    def _swap(
        self, connection: Connection, row: dict[str, str], before: Sequence[int] | None, after: Sequence[int]
    ) -> bool:
        """Writes the row if it still is as it was read."""
        new = {"taken": after, "taken_at": after[-1]}
        if before is None:
            add = insert(connection, _rate).values(**row, **new).on_conflict_do_nothing()
            return connection.execute(add.returning(_rate.c.taken_at)).first() is not None
        still = and_(*_is(row), _rate.c.taken == before, self._unwaited())
        return connection.execute(update(_rate).where(still).values(**new)).rowcount == 1

    def _unwaited(self) -> ColumnElement[bool]:
        """PostgreSQL: this statement's commit waits for no disk. Set for it alone: no other one gets to see it."""
        if self._transactions.is_postgresql:
            return func.set_config("synchronous_commit", "off", True) == "off"
        return true()


def counted(taken: Sequence[int], now: int, limit: int, window_ms: int) -> tuple[list[int], int]:
    """The times (ms) that count after one more request, and 0; or how long it has to wait (ms), and they as they are.

    Two clocks may be apart by a little: time stands still then. One that was set back by more than a window is
    believed: what was taken at a time to come counts as if it were taken now.
    """
    known = list(taken)
    if max(known, default=now) - now > window_ms:
        known = [min(time, now) for time in known]
    at = max([now, *known])
    in_window = [time for time in known if time > at - window_ms]
    if len(in_window) < limit:
        return [*in_window, at], 0
    return known, in_window[-limit] + window_ms - now


def _is(row: dict[str, str]) -> list[Any]:
    return [_rate.c[name] == value for name, value in row.items()]

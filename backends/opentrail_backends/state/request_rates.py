"""How many requests are taken: the `RequestRates` port on SQL, by compare-and-swap of one short row.

It runs for every request. So a refusal only reads, nobody waits for anybody's lock longer than for one statement, and
no commit waits for a disk: when a machine dies, what is lost are requests of the last moments that are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, select, true, update

from opentrail_backends.state import tables
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, insert
from opentrail_backends.state.port import Taken

_rate = tables.request_rate
_THIS = and_(
    *(
        _rate.c[name] == bindparam(f"this_{name}", type_=_rate.c[name].type)
        for name in ("account_id", "region", "operation_class")
    )
)


class SqlRequestRates:
    """The `RequestRates` port on SQL."""

    def __init__(self, transactions: Transactions, clock: StoreClock) -> None:
        self._transactions = transactions
        # Made once: to make a statement costs as much as to run it.
        self._read = select(clock.machine_time(), select(_rate.c.taken).where(_THIS).scalar_subquery())
        still = and_(_THIS, _rate.c.taken == bindparam("before", type_=_rate.c.taken.type), self._unwaited())
        self._swap = update(_rate).where(still).values(taken=bindparam("after"), taken_at=bindparam("at"))

    def take(
        self, account_id: str, region: str, operation_class: str, limit: int, window_ms: int = 1_000, wanted: int = 1
    ) -> Taken:
        """Takes as many of the `wanted` requests as there is room for."""
        if min(limit, window_ms, wanted) < 1:
            raise ValueError(f"{wanted} of {limit} requests in {window_ms} ms can never be taken")
        row = {"account_id": account_id, "region": region, "operation_class": operation_class}
        this = {f"this_{name}": value for name, value in row.items()}
        with self._transactions.hasty() as connection:
            while True:  # who is overtaken tries again: at most `limit` can overtake before it is refused
                now, before = connection.execute(self._read, this).one()
                after, taken, wait_ms = counted(before or (), now, limit, window_ms, wanted)
                if before is None:
                    is_kept = _add(connection, row, after)
                elif after != before:
                    values = {"before": before, "after": after, "at": after[-1]}
                    is_kept = connection.execute(self._swap, this | values).rowcount == 1
                else:
                    is_kept = True
                if is_kept:
                    return Taken(taken, wait_ms)

    def _unwaited(self) -> ColumnElement[bool]:
        """PostgreSQL: this statement's commit waits for no disk. Set for it alone: no other one gets to see it."""
        if self._transactions.is_postgresql:
            return func.set_config("synchronous_commit", "off", True) == "off"
        return true()


def _add(connection: Connection, row: dict[str, str], after: Sequence[int]) -> bool:
    """The account's first request: whether nobody else has made the row meanwhile."""
    add = insert(connection, _rate).values(**row, taken=after, taken_at=after[-1]).on_conflict_do_nothing()
    return connection.execute(add.returning(_rate.c.taken_at)).first() is not None


class Counted(NamedTuple):
    """The times (ms) that count after the question, how many were added, and how long (ms) the next one has to wait."""

    times: list[int]
    taken: int
    wait_ms: int


def counted(known: Sequence[int], now: int, limit: int, window_ms: int, wanted: int = 1) -> Counted:
    """What becomes of so many more requests, where those at the `known` times (ms) were taken.

    Two clocks may be apart by a little: time stands still then. One that was set back by more than a window is
    believed: what was taken at a time to come counts as if it were taken now.
    """
    times = list(known)
    if max(times, default=now) - now > window_ms:
        times = [min(time, now) for time in times]
    at = max([now, *times])
    in_window = [time for time in times if time > at - window_ms]
    taken = max(0, min(wanted, limit - len(in_window)))
    if taken:
        times = in_window = [*in_window, *[at] * taken]
    return Counted(times, taken, in_window[-limit] + window_ms - now if taken < wanted else 0)

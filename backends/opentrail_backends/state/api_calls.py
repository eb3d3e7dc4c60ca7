"""The API's own calls on their way to the bus: the `ApiCalls` port on SQL.

A call gets its number in the transaction that keeps it. The row of its account and region is locked until the commit,
so that numbers have no gaps, and that a call becomes visible after those before it.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, delete, func, select, tuple_, update

from opentrail_backends.state import tables
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, in_chunks, insert
from opentrail_backends.state.port import NewCall, PendingCall

IDLE_MS = 30 * 86_400_000
"""An account and region that made no call for so long gets another client: delivery forgets the old one soon."""
_CLIENT_ID_BYTES = 16
_CLAIMS_LOCK = 0x6F746361  # "otca"; one per database

_call = tables.api_call
_series = tables.api_call_series
_head = tables.configuration_head
_whose = attrgetter("account_id", "region")
_COLUMNS = [_call.c[field.name] for field in fields(PendingCall)]
_ANY = select(_call.c.id).limit(1)


class SqlApiCalls:
    """The `ApiCalls` port on SQL."""

    def __init__(self, transactions: Transactions, clock: StoreClock) -> None:
        self._transactions = transactions
        self._clock = clock

    def record(self, calls: Collection[NewCall]) -> None:
        """Keeps calls that changed nothing."""
        if calls:
            with self._transactions.writing() as connection:
                numbered = number_calls(connection, self._clock, calls)
                keep_calls(connection, numbered, connection.execute(select(_head.c.effective_at)).scalar_one())

    def claim(self, limit: int, lease_ms: int) -> Sequence[PendingCall]:
        """The oldest calls that are not claimed, without those behind one that is."""
        if not self._has_any():
            return []  # so that who asks all the time takes no lock
        with self._transactions.writing() as connection:
            self._wait_for_other_claims(connection)
            now = self._clock.read(connection)
            # In the order in which `done` takes the rows, too.
            oldest = select(*_COLUMNS).where(_not_held(now)).order_by(_call.c.id).limit(limit).with_for_update()
            calls = [PendingCall(**row) for row in connection.execute(oldest).mappings()]
            for ids in in_chunks(call.id for call in calls):
                claimed = update(_call).where(_call.c.id.in_(ids)).values(claimed_until=now + lease_ms)
                connection.execute(claimed)
            return calls

    def done(self, ids: Collection[int]) -> None:
        """The bus has these: they are forgotten."""
        if ids:
            with self._transactions.writing() as connection:
                for chunk in in_chunks(sorted(ids)):
                    these = _call.c.id.in_(chunk)
                    connection.execute(select(_call.c.id).where(these).order_by(_call.c.id).with_for_update())
                    connection.execute(delete(_call).where(these))

    def oldest_pending(self) -> Mapping[tuple[str, str], int]:
        """The lowest `judged_at` of the calls that are not on the bus yet, by account and region."""
        whose = _call.c.account_id, _call.c.region
        with self._transactions.reading() as connection:
            rows = connection.execute(select(*whose, func.min(_call.c.judged_at).label("oldest")).group_by(*whose))
            return {(row.account_id, row.region): row.oldest for row in rows}

    def _has_any(self) -> bool:
        with self._transactions.asking() as connection:
            return connection.execute(_ANY).first() is not None

    def _wait_for_other_claims(self, connection: Connection) -> None:
        """Two at once would each leave out what the other one is just claiming, and give what comes behind it."""
        if self._transactions.is_postgresql:  # SQLite: one writes after the other
            connection.execute(select(func.pg_advisory_xact_lock(_CLAIMS_LOCK)))


def number_calls(connection: Connection, clock: StoreClock, calls: Iterable[NewCall]) -> list[dict[str, Any]]:
    """Rows of calls with their numbers; locks the counters of their accounts and regions, in one order."""
    rows = []
    for (account_id, region), group in groupby(sorted(calls, key=_whose), key=_whose):
        records = [call.record for call in group]
        client_id, first = _take_numbers(connection, clock, account_id, region, len(records))
        rows += [
            {
                "account_id": account_id,
                "region": region,
                "client_id": client_id,
                "number": first + index,
                "record": record,
            }
            for index, record in enumerate(records)
        ]
    return rows


def keep_calls(connection: Connection, numbered: Sequence[dict[str, Any]], judged_at: int) -> None:
    """Adds the rows."""
    if numbered:
        connection.execute(insert(connection, _call), [{**row, "judged_at": judged_at} for row in numbered])


def renew_clients(connection: Connection, region: str) -> None:
    """The next call of each account in the region begins with another client. Calls that wait keep theirs."""
    here = _series.c.region == region
    connection.execute(select(_series.c.account_id).where(here).order_by(_series.c.account_id).with_for_update())
    connection.execute(delete(_series).where(here))


def _take_numbers(
    connection: Connection, clock: StoreClock, account_id: str, region: str, count: int
) -> tuple[bytes, int]:
    """The client and the first of so many numbers in a row."""
    add = insert(connection, _series).values(
        account_id=account_id,
        region=region,
        client_id=secrets.token_bytes(_CLIENT_ID_BYTES),
        next_number=count,
        used_at=clock.machine_time(),
    )
    is_idle = _series.c.used_at < add.excluded.used_at - IDLE_MS
    taken = add.on_conflict_do_update(
        index_elements=["account_id", "region"],
        set_={
            "client_id": case((is_idle, add.excluded.client_id), else_=_series.c.client_id),
            "next_number": case((is_idle, count), else_=_series.c.next_number + count),
            "used_at": add.excluded.used_at,
        },
    ).returning(_series.c.client_id, _series.c.next_number)
    row = connection.execute(taken).one()
    return bytes(row.client_id), row.next_number - count


def _not_held(now: int) -> ColumnElement[bool]:
    """Whether no call of its account and region is claimed. Those come in order, so older ones than it are.

    As NOT IN: the few that are claimed are read once, then the queue from its front, only as far as the limit.
    """
    held = select(_call.c.account_id, _call.c.region).where(_call.c.claimed_until > now)
    return tuple_(_call.c.account_id, _call.c.region).not_in(held)

"""Event history: the index of each account's events of 90 days. `event_history_tables.py` shows what it is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, and_, delete, select, text, update
from sqlalchemy.schema import CreateTable, DropTable

from opentrail.events.lookup import RETENTION_SECONDS
from opentrail.events.record import MAX_AHEAD
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, insert
from opentrail_backends.state.event_history_bulk import insert_rows, known_ids
from opentrail_backends.state.event_history_lookup import find_events
from opentrail_backends.state.event_history_rows import blocks_of, id_term_of, rows_of
from opentrail_backends.state.event_history_tables import (
    position,
    tables_of,
    week,
    week_of,
)
from opentrail_backends.state.port.event_history import (
    FoundEvent,
    HistoryCursor,
    HistoryEvent,
    HistoryMoved,
    HistoryQuery,
)

_AHEAD = 2 * MAX_AHEAD
"""Seconds that an event may lie in the future: what a producer allows, and as much again for clocks that differ."""
_ADVISORY_LOCK = 0x6F74686973746F72  # "othistor"; one process makes a week's tables


class SqlEventHistory:
    """The `EventHistory` port on SQLite and PostgreSQL. Safe for use by several threads and processes."""

    def __init__(self, transactions: Transactions, clock: StoreClock) -> None:
        self._transactions = transactions
        self._clock = clock

    def position(self, region: str, partition: int, topic_id: str) -> int | None:
        """The next offset to index; None if nothing of that topic was indexed yet."""
        query = select(position.c.next_offset).where(*_of_partition(region, partition, topic_id))
        with self._transactions.reading() as connection:
            next_offset: int | None = connection.execute(query).scalar_one_or_none()
        return next_offset

    def add(
        self,
        region: str,
        partition: int,
        topic_id: str,
        offsets: tuple[int | None, int],
        events: Sequence[HistoryEvent],
    ) -> int:
        """Indexes the events of a range of offsets, and moves the position, in one transaction.

        Events that are known by their `eventID`, too old to be looked up, or too far in the future are left out.
        What takes time is done before: the transaction only compares the position and inserts. Nobody else adds this
        partition's events meanwhile, else the position has moved; an `eventID` that another partition adds meanwhile
        makes this fail as a whole, and is known the next time.
        """
        blocks = blocks_of(self._new(events)) if events else {}
        first_blocks = self._reserve({number: len(of_week) for number, of_week in blocks.items()}) if blocks else {}
        rows = {number: rows_of(of_week, first_blocks[number]) for number, of_week in sorted(blocks.items())}
        with self._transactions.writing() as connection:
            _move(connection, region, partition, topic_id, offsets)
            for number, of_week_rows in rows.items():
                insert_rows(connection, tables_of(number), of_week_rows)
        return sum(len(of_week.ids) for of_week in rows.values())

    def lookup(self, query: HistoryQuery, limit: int, after: HistoryCursor | None = None) -> Sequence[FoundEvent]:
        """The newest events, newest first, behind `after` if given; fewer than `limit` only at the end."""
        with self._transactions.reading() as connection:
            oldest = self._now(connection) - RETENTION_SECONDS
            kept = replace(query, start=max(query.start, oldest))
            return find_events(connection, _weeks(connection), kept, limit, after)

    def forget(self, before: int) -> int:
        """Drops the tables of the weeks that lie wholly before a time (seconds). Returns how many tables."""
        old = delete(week).where(week.c.number < week_of(before)).returning(week.c.number)
        with self._transactions.writing() as connection:
            numbers = sorted(connection.execute(old).scalars())
            old_tables = [table for number in numbers for table in tables_of(number).all]
            for table in old_tables:
                connection.execute(DropTable(table))
        return len(old_tables)

    # --- adding -----------------------------------------------------------------------------------

    def _new(self, events: Iterable[HistoryEvent]) -> list[HistoryEvent]:
        """Those that can be looked up and are not known: of each id the first one."""
        with self._transactions.reading() as connection:
            now = self._now(connection)
            first: dict[bytes, HistoryEvent] = {}
            for event in events:
                if now - RETENTION_SECONDS <= event.event_time <= now + _AHEAD:
                    first.setdefault(id_term_of(event.account_id, event.region, event.event_id), event)
            terms = sorted(first)
            for number in _weeks(connection):
                for term in known_ids(connection, tables_of(number), terms):
                    first.pop(term, None)
        return list(first.values())

    def _reserve(self, counts: Mapping[int, int]) -> dict[int, int]:
        """Numbers for so many blocks of each week: the first of them. Makes the tables of weeks that have none.

        A transaction of its own, so that those who add to the same week wait for each other no longer than that. What
        is not used afterwards is left out for ever.
        """
        first: dict[int, int] = {}
        with self._transactions.writing() as connection:
            for number, count in sorted(counts.items()):
                raised = (
                    update(week)
                    .where(week.c.number == number)
                    .values(blocks=week.c.blocks + count)
                    .returning(week.c.blocks)
                )
                blocks = connection.execute(raised).scalar_one_or_none()
                if blocks is None:
                    self._make_tables(connection, number)
                    blocks = connection.execute(raised).scalar_one()
                first[number] = blocks - count
        return first

    def _make_tables(self, connection: Connection, number: int) -> None:
        if self._transactions.is_postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        new = insert(connection, week).values(number=number, blocks=0).on_conflict_do_nothing().returning(week.c.number)
        if connection.execute(new).first() is None:
            return  # another process made them while this one waited
        tables = tables_of(number)
        for table in tables.all:
            connection.execute(CreateTable(table))
        if self._transactions.is_postgresql:  # they are compressed already
            connection.execute(text(f"ALTER TABLE {tables.block.name} ALTER COLUMN records SET STORAGE EXTERNAL"))

    def _now(self, connection: Connection) -> int:
        return self._clock.read(connection) // 1000


def _weeks(connection: Connection) -> Sequence[int]:
    """The weeks that have tables, rising."""
    return connection.execute(select(week.c.number).order_by(week.c.number)).scalars().all()


def _of_partition(region: str, partition: int, topic_id: str) -> tuple[Any, Any, Any]:
    return position.c.region == region, position.c.partition == partition, position.c.topic_id == topic_id


def _move(connection: Connection, region: str, partition: int, topic_id: str, offsets: tuple[int | None, int]) -> None:
    """Compares and sets the position; its row stays locked until the commit. Raises HistoryMoved."""
    before, next_offset = offsets
    if before is None:
        row = {"region": region, "partition": partition, "topic_id": topic_id, "next_offset": next_offset}
        move: Any = insert(connection, position).values(**row).on_conflict_do_nothing()
    else:
        is_as_it_was = and_(*_of_partition(region, partition, topic_id), position.c.next_offset == before)
        move = update(position).where(is_as_it_was).values(next_offset=next_offset)
    if connection.execute(move.returning(position.c.next_offset)).first() is None:
        raise HistoryMoved(f"{region}/{partition} was indexed by another reader, from {before} on")

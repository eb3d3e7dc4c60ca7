"""The tables of event history. Two are there from the start; the others are made for each week of event time.

A week's tables are dropped as a whole once all its events are too old to be looked up: nothing is deleted row by row.

| table | row |
|---|---|
| `history_position` | how far a partition of the bus is indexed |
| `history_week` | a week that has tables, and how many blocks it has numbered |
| `history_posting_<week>` | one of an event's terms, and the event's place: what a lookup walks through, newest first |
| `history_id_<week>` | the term of an event's id, and its place: the first one of an id wins |
| `history_block_<week>` | up to 64 records, compressed together |

A **term** is 16 bytes of BLAKE2b over account, region, category, attribute and value: two accounts never share one, and
nobody can make two that are equal. An attribute that is empty means any event of the account, region and category.

A **place** is one number that orders a week's events: the second of the week, the block, the position in the block.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Column, Dialect, Integer, LargeBinary, MetaData, Table, TypeDecorator, Uuid
from sqlalchemy.types import TypeEngine

from opentrail_backends.state.columns import Name, RowId, metadata
from opentrail_backends.state.port.event_history import HistoryCursor

WEEK = 7 * 24 * 3600
"""Seconds of event time that share tables."""
BLOCK_RECORDS = 64
"""Most records of a block: eight times as small together as each by itself, and soon decompressed."""

_INDEX_BITS, _BLOCK_BITS = 7, 36
_SEQUENCE_BITS = _INDEX_BITS + _BLOCK_BITS
"""The lower bits of a place: block and index. With those of the second, below 2 ** 20, they are 63."""

position = Table(
    "history_position",
    metadata,
    Column("region", Name, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("topic_id", Name, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)

week = Table(
    "history_week",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # weeks since the epoch
    Column("blocks", BigInteger, nullable=False),
)


class Term(TypeDecorator[bytes]):
    """16 bytes: PostgreSQL's smallest type for them is uuid."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Uuid or blob."""
        return dialect.type_descriptor(Uuid() if dialect.name == "postgresql" else LargeBinary(16))

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> Any:
        """The bytes as the database's type."""
        return UUID(bytes=value) if value is not None and dialect.name == "postgresql" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> bytes | None:  # noqa: ARG002 (as declared)
        """The bytes again."""
        return value.bytes if isinstance(value, UUID) else value


class WeekTables(NamedTuple):
    """The tables of one week of event time."""

    number: int
    posting: Table
    id: Table
    block: Table

    @property
    def all(self) -> tuple[Table, ...]:
        """Each of them."""
        return self.posting, self.id, self.block


@lru_cache(maxsize=64)
def tables_of(number: int) -> WeekTables:
    """The tables of a week, counted since the epoch. They are not part of the schema that migrations make."""
    own = MetaData()
    # The columns of the key are all there are: SQLite keeps them in the index alone.
    posting = Table(
        f"history_posting_{number}",
        own,
        Column("term", Term, primary_key=True),
        Column("place", BigInteger, primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    id_ = Table(
        f"history_id_{number}",
        own,
        Column("term", Term, primary_key=True),
        Column("place", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    block = Table(
        f"history_block_{number}",
        own,
        Column("number", RowId, primary_key=True, autoincrement=False),
        Column("records", LargeBinary, nullable=False),
    )
    return WeekTables(number, posting, id_, block)


def week_of(event_time: int) -> int:
    """The week of a time in seconds since the epoch."""
    return event_time // WEEK


def place_of(event_time: int, block: int, index: int) -> int:
    """The place of an event in its week."""
    return event_time % WEEK << _SEQUENCE_BITS | block << _INDEX_BITS | index


def block_of(place: int) -> tuple[int, int]:
    """The block that holds the event's record, and the record's index in it."""
    return place >> _INDEX_BITS & (1 << _BLOCK_BITS) - 1, place & (1 << _INDEX_BITS) - 1


def first_place(event_time: int) -> int:
    """The lowest place that an event of this second can have."""
    return event_time % WEEK << _SEQUENCE_BITS


def last_place(event_time: int) -> int:
    """The highest place that an event of this second can have."""
    return (event_time % WEEK + 1 << _SEQUENCE_BITS) - 1


def cursor_of(number: int, place: int) -> HistoryCursor:
    """The cursor of an event, by its week and place."""
    return HistoryCursor(number * WEEK + (place >> _SEQUENCE_BITS), place & (1 << _SEQUENCE_BITS) - 1)


def place_of_cursor(cursor: HistoryCursor) -> int:
    """The place of an event in its week, by its cursor."""
    return first_place(cursor.event_time) | cursor.sequence

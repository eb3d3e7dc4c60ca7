"""The two statements of a lookup: where the events are, and their blocks. Each asks all weeks at once.

The weeks are tables of their own, so what is asked is text with their numbers in it; everything else is a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, TextClause, bindparam, text

from opentrail.events.lookup import LookupKey
from opentrail_backends.state.event_history_rows import id_term_of, records_of, term_of
from opentrail_backends.state.event_history_tables import (
    WEEK,
    Term,
    block_of,
    cursor_of,
    first_place,
    last_place,
    place_of_cursor,
    tables_of,
    week_of,
)
from opentrail_backends.state.port.event_history import FoundEvent, HistoryCursor, HistoryQuery

_NEWEST_WEEKS = 2
"""Asked first: most pages are full then. The others are asked together, not one after the other."""


def find_events(
    connection: Connection, weeks: Sequence[int], query: HistoryQuery, limit: int, after: HistoryCursor | None
) -> list[FoundEvent]:
    """The newest events of a query, newest first, behind `after` if given.

    Args:
        connection: in a transaction.
        weeks: that have tables, rising.
        query: what is asked.
        limit: how many at most.
        after: where the page before ended.
    """
    values, by_id = _terms(query)
    end = query.end if after is None else min(query.end, after.event_time)
    asked = [number for number in weeks if week_of(query.start) <= number <= week_of(end)]
    for number in asked:
        values[f"low_{number}"], values[f"high_{number}"] = _places_between(number, query.start, end, after)
    older = max(0, len(asked) - (0 if by_id else _NEWEST_WEEKS))
    places: list[tuple[int, int]] = []
    for part in (asked[older:], asked[:older]):
        if part and len(places) < limit:
            rows = connection.execute(_places(part, by_id=by_id), {**values, "limit": limit - len(places)})
            places += [(row.week, row.place) for row in rows]
    return _events_at(connection, places)


def _terms(query: HistoryQuery) -> tuple[dict[str, object], bool]:
    """The terms that are asked for, and whether one of them is an id's."""
    of_account = query.account_id, query.region, query.category.value
    if query.attribute is not None and query.attribute[0] == LookupKey.EVENT_ID:
        # The id says where the event is; that it is of the query's category, the posting of all its events says.
        id_term = id_term_of(query.account_id, query.region, query.attribute[1])
        return {"id": id_term, "term": term_of(*of_account, "", "")}, True
    return {"term": term_of(*of_account, *(query.attribute or ("", "")))}, False


def _places(weeks: Sequence[int], *, by_id: bool) -> TextClause:
    """The newest places of a term. A week gives no more than are wanted, from the end of its index."""
    parts = []
    for number in weeks:
        tables = tables_of(number)
        joined = f" JOIN {tables.id.name} AS i ON i.place = p.place AND i.term = :id" if by_id else ""
        newest = (
            f"SELECT p.place FROM {tables.posting.name} AS p{joined} WHERE p.term = :term"  # noqa: S608 (our own names)
            f" AND p.place BETWEEN :low_{number} AND :high_{number} ORDER BY p.place DESC LIMIT :limit"
        )
        parts.append(f"SELECT {number} AS week, place FROM ({newest}) AS of_{number}")  # noqa: S608 (our own names)
    terms = [bindparam(name, type_=Term()) for name in (("term", "id") if by_id else ("term",))]
    return text(" UNION ALL ".join(parts) + " ORDER BY week DESC, place DESC LIMIT :limit").bindparams(*terms)


def _places_between(number: int, start: int, end: int, after: HistoryCursor | None) -> tuple[int, int]:
    """The lowest and the highest place of a week that the times allow."""
    low = first_place(start) if week_of(start) == number else first_place(0)
    high = last_place(end) if week_of(end) == number else last_place(WEEK - 1)
    if after is not None and week_of(after.event_time) == number:
        high = min(high, place_of_cursor(after) - 1)
    return low, high


def _events_at(connection: Connection, places: Sequence[tuple[int, int]]) -> list[FoundEvent]:
    """The events at some places, (week, place), in the same order."""
    wanted: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for week, place in places:
        block, index = block_of(place)
        wanted.setdefault((week, block), []).append((index, place))
    blocks: dict[int, list[int]] = {}
    for week, block in wanted:
        blocks.setdefault(week, []).append(block)
    records: dict[tuple[int, int], bytes] = {}
    if blocks:
        numbers = {f"blocks_{week}": of_week for week, of_week in blocks.items()}
        rows = connection.execute(_blocks(blocks), numbers)
        for key, texts in records_of(((row.week, row.number), row.records) for row in rows):
            records.update(((key[0], place), texts[index]) for index, place in wanted[key])
    return [FoundEvent(cursor_of(week, place), records[week, place]) for week, place in places]


def _blocks(blocks: Mapping[int, Sequence[int]]) -> TextClause:
    parts = [
        f"SELECT {week} AS week, number, records FROM {tables_of(week).block.name} WHERE number IN :blocks_{week}"  # noqa: S608 (our own names)
        for week in blocks
    ]
    return text(" UNION ALL ".join(parts)).bindparams(*(bindparam(f"blocks_{week}", expanding=True) for week in blocks))

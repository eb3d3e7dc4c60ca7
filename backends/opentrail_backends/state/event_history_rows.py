"""From events to the rows of their week's tables, and from a block back to its records. No database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import msgspec
import zstandard

from opentrail.events.lookup import LookupKey
from opentrail_backends.state.event_history_tables import BLOCK_RECORDS, place_of, week_of
from opentrail_backends.state.port.event_history import HistoryCategory, HistoryEvent

BLOCK_BYTES = 128 * 1024
"""Bytes of records from which on a block is full."""

_Key = TypeVar("_Key")
_LEVEL = 1  # zstd; level 3 saves two bytes in a hundred
_EVENT_ID = LookupKey.EVENT_ID.value


class WeekRows(NamedTuple):
    """What is to be inserted for a week."""

    postings: list[tuple[bytes, int]]
    """(term, place), rising."""
    ids: list[tuple[bytes, int]]
    """(term of the id, place), rising."""
    blocks: list[tuple[int, bytes]]
    """(number, compressed records)."""


@lru_cache(maxsize=16_384)
def term_of(account_id: str, region: str, category: str, attribute: str, value: str) -> bytes:
    """What a posting begins with. An empty attribute: any event of the account, region and category.

    No part but the last, the value, can have a zero byte, so different parts give different texts.
    """
    text = f"{account_id}\0{region}\0{category}\0{attribute}\0{value}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def id_term_of(account_id: str, region: str, event_id: str) -> bytes:
    """What an event is known by: its `eventID` in its account and region, whatever its category."""
    text = f"{account_id}\0{region}\0{event_id}"
    encoded = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(encoded, digest_size=16, person=_EVENT_ID.encode()).digest()


def blocks_of(events: Iterable[HistoryEvent]) -> dict[int, list[list[HistoryEvent]]]:
    """Events by their week, in lists that become a block each: of one account, region and category, in their order."""
    open_blocks: dict[tuple[int, str, str, HistoryCategory], list[HistoryEvent]] = {}
    sizes: dict[tuple[int, str, str, HistoryCategory], int] = {}
    weeks: dict[int, list[list[HistoryEvent]]] = {}
    for event in events:
        number = week_of(event.event_time)
        key = number, event.account_id, event.region, event.category
        block = open_blocks.get(key)
        if block is None or len(block) == BLOCK_RECORDS or sizes[key] >= BLOCK_BYTES:
            block, sizes[key] = [], 0
            open_blocks[key] = block
            weeks.setdefault(number, []).append(block)
        block.append(event)
        sizes[key] += len(event.record)
    return weeks


def rows_of(blocks: Sequence[Sequence[HistoryEvent]], first_block: int) -> WeekRows:
    """The rows of a week's blocks, numbered from `first_block` on.

    They are sorted by their keys: so each page of an index is met once, and the index grows where it is.
    """
    compressor = zstandard.ZstdCompressor(level=_LEVEL)
    rows = WeekRows([], [], [])
    for number, events in enumerate(blocks, first_block):
        rows.blocks.append((number, compressor.compress(msgspec.msgpack.encode([event.record for event in events]))))
        for index, event in enumerate(events):
            place = place_of(event.event_time, number, index)
            rows.ids.append((id_term_of(event.account_id, event.region, event.event_id), place))
            rows.postings.extend([(term, place) for term in _terms_of(event)])
    rows.postings.sort()
    rows.ids.sort()
    return rows


def _terms_of(event: HistoryEvent) -> set[bytes]:
    """The terms of an event but its id's, which is in a table of its own."""
    account_id, region, category = event.account_id, event.region, event.category.value
    terms = {term_of(account_id, region, category, key, value) for key, value in event.attributes if key != _EVENT_ID}
    terms.add(term_of(account_id, region, category, "", ""))
    return terms


def records_of(blocks: Iterable[tuple[_Key, bytes]]) -> Iterator[tuple[_Key, list[bytes]]]:
    """The records of each block, by whatever it is named."""
    decompressor = zstandard.ZstdDecompressor()
    for key, compressed in blocks:
        yield key, msgspec.msgpack.decode(decompressor.decompress(compressed), type=list[bytes])

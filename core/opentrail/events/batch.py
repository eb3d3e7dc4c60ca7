"""The event batch: what one message on the event bus holds.

A batch belongs to one account and one region. Its events are grouped by *selector class*, the tuple
of values that event selectors look at, so that delivery decides once per class and passes the
records' bytes on without reading them. What only some selectors need (times, ARNs) lies beside the
records in columns that are decoded when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from opentrail.events.columns import packed, unpacked
from opentrail.events.selector_class import EventAttributes, SelectorClass

__all__ = [
    "FORMAT_VERSION",
    "EventAttributes",
    "EventBatch",
    "EventGroup",
    "MalformedBatch",
    "SelectorClass",
    "attributes_of",
    "decode_batch",
    "encode_batch",
    "group_of",
    "lengths_of",
    "numbers_of",
    "ranges_of",
    "record_views",
    "select",
    "split",
    "times_of",
]

FORMAT_VERSION = 1
"""Version of the layout below. A reader that meets a newer one stops: that is not poison (design, step 2)."""


class MalformedBatch(ValueError):
    """The bytes are no event batch of this format: its reader treats them as poison (design, step 2)."""


@dataclass(frozen=True, slots=True)
class EventGroup:
    """The events of one selector class in a batch.

    `records` are the JSON texts joined by a comma. `lengths` (uint32 little-endian, bytes of each text)
    and `times` (int64 little-endian, `eventTime` in epoch seconds) have one entry per event.
    `attributes` is the packed column of `EventAttributes`; empty for management events.
    `numbers` (uint64 little-endian) holds the client's number of each event; empty if not numbered.
    """

    selector_class: SelectorClass
    count: int
    records: bytes | memoryview
    oldest: int
    newest: int
    lengths: bytes | memoryview
    times: bytes | memoryview
    attributes: bytes | memoryview = b""
    numbers: bytes | memoryview = b""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one account and region on their way to delivery."""

    account_id: str
    region: str
    groups: Sequence[EventGroup]
    client_id: bytes = b""
    """The client that numbered the events (16 bytes), or empty."""
    number_ranges: Sequence[tuple[int, int]] = field(default=())
    """First and last of each run of numbers in this batch, rising."""

    @property
    def count(self) -> int:
        """Number of events."""
        return sum(group.count for group in self.groups)

    @property
    def record_bytes(self) -> int:
        """Bytes of all JSON texts, with the commas between them."""
        return sum(len(group.records) for group in self.groups)

    def __iter__(self) -> Iterator[EventGroup]:
        return iter(self.groups)


class _WireGroup(msgspec.Struct, array_like=True, gc=False):
    """`EventGroup` as msgpack holds it."""

    selector_class: SelectorClass
    count: int
    oldest: int
    newest: int
    records: memoryview
    lengths: memoryview
    times: memoryview
    attributes: memoryview
    numbers: memoryview


class _WireBatch(msgspec.Struct, array_like=True, gc=False):
    """`EventBatch` as msgpack holds it."""

    account_id: str
    region: str
    client_id: bytes
    number_ranges: list[tuple[int, int]]
    groups: list[_WireGroup]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_WireBatch)
_attributes_decoder = msgspec.msgpack.Decoder(list[EventAttributes])


def encode_batch(batch: EventBatch) -> bytes:
    """The batch as msgpack. Equal batches give equal bytes; `decode_batch` reads them."""
    groups = [
        (g.selector_class, g.count, g.oldest, g.newest, g.records, g.lengths, g.times, g.attributes, g.numbers)
        for g in batch.groups
    ]
    return _encoder.encode((batch.account_id, batch.region, batch.client_id, batch.number_ranges, groups))


def decode_batch(data: bytes | memoryview) -> EventBatch:
    """Reads what `encode_batch` wrote, without copying: records and columns are views of `data`.

    Counts, lengths, times and numbers are checked against each other; the JSON texts are not read, and
    the attributes only by `attributes_of`. Raises MalformedBatch.
    """
    try:
        wire = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedBatch(f"not an event batch: {error}") from error
    for group in wire.groups:
        _check_group(group)
    _check_numbers(wire)
    groups = [
        EventGroup(
            selector_class=g.selector_class,
            count=g.count,
            records=g.records,
            oldest=g.oldest,
            newest=g.newest,
            lengths=g.lengths,
            times=g.times,
            attributes=g.attributes,
            numbers=g.numbers,
        )
        for g in wire.groups
    ]
    return EventBatch(wire.account_id, wire.region, groups, wire.client_id, wire.number_ranges)


def lengths_of(group: EventGroup) -> Sequence[int]:
    """The bytes of each record."""
    return unpacked("I", group.lengths)


def times_of(group: EventGroup) -> Sequence[int]:
    """The `eventTime` of each event, in seconds since the epoch."""
    return unpacked("q", group.times)


def numbers_of(group: EventGroup) -> Sequence[int]:
    """The client's number of each event; empty if the events are not numbered."""
    return unpacked("Q", group.numbers)


def attributes_of(group: EventGroup) -> list[EventAttributes]:
    """The attributes of each event. Raises MalformedBatch, also for a group without that column."""
    try:
        attributes = _attributes_decoder.decode(group.attributes)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedBatch(f"not a column of attributes: {error}") from error
    if len(attributes) != group.count:
        raise MalformedBatch(f"{len(attributes)} attributes for {group.count} events")
    return attributes


def record_views(group: EventGroup) -> Iterator[memoryview]:
    """The JSON text of each record, as a view."""
    records = memoryview(group.records)
    start = 0
    for length in lengths_of(group):
        yield records[start : start + length]
        start += length + 1


def select(group: EventGroup, indexes: Sequence[int]) -> EventGroup:
    """The group of only those events, in the order of `indexes`, which must not be empty. Raises MalformedBatch."""
    if not indexes:
        raise ValueError("a group has at least one event")
    if len(indexes) == group.count and all(map(int.__eq__, indexes, range(group.count))):
        return group
    lengths, times, numbers = lengths_of(group), times_of(group), numbers_of(group)
    attributes = attributes_of(group) if group.attributes else ()
    views = list(record_views(group))
    return group_of(
        group.selector_class,
        [views[i] for i in indexes],
        [lengths[i] for i in indexes],
        [times[i] for i in indexes],
        [attributes[i] for i in indexes] if attributes else (),
        [numbers[i] for i in indexes] if numbers else (),
    )


def split(group: EventGroup, max_bytes: int) -> Iterator[EventGroup]:
    """The group in pieces of at most `max_bytes` of records, commas included; a larger record is a piece by itself.

    The order of events is kept and records are not copied. Raises MalformedBatch.
    """
    if len(group.records) <= max_bytes:
        yield group
        return
    lengths, times = lengths_of(group), times_of(group)
    attributes = attributes_of(group) if group.attributes else ()
    first = start = end = 0
    for index, length in enumerate(lengths):
        if index > first and end + length - start > max_bytes:
            yield _piece(group, times, attributes, first, index, start, end - 1)
            first, start = index, end
        end += length + 1
    yield _piece(group, times, attributes, first, len(lengths), start, end - 1)


def group_of(
    selector_class: SelectorClass,
    records: Sequence[bytes | memoryview],
    lengths: Iterable[int],
    times: Sequence[int],
    attributes: Sequence[EventAttributes] = (),
    numbers: Iterable[int] = (),
) -> EventGroup:
    """A group of at least one event from its columns. Empty attributes or numbers mean that there is no such column."""
    return EventGroup(
        selector_class=selector_class,
        count=len(records),
        records=b",".join(records),
        oldest=min(times),
        newest=max(times),
        lengths=packed("I", lengths),
        times=packed("q", times),
        attributes=_encoder.encode(attributes) if attributes else b"",
        numbers=packed("Q", numbers),
    )


def ranges_of(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers, rising. A number that comes twice begins a run of its own."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges


def _piece(
    group: EventGroup,
    times: Sequence[int],
    attributes: Sequence[EventAttributes],
    first: int,
    last: int,
    start: int,
    end: int,
) -> EventGroup:
    """The events from `first` to before `last`, whose records lie from byte `start` to before `end`."""
    numbers = memoryview(group.numbers)
    return EventGroup(
        selector_class=group.selector_class,
        count=last - first,
        records=memoryview(group.records)[start:end],
        oldest=min(times[first:last]),
        newest=max(times[first:last]),
        lengths=memoryview(group.lengths)[4 * first : 4 * last],
        times=memoryview(group.times)[8 * first : 8 * last],
        attributes=_encoder.encode(attributes[first:last]) if attributes else b"",
        numbers=numbers[8 * first : 8 * last] if numbers else b"",
    )


def _check_group(group: _WireGroup) -> None:
    count = group.count
    if count < 1 or len(group.lengths) != 4 * count or len(group.times) != 8 * count:
        raise MalformedBatch(f"a group of {count} events has columns of another size")
    if len(group.numbers) not in (0, 8 * count):
        raise MalformedBatch(f"a group of {count} events has numbers of another size")
    if sum(unpacked("I", group.lengths)) + count - 1 != len(group.records):
        raise MalformedBatch("the lengths of records do not add up to their bytes")
    times = unpacked("q", group.times)
    if min(times) != group.oldest or max(times) != group.newest:
        raise MalformedBatch("oldest and newest are not those of the times")


def _check_numbers(batch: _WireBatch) -> None:
    columns = [unpacked("Q", group.numbers) for group in batch.groups if len(group.numbers)]
    numbered = bool(batch.client_id)
    if len(batch.client_id) not in (0, 16) or len(columns) != (len(batch.groups) if numbered else 0):
        raise MalformedBatch("either all events of a batch are numbered by one client, or none is")
    numbers = sorted(chain.from_iterable(columns))
    expected = (last - first + 1 for first, last in batch.number_ranges)
    if sum(expected) != len(numbers) or any(first > last for first, last in batch.number_ranges):
        raise MalformedBatch("the ranges of numbers are not those of the events")
    if numbers != list(chain.from_iterable(range(first, last + 1) for first, last in batch.number_ranges)):
        raise MalformedBatch("the ranges of numbers are not those of the events")

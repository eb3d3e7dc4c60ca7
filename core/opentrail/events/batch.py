"""The event batch: what one message on the event bus holds.

A batch belongs to one account and one region. Its events are grouped by *selector class*, the tuple
of values that event selectors look at, so that delivery decides once per class and passes the
records' bytes on without reading them. What only some selectors need (times, ARNs) lies beside the
records in columns that are decoded when asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

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
    "group_of",
    "lengths_of",
    "numbers_of",
    "ranges_of",
    "record_views",
    "select",
    "split",
    "times_of",
]

FORMAT_VERSION = 2
"""Newest version of a message that this release reads. A reader that meets a newer one stops: that is not poison
(design, step 2). Version 2 adds to the header when the bus took the events first; their layout is that of version 1."""


class MalformedBatch(ValueError):
    """The bytes are no event batch of this format: its reader treats them as poison (design, step 2)."""


class EventGroup(msgspec.Struct, frozen=True, gc=False):
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


_encoder = msgspec.msgpack.Encoder()
_attributes_decoder = msgspec.msgpack.Decoder(list[EventAttributes])


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
    """The JSON text of each record, as a view. Raises MalformedBatch."""
    records = memoryview(group.records)
    start = 0
    for length in _checked_lengths(group):
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
    lengths, times = _checked_lengths(group), times_of(group)
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


def _checked_lengths(group: EventGroup) -> Sequence[int]:
    lengths = lengths_of(group)
    if sum(lengths) + group.count - 1 != len(group.records):
        raise MalformedBatch("the lengths of records do not add up to their group's bytes")
    return lengths


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

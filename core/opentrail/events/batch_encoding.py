"""An event batch as bytes: msgpack, columns over the whole batch, so that reading costs little per group.

    [account, region, client id, number ranges, groups, records, lengths, times, numbers]
    group: [selector class, count, bytes, oldest, newest, attributes]

`records` are all groups' JSON texts, one after the other, with a comma between any two; the columns have one
entry per event in the same order. A group is a slice of each.
"""

from __future__ import annotations

from itertools import chain

import msgspec

from opentrail.events.batch import EventBatch, EventGroup, MalformedBatch
from opentrail.events.columns import unpacked
from opentrail.events.selector_class import SelectorClass


class _WireGroup(msgspec.Struct, array_like=True, gc=False):
    """What a group has of its own."""

    selector_class: SelectorClass
    count: int
    size: int
    """Bytes of its records, with the commas between them."""
    oldest: int
    newest: int
    attributes: memoryview


class _WireBatch(msgspec.Struct, array_like=True, gc=False):
    """The whole batch."""

    account_id: str
    region: str
    client_id: bytes
    number_ranges: list[tuple[int, int]]
    groups: list[_WireGroup]
    records: memoryview
    lengths: memoryview
    times: memoryview
    numbers: memoryview


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_WireBatch)


def encode_batch(batch: EventBatch) -> bytes:
    """The batch as msgpack. Equal batches give equal bytes; `decode_batch` reads them."""
    groups = batch.groups
    return _encoder.encode(
        (
            batch.account_id,
            batch.region,
            batch.client_id,
            batch.number_ranges,
            [(g.selector_class, g.count, len(g.records), g.oldest, g.newest, g.attributes) for g in groups],
            b",".join([group.records for group in groups]),
            b"".join([group.lengths for group in groups]),
            b"".join([group.times for group in groups]),
            b"".join([group.numbers for group in groups]),
        )
    )


def decode_batch(data: bytes | memoryview) -> EventBatch:
    """Reads what `encode_batch` wrote, without copying: records and columns are views of `data`.

    What the batch says as a whole is checked. A group whose records are not as long as its lengths say is found
    by `record_views` and `split`, broken attributes by `attributes_of`. The JSON texts are not read.
    Raises MalformedBatch.
    """
    try:
        wire = _decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedBatch(f"not an event batch: {error}") from error
    _check_numbers(wire)
    return EventBatch(wire.account_id, wire.region, _groups(wire), wire.client_id, wire.number_ranges)


def _groups(wire: _WireBatch) -> list[EventGroup]:
    """Cuts the columns into groups. Raises MalformedBatch if they do not add up."""
    count = sum([group.count for group in wire.groups])
    if len(wire.lengths) != 4 * count or len(wire.times) != 8 * count:
        raise MalformedBatch(f"the columns of {count} events have another size")
    if any(group.count < 1 or group.size < 0 for group in wire.groups):
        raise MalformedBatch("a group has at least one event")
    gaps = count - bool(wire.groups)
    sizes = sum([group.size + 1 for group in wire.groups]) - bool(wire.groups)
    if sizes != len(wire.records) or sum(unpacked("I", wire.lengths)) + gaps != len(wire.records):
        raise MalformedBatch("the sizes of groups or records do not add up to the records")
    _check_times(wire)
    groups: list[EventGroup] = []
    first = start = 0
    for group in wire.groups:
        last, end = first + group.count, start + group.size
        groups.append(
            EventGroup(
                selector_class=group.selector_class,
                count=group.count,
                records=wire.records[start:end],
                oldest=group.oldest,
                newest=group.newest,
                lengths=wire.lengths[4 * first : 4 * last],
                times=wire.times[8 * first : 8 * last],
                attributes=group.attributes,
                numbers=wire.numbers[8 * first : 8 * last],
            )
        )
        first, start = last, end + 1
    return groups


def _check_times(wire: _WireBatch) -> None:
    """The oldest and newest of the groups span the times of the events."""
    if not wire.groups:
        return
    times = unpacked("q", wire.times)
    oldest, newest = [group.oldest for group in wire.groups], [group.newest for group in wire.groups]
    if min(times) != min(oldest) or max(times) != max(newest):
        raise MalformedBatch("oldest and newest are not those of the times")


def _check_numbers(wire: _WireBatch) -> None:
    count = sum([group.count for group in wire.groups])
    if len(wire.client_id) not in (0, 16) or len(wire.numbers) != (8 * count if wire.client_id else 0):
        raise MalformedBatch("either all events of a batch are numbered by one client, or none is")
    numbers = sorted(unpacked("Q", wire.numbers))
    expected = [last - first + 1 for first, last in wire.number_ranges]
    if sum(expected) != len(numbers) or min(expected, default=1) < 1:
        raise MalformedBatch("the ranges of numbers are not those of the events")
    if numbers != list(chain.from_iterable(range(first, last + 1) for first, last in wire.number_ranges)):
        raise MalformedBatch("the ranges of numbers are not those of the events")

"""The event batch and its bus value: what goes in comes out, and nothing else gets through."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.events.batch import (
    EventAttributes,
    EventBatch,
    MalformedBatch,
    SelectorClass,
    attributes_of,
    group_of,
    numbers_of,
    ranges_of,
    record_views,
    select,
    split,
    times_of,
)
from opentrail.events.batch_encoding import decode_batch, encode_batch
from opentrail_backends.event_bus.batches import MAX_BATCH_BYTES, NewerFormat, pack, peek, unpack

texts = st.text(max_size=20)
attributes = st.builds(
    EventAttributes,
    st.lists(st.tuples(st.none() | texts, st.none() | texts), max_size=3).map(tuple),
    st.none() | texts,
)
classes = st.builds(
    SelectorClass,
    st.sampled_from(["Management", "Data", "NetworkActivity"]),
    texts,
    texts,
    texts,
    st.none() | st.booleans(),
    st.lists(texts, max_size=2).map(tuple),
    st.booleans(),
    st.booleans(),
    st.none() | texts,
    st.none() | texts,
)
events = st.tuples(st.binary(max_size=40), st.integers(-(2**63), 2**63 - 1), attributes)


@st.composite
def groups(draw, numbers=None):
    drawn = draw(st.lists(events, min_size=1, max_size=6))
    return group_of(
        draw(classes),
        [record for record, _, _ in drawn],
        [len(record) for record, _, _ in drawn],
        [time for _, time, _ in drawn],
        [a for _, _, a in drawn] if draw(st.booleans()) else (),
        [numbers.pop() for _ in drawn] if numbers is not None else (),
    )


@st.composite
def batches(draw):
    numbered = draw(st.booleans())
    numbers = draw(st.lists(st.integers(0, 2**64 - 1), unique=True, min_size=24, max_size=24)) if numbered else None
    drawn = [draw(groups(numbers)) for _ in range(draw(st.integers(1, 4)))]
    used = [n for g in drawn for n in numbers_of(g)]
    client_id = draw(st.binary(min_size=16, max_size=16)) if numbered else b""
    return EventBatch(draw(texts), draw(texts), drawn, client_id, ranges_of(used))


def events_of(group):
    columns = (
        attributes_of(group) if group.attributes else [None] * group.count,
        list(numbers_of(group)) or [None] * group.count,
    )
    return list(zip(map(bytes, record_views(group)), times_of(group), *columns, strict=True))


@given(batches())
def test_a_batch_survives_the_bus(batch):
    read = unpack(pack(batch))
    assert (read.account_id, read.region, read.client_id) == (batch.account_id, batch.region, batch.client_id)
    assert list(read.number_ranges) == list(batch.number_ranges)
    for mine, theirs in zip(batch.groups, read.groups, strict=True):
        assert mine == theirs
        assert events_of(mine) == events_of(theirs)
    assert peek(pack(batch)) == (1, batch.count, len(encode_batch(batch)), 0, 13)
    assert pack(read) == pack(batch)


@given(batches(), st.integers(1, 2**63 - 1))
def test_what_is_put_on_the_bus_again_says_when_the_bus_took_it_first(batch, accepted_at):
    value = pack(batch, accepted_at)
    assert peek(value) == (2, batch.count, len(encode_batch(batch)), accepted_at, 21)
    assert unpack(value) == unpack(pack(batch)), "else it is the same"
    assert pack(batch, 0) == pack(batch)


def test_a_time_before_1970_is_malformed():
    value = bytearray(pack(EventBatch("a", "r", []), 1))
    value[20] = 0x80
    with pytest.raises(MalformedBatch, match="1970"):
        peek(bytes(value))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_malformed_and_nothing_else(data):
    with pytest.raises(MalformedBatch):
        decode_batch(data)
    with pytest.raises(MalformedBatch):
        unpack(data)
    try:
        unpack(b"OTEB" + data)
    except (MalformedBatch, NewerFormat):
        return
    raise AssertionError(data)


@given(batches(), st.data())
def test_a_changed_byte_never_raises_anything_else(batch, data):
    encoded, value = bytearray(encode_batch(batch)), bytearray(pack(batch))
    for target, read in ((encoded, decode_batch), (value, unpack)):
        at = data.draw(st.integers(0, len(target) - 1))
        target[at] ^= data.draw(st.integers(1, 255))
        try:
            for group in read(bytes(target)):
                if group.attributes:
                    attributes_of(group)
        except (MalformedBatch, NewerFormat):
            continue
        assert target is encoded, "a changed byte got through the checksum of the bus value"


@given(batches(), st.integers(0, 200), st.sampled_from([0, 1_760_000_000_000]))
def test_a_value_that_was_cut_off_is_malformed(batch, kept, accepted_at):
    value = pack(batch, accepted_at)
    with pytest.raises(MalformedBatch):
        unpack(value[: min(kept, len(value) - 1)])
    with pytest.raises(MalformedBatch):
        unpack(value + b"x")


@given(batches(), st.integers(1, 100))
def test_split_keeps_every_event_in_order(batch, max_bytes):
    for group in batch:
        pieces = list(split(group, max_bytes))
        assert [event for piece in pieces for event in events_of(piece)] == events_of(group)
        assert all(len(piece.records) <= max_bytes or piece.count == 1 for piece in pieces)
        assert all(min(times_of(p)) == p.oldest and max(times_of(p)) == p.newest for p in pieces)


@given(batches(), st.data())
def test_select_takes_exactly_the_events_asked_for(batch, data):
    for group in batch:
        indexes = data.draw(st.lists(st.integers(0, group.count - 1), min_size=1, unique=True))
        chosen = select(group, indexes)
        assert events_of(chosen) == [events_of(group)[i] for i in indexes]
        assert Counter(map(bytes, record_views(chosen))) <= Counter(map(bytes, record_views(group)))


def test_a_newer_version_stops_its_reader():
    with pytest.raises(NewerFormat):
        unpack(b"OTEB\x03 whatever comes then")
    with pytest.raises(NewerFormat):
        peek(b"OTEB\xff")
    with pytest.raises(MalformedBatch):
        unpack(b"OTEB\x00" + bytes(8))


def test_a_claimed_size_above_the_limit_is_refused_before_memory_is_taken():
    header = b"OTEB\x01" + (1).to_bytes(4, "little") + (MAX_BATCH_BYTES + 1).to_bytes(4, "little")
    with pytest.raises(MalformedBatch, match="limit"):
        peek(header)


def test_a_frame_that_claims_another_size_than_the_header_is_refused():
    batch = EventBatch("a", "r", [])
    value = bytearray(pack(batch))
    value[9] += 1
    with pytest.raises(MalformedBatch, match="size"):
        unpack(bytes(value))

from __future__ import annotations

import pytest
from msgspec.structs import replace

from opentrail.events.batch import (
    EventAttributes,
    EventBatch,
    EventGroup,
    MalformedBatch,
    SelectorClass,
    attributes_of,
    group_of,
    lengths_of,
    numbers_of,
    ranges_of,
    record_views,
    select,
    split,
    times_of,
)
from opentrail.events.batch_encoding import decode_batch, encode_batch

DATA = SelectorClass("Data", "s3.amazonaws.com", "GetObject", "AwsApiCall", True, ("AWS::S3::Object",))
RECORDS = [b'{"a":1}', b"{}", b'{"b":"two"}', b'{"c":[]}']
TIMES = [30, -5, 20, 10]
ATTRIBUTES = [EventAttributes((("AWS::S3::Object", f"arn:aws:s3:::b/{i}"),), None) for i in range(4)]
CLIENT = bytes(range(16))


def group(numbers=()) -> EventGroup:
    return group_of(DATA, RECORDS, [len(r) for r in RECORDS], TIMES, ATTRIBUTES, numbers)


def batch(*groups: EventGroup, **changes) -> EventBatch:
    return EventBatch("111122223333", "eu-west-1", list(groups) or [group()], **changes)


def changed(**changes) -> bytes:
    return encode_batch(batch(replace(group(), **changes)))


def test_a_batch_comes_back_as_views_of_the_bytes_it_was_read_from():
    data = encode_batch(batch())
    read = decode_batch(data)
    assert (read.account_id, read.region, read.count, read.client_id) == ("111122223333", "eu-west-1", 4, b"")
    (only,) = read
    assert only.selector_class == DATA
    assert isinstance(only.selector_class, SelectorClass)
    assert [bytes(v) for v in record_views(only)] == RECORDS
    assert list(times_of(only)) == TIMES
    assert attributes_of(only) == ATTRIBUTES
    assert isinstance(attributes_of(only)[0], EventAttributes)
    assert (only.oldest, only.newest) == (-5, 30)
    for view in (only.records, only.lengths, only.times, only.attributes):
        assert isinstance(view, memoryview)
        assert view.obj is data


def test_columns_are_little_endian():
    assert bytes(group((1, 2, 3, 2**64 - 1)).numbers)[-16:] == b"\x03" + bytes(7) + b"\xff" * 8
    assert bytes(group().lengths)[:4] == b"\x07\0\0\0"
    assert bytes(group().times)[8:16] == b"\xfb" + b"\xff" * 7


def test_a_numbered_batch_names_its_client_and_ranges():
    numbered = batch(group((7, 5, 6, 9)), client_id=CLIENT, number_ranges=[(5, 7), (9, 9)])
    read = decode_batch(encode_batch(numbered))
    assert (read.client_id, list(read.number_ranges)) == (CLIENT, [(5, 7), (9, 9)])
    assert list(numbers_of(read.groups[0])) == [7, 5, 6, 9]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(encode_batch(batch())[:-1], id="cut off"),
        pytest.param(encode_batch(batch()) + b"\0", id="trailing byte"),
        pytest.param(b"\x91" * 5000, id="deeply nested"),
        pytest.param(changed(count=3), id="count too low"),
        pytest.param(changed(count=5), id="count too high"),
        pytest.param(changed(count=0, lengths=b"", times=b"", records=b""), id="empty group"),
        pytest.param(changed(count=-1), id="negative count"),
        pytest.param(changed(records=b",".join(RECORDS) + b"x"), id="records longer than their lengths"),
        pytest.param(changed(lengths=group().lengths + b"\0"), id="lengths of no whole number"),
        pytest.param(changed(times=group().times[:-8]), id="a time lacks"),
        pytest.param(changed(oldest=-4), id="oldest is another"),
        pytest.param(changed(newest=29), id="newest is another"),
        pytest.param(changed(numbers=b"\0" * 32), id="numbers without client"),
        pytest.param(encode_batch(batch(client_id=CLIENT)), id="client without numbers"),
        pytest.param(
            encode_batch(batch(group((1, 2, 3, 4)), group(), client_id=CLIENT, number_ranges=[(1, 4)])),
            id="one group without numbers",
        ),
        pytest.param(
            encode_batch(batch(group((1, 2, 3, 4)), client_id=b"short", number_ranges=[(1, 4)])), id="short client id"
        ),
        *(
            pytest.param(
                encode_batch(batch(group((1, 2, 3, 5)), client_id=CLIENT, number_ranges=ranges)), id=f"ranges {ranges}"
            )
            for ranges in ([], [(1, 4)], [(1, 3), (5, 6)], [(5, 5), (1, 3)], [(0, 2**63)], [(3, 1), (1, 7)])
        ),
        pytest.param(
            encode_batch(batch(group((1, 2, 2, 3)), client_id=CLIENT, number_ranges=[(1, 4)])), id="a number twice"
        ),
    ],
)
def test_what_does_not_agree_with_itself_is_malformed(data):
    with pytest.raises(MalformedBatch):
        decode_batch(data)


@pytest.mark.parametrize("attributes", [b"\xc1", b"\x90", b"\x91\x01"])
def test_a_broken_column_of_attributes_is_found_when_it_is_asked_for(attributes):
    (read,) = decode_batch(changed(attributes=attributes))
    with pytest.raises(MalformedBatch):
        attributes_of(read)


def test_a_group_without_attributes_is_not_taken_for_one_whose_events_have_none():
    bare = group_of(DATA, RECORDS, [7, 2, 11, 8], TIMES)
    with pytest.raises(MalformedBatch):
        attributes_of(bare)
    assert select(bare, [1]).attributes == b""
    assert [piece.attributes for piece in split(bare, 1)] == [b""] * 4


def test_select_keeps_each_column_beside_its_record():
    some = select(group((1, 2, 3, 4)), [3, 1])
    assert bytes(some.records) == b'{"c":[]},{}'
    assert (some.count, some.oldest, some.newest) == (2, -5, 10)
    assert (list(times_of(some)), list(numbers_of(some)), list(lengths_of(some))) == ([10, -5], [4, 2], [8, 2])
    assert attributes_of(some) == [ATTRIBUTES[3], ATTRIBUTES[1]]


def test_select_of_all_is_the_group_itself():
    whole = group()
    assert select(whole, range(4)) is whole
    assert select(whole, [3, 2, 1, 0]) is not whole


def test_select_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        select(group(), [])


@pytest.mark.parametrize(
    ("max_bytes", "sizes"),
    [(1000, [4]), (31, [4]), (30, [3, 1]), (22, [3, 1]), (21, [2, 2]), (10, [2, 1, 1]), (1, [1, 1, 1, 1])],
)
def test_split_cuts_where_the_next_record_would_be_too_much(max_bytes, sizes):
    pieces = list(split(group((1, 2, 3, 4)), max_bytes))
    assert [p.count for p in pieces] == sizes
    assert [bytes(v) for p in pieces for v in record_views(p)] == RECORDS
    assert [n for p in pieces for n in numbers_of(p)] == [1, 2, 3, 4]
    assert [a for p in pieces for a in attributes_of(p)] == ATTRIBUTES
    for piece in pieces:
        decode_batch(encode_batch(batch(replace(piece, numbers=b""))))
        assert len(piece.records) <= max_bytes or piece.count == 1


def test_ranges_of_numbers():
    assert ranges_of([]) == []
    assert ranges_of([5, 3, 4, 9, 0]) == [(0, 0), (3, 5), (9, 9)]
    assert ranges_of([1, 1]) == [(1, 1), (1, 1)]

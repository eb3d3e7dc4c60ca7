from __future__ import annotations

import pytest

from opentrail.events.batch import EventAttributes, SelectorClass, attributes_of, numbers_of, record_views, times_of
from opentrail.events.batch_encoding import decode_batch, encode_batch
from opentrail.events.grouping import group_records
from opentrail.events.record import CheckedRecord

READ = SelectorClass("Management", "ec2.amazonaws.com", "DescribeInstances", "AwsApiCall", True, ())
DATA = SelectorClass("Data", "s3.amazonaws.com", "GetObject", "AwsApiCall", True, ("AWS::S3::Object",))
CLIENT = bytes(16)


def record(text: bytes, time: int, selector_class: SelectorClass = READ) -> CheckedRecord:
    attributes = EventAttributes((("AWS::S3::Object", text.decode()),), "me") if selector_class is DATA else None
    return CheckedRecord(text, "id", "us-east-1", time, selector_class, attributes)


RECORDS = [record(b"{}", 5), record(b'{"d":1}', 7, DATA), record(b'{"a":1}', 3), record(b'{"d":22}', 1, DATA)]


def test_events_of_a_selector_class_lie_together():
    batch = decode_batch(encode_batch(group_records("111122223333", "us-east-1", RECORDS)))
    assert (batch.account_id, batch.region, batch.client_id, list(batch.number_ranges)) == (
        "111122223333",
        "us-east-1",
        b"",
        [],
    )
    reads, data = batch.groups
    assert (reads.selector_class, bytes(reads.records)) == (READ, b'{},{"a":1}')
    assert (list(times_of(reads)), reads.oldest, reads.newest) == ([5, 3], 3, 5)
    assert bytes(reads.attributes) == b""
    assert bytes(data.records) == b'{"d":1},{"d":22}'
    assert attributes_of(data) == [RECORDS[1].attributes, RECORDS[3].attributes]
    assert not len(data.numbers)


def test_numbers_stay_with_their_records():
    batch = decode_batch(encode_batch(group_records("1", "r", RECORDS, [10, 11, 13, 14], CLIENT)))
    assert (batch.client_id, list(batch.number_ranges)) == (CLIENT, [(10, 11), (13, 14)])
    numbered = {bytes(v): n for g in batch for v, n in zip(record_views(g), numbers_of(g), strict=True)}
    assert numbered == {b"{}": 10, b'{"d":1}': 11, b'{"a":1}': 13, b'{"d":22}': 14}


@pytest.mark.parametrize(("numbers", "client_id"), [([1, 2, 3], CLIENT), ([1, 2, 3, 4], b""), ([], CLIENT)])
def test_each_record_has_a_number_or_none_has(numbers, client_id):
    with pytest.raises(ValueError, match="number"):
        group_records("1", "r", RECORDS, numbers, client_id)


def test_no_records_make_an_empty_batch():
    assert decode_batch(encode_batch(group_records("1", "r", []))).count == 0

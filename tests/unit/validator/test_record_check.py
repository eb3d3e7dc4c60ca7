"""Records in the wrong place, and records that are not those that the digest counted."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opentrail.evidence.digest import LogFileEntry
from opentrail.evidence.records_tree import leaf_hash, tree_root
from opentrail_validator import Kind
from opentrail_validator.record_check import check_records
from tests.evidence_maker.in_memory import BEGIN
from tests.evidence_maker.maker import iso

ACCOUNT, REGION = "111122223333", "eu-west-1"
ENTRY = LogFileEntry("b", "k", "0" * 64, BEGIN, BEGIN + 60)


def record(**changes):
    fields = {
        "eventTime": iso(BEGIN + 30),
        "eventSource": "s3.amazonaws.com",
        "awsRegion": REGION,
        "recipientAccountId": ACCOUNT,
        "eventID": "one",
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def check(*records, entry=ENTRY):
    return check_records(json.dumps({"Records": records}).encode(), entry, ACCOUNT, REGION)


def test_records_where_they_belong_are_counted():
    assert check(record(), record()) == (Kind.VALID, "", 2)


def test_no_records_at_all_are_no_fault():
    assert check() == (Kind.VALID, "", 0)


MISPLACED = {
    "account": ({"recipientAccountId": "999999999999"}, "it is of account 999999999999"),
    "region": ({"awsRegion": "eu-west-11"}, "it is of region eu-west-11"),
    "leading region": ({"awsRegion": "us-east-1"}, "it is of region us-east-1"),
    "global service elsewhere": (
        {"awsRegion": "ap-south-1", "eventSource": "iam.amazonaws.com"},
        "it is of region ap-south-1",
    ),
    "too early": ({"eventTime": iso(BEGIN - 1)}, f"it is of {iso(BEGIN - 1)}"),
    "too late": ({"eventTime": iso(BEGIN + 61)}, f"it is of {iso(BEGIN + 61)}"),
}


@pytest.mark.parametrize("name", MISPLACED)
def test_a_misplaced_record_is_named(name):
    changes, reason = MISPLACED[name]
    outcome = check(record(), record(eventID="two", **changes), record(eventID="three", **changes))
    assert outcome == (Kind.MISPLACED_RECORD, f"2 of 3 records, first event two: {reason}", 3)


PLACED = {
    "no account": {"recipientAccountId": ...},
    "no region": {"awsRegion": None},
    "no time": {"eventTime": ...},
    "time of another form": {"eventTime": "yesterday"},
    "oldest": {"eventTime": iso(BEGIN)},
    "newest": {"eventTime": iso(BEGIN + 60)},
    "iam": {"awsRegion": "us-east-1", "eventSource": "iam.amazonaws.com"},
    "organizations of China": {"awsRegion": "cn-north-1", "eventSource": "organizations.amazonaws.com"},
    "sts of GovCloud": {"awsRegion": "us-gov-west-1", "eventSource": "sts.amazonaws.com"},
    "no id": {"eventID": ...},
}


@pytest.mark.parametrize("name", PLACED)
def test_what_a_record_does_not_say_is_not_held_against_it(name):
    assert check(record(), record(**PLACED[name])).kind is Kind.VALID


@pytest.mark.parametrize(("oldest", "newest"), [(None, None), (None, BEGIN + 60), (BEGIN, None)])
def test_times_that_the_digest_does_not_tell_bound_nothing(oldest, newest):
    entry = dataclasses.replace(ENTRY, oldest_event_time=oldest, newest_event_time=newest)
    outside = [BEGIN - 1] if oldest is None else []
    outside += [BEGIN + 61] if newest is None else []
    assert check(*(record(eventTime=iso(time)) for time in outside), entry=entry).kind is Kind.VALID
    still = BEGIN - 1 if oldest is not None else BEGIN + 61
    if (oldest, newest) != (None, None):
        assert check(record(eventTime=iso(still)), entry=entry).kind is Kind.MISPLACED_RECORD


UNREADABLE = [b"", b"{}", b"[", b'{"Records":{}}', b'{"Records":[1]}', b'{"Records":null}', b"{" * 100_000, b"\xff"]
UNREADABLE.append(b'{"Records":[{"eventID":"\xba"}]}')


@pytest.mark.parametrize("content", UNREADABLE)
def test_what_holds_no_records_is_malformed(content):
    assert check_records(content, ENTRY, ACCOUNT, REGION).kind is Kind.MALFORMED


@pytest.mark.parametrize("field", ["recipientAccountId", "awsRegion", "eventTime", "eventID", "eventSource"])
def test_a_field_that_is_no_text_is_malformed(field):
    assert check(record(**{field: 7})).kind is Kind.MALFORMED


def test_a_bare_list_of_records_is_read_too():
    assert check_records(json.dumps([record()]).encode(), ENTRY, ACCOUNT, REGION) == (Kind.VALID, "", 1)


def rooted(*records, separators=(",", ":"), **changes):
    """The content and an entry with the root over its records, made with nothing of the validator."""
    texts = [json.dumps(one, separators=separators).encode() for one in records]
    root = tree_root([leaf_hash(text) for text in texts]).hex()
    entry = dataclasses.replace(ENTRY, record_count=len(records), records_root=root)
    return b'{"Records":[' + b",".join(texts) + b"]}", dataclasses.replace(entry, **changes)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8])
def test_the_counted_records_have_the_recorded_root(count):
    content, entry = rooted(*(record(eventID=str(number)) for number in range(count)))
    assert check_records(content, entry, ACCOUNT, REGION) == (Kind.VALID, "", count)


def test_the_bytes_of_a_record_count_and_not_its_meaning():
    _, entry = rooted(record())
    spaced, _ = rooted(record(), separators=(", ", ": "))
    assert check_records(spaced, entry, ACCOUNT, REGION).kind is Kind.ROOT_MISMATCH


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"record_count": 3}, "2 records, and not 3"),
        ({"records_root": "0" * 64}, "their Merkle root is another"),
        ({"records_root": None, "record_count": 1}, "2 records, and not 1"),
    ],
)
def test_another_count_or_root_is_a_mismatch(changes, detail):
    content, entry = rooted(record(), record(eventID="two"), **changes)
    assert check_records(content, entry, ACCOUNT, REGION) == (Kind.ROOT_MISMATCH, detail, 2)


def test_a_count_alone_or_a_root_alone_is_checked():
    content, entry = rooted(record(), record(eventID="two"))
    for changes in ({"records_root": None}, {"record_count": None}):
        assert check_records(content, dataclasses.replace(entry, **changes), ACCOUNT, REGION).kind is Kind.VALID


@given(st.binary(max_size=200) | st.binary(max_size=100).map(b'{"Records":['.__add__))
def test_arbitrary_bytes_give_an_answer(content):
    kind = check_records(content, dataclasses.replace(ENTRY, record_count=1 << 40), ACCOUNT, REGION).kind
    assert kind in {Kind.MALFORMED, Kind.ROOT_MISMATCH}

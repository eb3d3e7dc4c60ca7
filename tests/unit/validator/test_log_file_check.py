"""Log files named by their defect."""

import dataclasses
import gzip
import hashlib
import json
import tracemalloc

import pytest

from opentrail.evidence.digest import LogFileEntry
from opentrail_validator import Kind, gzip_member
from opentrail_validator.log_file_check import check_log_file
from tests.evidence_maker.in_memory import BEGIN

ACCOUNT, REGION = "111122223333", "eu-west-1"
CONTENT = b'{"Records":[{"eventName":"Get"}]}'
BODY = gzip.compress(CONTENT, mtime=0)


def entry_of(content, **changes):
    sha256 = hashlib.sha256(content).hexdigest()
    return dataclasses.replace(LogFileEntry("b", "k", sha256, BEGIN, BEGIN + 60), **changes)


def check(body, entry=None, *, records=True):
    return check_log_file(body, entry or entry_of(CONTENT), ACCOUNT, REGION, records=records)


@pytest.mark.parametrize("records", [True, False])
def test_the_recorded_content_is_valid_and_tells_its_size(records):
    outcome = check(BODY, records=records)
    assert (outcome.kind, outcome.size) == (Kind.VALID, len(CONTENT))
    assert outcome.events == (1 if records else None)


BODIES = {
    "empty": (b"", Kind.TRUNCATED),
    "not gzip": (CONTENT, Kind.MALFORMED),
    "cut in the data": (BODY[: len(BODY) // 2], Kind.TRUNCATED),
    "cut in the trailer": (BODY[:-4], Kind.TRUNCATED),
    "wrong checksum": (BODY[:-8] + b"\0\0\0\0" + BODY[-4:], Kind.MALFORMED),
    "bytes after the end": (BODY + b"\0", Kind.TRAILING_DATA),
    "a second member": (BODY + gzip.compress(b""), Kind.SEVERAL_MEMBERS),
    "the content in two members": (gzip.compress(CONTENT[:5]) + gzip.compress(CONTENT[5:]), Kind.SEVERAL_MEMBERS),
    "other content": (gzip.compress(CONTENT.replace(b"Get", b"Put")), Kind.HASH_MISMATCH),
    "no content": (gzip.compress(b""), Kind.HASH_MISMATCH),
    "one byte more": (gzip.compress(CONTENT + b" "), Kind.HASH_MISMATCH),
}


@pytest.mark.parametrize("defect", BODIES)
@pytest.mark.parametrize("records", [True, False])
def test_a_defect(defect, records):
    body, kind = BODIES[defect]
    assert check(body, records=records).kind is kind


def test_an_invalid_file_tells_how_many_events_the_digest_counted():
    assert check(b"", entry_of(CONTENT, record_count=7)).events == 7


def test_a_recorded_hash_in_upper_case_is_not_the_recorded_form():
    entry = entry_of(CONTENT)
    assert check(BODY, dataclasses.replace(entry, hash_value=entry.hash_value.upper())).kind is Kind.HASH_MISMATCH


@pytest.mark.parametrize("at_once", [True, False])
def test_a_file_that_is_too_long_to_be_read_at_once_is_checked_as_well(at_once, monkeypatch):
    records = [{"recipientAccountId": ACCOUNT, "eventID": f"e{number}"} for number in range(1000)]
    content = json.dumps({"Records": records}).encode()
    monkeypatch.setattr(gzip_member, "_AT_ONCE", 1 << 26 if at_once else 100)
    outcome = check(gzip.compress(content), entry_of(content, record_count=1000))
    assert (outcome.kind, outcome.events, outcome.size) == (Kind.VALID, 1000, len(content))
    assert check(gzip.compress(content), entry_of(content, record_count=999)).kind is Kind.ROOT_MISMATCH


def test_a_decompression_bomb(monkeypatch):
    monkeypatch.setattr("opentrail_validator.log_file_check.MAX_LOG_FILE_BYTES", 1 << 20)
    bomb = bytes((1 << 20) + 1)
    assert check(gzip.compress(bomb), entry_of(bomb)).kind is Kind.DECOMPRESSION_BOMB


def test_much_that_is_not_what_was_recorded_takes_little_memory(monkeypatch):
    monkeypatch.setattr(gzip_member, "_AT_ONCE", 1 << 20)
    much = gzip.compress(b"\0" * (64 << 20), 9)
    tracemalloc.start()
    assert check(much).kind is Kind.HASH_MISMATCH
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_records_that_are_not_looked_at_may_be_anything():
    content = b"no records"
    assert check(gzip.compress(content), entry_of(content), records=False).kind is Kind.VALID
    assert check(gzip.compress(content), entry_of(content), records=True).kind is Kind.MALFORMED

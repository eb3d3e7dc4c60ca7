from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace

import pytest

from opentrail.evidence.digest import LogFileEntry
from opentrail_validator.findings import Finding, Kind
from opentrail_validator.proof_record import FoundRecord, RecordFinder
from opentrail_validator.readers.port import Place, StoredObject
from tests.evidence_maker.proofs import path, record, root

AT = Place("logs", "a.json.gz")


def entry_of(data: bytes, records: list[bytes]) -> LogFileEntry:
    return LogFileEntry(*AT, hashlib.sha256(data).hexdigest(), None, None, len(records), root(records).hex())


def find(event_id: str, data: bytes, records: list[bytes], entry: LogFileEntry | None = None):
    stored = StoredObject(gzip.compress(data), {})
    return RecordFinder(event_id).find(AT, stored, entry or entry_of(data, records))


def file_of(*records: bytes) -> tuple[bytes, list[bytes]]:
    return b'{"Records":[' + b",".join(records) + b"]}", list(records)


RECORDS = [record(f"id-{number}", 1_772_000_000 + number) for number in range(11)]


@pytest.mark.parametrize("index", range(11))
def test_a_record_is_found_with_its_way_up(index):
    expected = FoundRecord(RECORDS[index], index, 11, tuple(path(RECORDS, index)))
    assert find(f"id-{index}", *file_of(*RECORDS)) == expected


def test_an_id_that_is_not_there_or_only_a_part_of_one():
    for event_id in ("id-11", "id", "d-1", "", "id-1\0"):
        assert find(event_id, *file_of(*RECORDS)) is None


def test_an_id_that_stands_elsewhere_in_a_record_is_not_its_id():
    mentioned = record("id-1", 1_772_000_000, requestParameters={"eventID": "id-7"}, sharedEventID="id-7")
    assert find("id-7", *file_of(mentioned)) is None
    found = find("id-7", *file_of(mentioned, RECORDS[7]))
    assert isinstance(found, FoundRecord)
    assert found.index == 1


@pytest.mark.parametrize(
    ("event_id", "spelling"),
    [
        ("id-7", r"id\u002d7"),
        ("id-7", r"\u0069\u0064-7"),
        ("a/b", r"a\/b"),
        ("a/b", "a/b"),
        ('quo"te', r"quo\"te"),
        ("é", "é"),
        ("é", r"\u00e9"),
        ("\U0001f600", r"\ud83d\ude00"),
        ("back\\slash", r"back\\slash"),
    ],
)
def test_an_id_in_another_spelling(event_id, spelling):
    spelt = b'{"eventID":"' + spelling.encode() + b'"}'
    found = find(event_id, *file_of(RECORDS[0], spelt, RECORDS[1]))
    assert isinstance(found, FoundRecord)
    assert (found.index, found.record) == (1, spelt)


def test_of_two_records_with_the_same_id_the_first_is_taken():
    found = find("id-1", *file_of(RECORDS[0], RECORDS[1], RECORDS[1] + b""))
    assert isinstance(found, FoundRecord)
    assert found.index == 1


def test_white_space_between_records_belongs_to_none_of_them():
    records = RECORDS[:5]
    data = b'{ "Version" : "1", "Records" : [\n  ' + b" ,\n  ".join(records) + b"\n ] }\n"
    found = find("id-3", data, records)
    assert found == FoundRecord(records[3], 3, 5, tuple(path(records, 3)))


def test_what_is_among_the_records_and_is_none_is_a_leaf_all_the_same():
    records = [b"5", b'"id-3"', b'["id-3"]', b'{"eventID":{"id":"id-3"}}', RECORDS[3], b"null"]
    found = find("id-3", *file_of(*records))
    assert found == FoundRecord(RECORDS[3], 4, 6, tuple(path(records, 4)))


# --- Log files that are not what their digest says


def kind_of(found: FoundRecord | Finding | None) -> Kind | None:
    return found.kind if isinstance(found, Finding) else None


def test_another_content():
    data, records = file_of(*RECORDS)
    entry = entry_of(data, records)
    assert kind_of(find("id-3", data.replace(b"GetObject", b"PutObject", 1), records, entry)) is Kind.HASH_MISMATCH


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (gzip.compress(b"{}", mtime=0)[:-9], Kind.TRUNCATED),
        (gzip.compress(b"{}", mtime=0) + b"x", Kind.TRAILING_DATA),
        (gzip.compress(b"{}", mtime=0) * 2, Kind.SEVERAL_MEMBERS),
        (b'{"Records":[]}', Kind.MALFORMED),
    ],
)
def test_what_is_not_one_gzip_member(body, kind):
    assert kind_of(RecordFinder("x").find(AT, StoredObject(body, {}), entry_of(b"{}", []))) is kind


@pytest.mark.parametrize(
    "data",
    [
        b"id-3",
        b'["id-3"]',
        b'{"records":["id-3"]}',
        b'{"Records":{"id-3":1}}',
        b'{"Records":["id-3"]',
        b'{"Records":["id-3",' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    ],
)
def test_signed_bytes_that_are_no_log_file(data):
    assert kind_of(find("id-3", data, [])) is Kind.MALFORMED


def test_records_that_are_not_those_of_the_root():
    data, records = file_of(*RECORDS)
    assert kind_of(find("id-3", data, records, entry_of(data, records[:-1]))) is Kind.ROOT_MISMATCH
    assert kind_of(find("id-3", data, records, entry_of(data, records[::-1]))) is Kind.ROOT_MISMATCH
    miscounted = replace(entry_of(data, records), record_count=10)
    assert kind_of(find("id-3", data, records, miscounted)) is Kind.ROOT_MISMATCH


def test_a_record_nested_without_end_is_not_the_one():
    deep = b'{"eventID":"id-3","a":' + b"[" * 700 + b"]" * 700 + b"}"
    endless = json.dumps("id-3").encode()
    found = find("id-3", *file_of(endless, deep))
    assert isinstance(found, FoundRecord)
    assert found.index == 1

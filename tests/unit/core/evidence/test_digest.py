import json
from dataclasses import replace

import pytest

from opentrail.evidence import (
    Digest,
    LogFileEntry,
    MalformedDigest,
    PreviousDigest,
    parse_digest,
    parse_time,
    string_to_sign,
)
from opentrail.evidence.digest import CrowdedDigest

ENTRY = LogFileEntry("logs", "k1", "a" * 64, parse_time("2026-03-01T09:00:00Z"), parse_time("2026-03-01T09:10:00Z"))
LATE = LogFileEntry("logs", "k2", "b" * 64, parse_time("2026-03-01T07:00:00Z"), parse_time("2026-03-01T08:00:00Z"))
PREVIOUS = PreviousDigest("old", "d0", "c" * 64, "ab" * 256)
DIGEST = Digest(
    "111122223333",
    parse_time("2026-03-01T09:01:31Z"),
    parse_time("2026-03-01T10:01:31Z"),
    "logs",
    "d1",
    "f" * 32,
    (ENTRY, LATE),
    PREVIOUS,
)

DOCUMENTED = [
    ("awsAccountId", "111122223333"),
    ("digestStartTime", "2026-03-01T09:01:31Z"),
    ("digestEndTime", "2026-03-01T10:01:31Z"),
    ("digestS3Bucket", "logs"),
    ("digestS3Object", "d1"),
    ("digestPublicKeyFingerprint", "f" * 32),
    ("digestSignatureAlgorithm", "SHA256withRSA"),
    ("newestEventTime", "2026-03-01T09:10:00Z"),
    ("oldestEventTime", "2026-03-01T07:00:00Z"),
    ("previousDigestS3Bucket", "old"),
    ("previousDigestS3Object", "d0"),
    ("previousDigestHashValue", "c" * 64),
    ("previousDigestHashAlgorithm", "SHA-256"),
    ("previousDigestSignature", "ab" * 256),
]


def test_all_documented_fields_are_written_in_their_order():
    fields = json.loads(DIGEST.to_bytes())
    assert list(fields.items())[:-1] == DOCUMENTED
    assert list(fields)[-1] == "logFiles"
    assert list(fields["logFiles"][0].items()) == [
        ("s3Bucket", "logs"),
        ("s3Object", "k1"),
        ("hashValue", "a" * 64),
        ("hashAlgorithm", "SHA-256"),
        ("newestEventTime", "2026-03-01T09:10:00Z"),
        ("oldestEventTime", "2026-03-01T09:00:00Z"),
    ]


def test_an_empty_starting_digest_has_every_field():
    empty = Digest("111122223333", 0, 3600, "logs", "d1", "f" * 32, (), None)
    fields = json.loads(empty.to_bytes())
    assert list(fields) == [*dict(DOCUMENTED), "logFiles"]
    assert {name for name, value in fields.items() if value is None} == {
        "newestEventTime",
        "oldestEventTime",
        "previousDigestS3Bucket",
        "previousDigestS3Object",
        "previousDigestHashValue",
        "previousDigestHashAlgorithm",
        "previousDigestSignature",
    }
    assert fields["logFiles"] == []
    assert parse_digest(empty.to_bytes()) == empty


def test_unknown_fields_are_kept_in_the_digest_and_in_its_entries():
    fields = json.loads(DIGEST.to_bytes())
    fields["merkleRoot"] = {"a": [1, None]}
    fields["logFiles"][1]["events"] = 7
    parsed = parse_digest(json.dumps(fields).encode())
    assert parsed.extra == {"merkleRoot": {"a": [1, None]}}
    assert [entry.extra for entry in parsed.log_files] == [{}, {"events": 7}]
    assert json.loads(parsed.to_bytes()) == fields


@pytest.mark.parametrize(
    "name",
    [
        "digestSignatureAlgorithm",
        "newestEventTime",
        "oldestEventTime",
        "previousDigestHashAlgorithm",
    ],
)
def test_what_only_repeats_may_be_missing(name):
    fields = json.loads(DIGEST.to_bytes())
    del fields[name]
    assert parse_digest(json.dumps(fields).encode()) == DIGEST


@pytest.mark.parametrize("value", [None, []])
def test_log_files_may_be_null_or_empty(value):
    fields = json.loads(DIGEST.to_bytes()) | {"logFiles": value}
    assert parse_digest(json.dumps(fields).encode()).log_files == ()


@pytest.mark.parametrize(
    "name",
    [
        "awsAccountId",
        "digestStartTime",
        "digestEndTime",
        "digestS3Bucket",
        "digestS3Object",
        "digestPublicKeyFingerprint",
        "previousDigestS3Bucket",
        "previousDigestS3Object",
        "previousDigestHashValue",
        "previousDigestSignature",
        "logFiles",
    ],
)
def test_what_evidence_rests_on_may_not_be_missing(name):
    fields = json.loads(DIGEST.to_bytes())
    del fields[name]
    with pytest.raises(MalformedDigest):
        parse_digest(json.dumps(fields).encode())


@pytest.mark.parametrize("name", ["s3Bucket", "s3Object", "hashValue"])
def test_what_a_log_file_is_known_by_may_not_be_missing(name):
    fields = json.loads(DIGEST.to_bytes())
    del fields["logFiles"][0][name]
    with pytest.raises(MalformedDigest):
        parse_digest(json.dumps(fields).encode())


def test_the_string_to_sign_has_four_lines_and_no_end_of_line():
    text = string_to_sign("2026-03-01T10:01:31Z", "logs", "d1", "c" * 64, "ab")
    assert text == b"2026-03-01T10:01:31Z\nlogs/d1\n" + b"c" * 64 + b"\nab"


def test_a_starting_digest_signs_the_word_null():
    assert string_to_sign("t", "b", "k", "h", None) == b"t\nb/k\nh\nnull"


PROVEN = replace(ENTRY, record_count=3, records_root="e" * 64)


def test_the_count_and_root_of_a_log_files_records_come_after_cloudtrails_fields():
    fields = json.loads(replace(DIGEST, log_files=(PROVEN, LATE)).to_bytes())
    first, second = fields["logFiles"]
    assert list(first.items())[6:] == [("recordCount", 3), ("recordsMerkleRoot", "e" * 64)]
    assert len(second) == 6
    assert list(fields) == [*dict(DOCUMENTED), "logFiles"], "nothing else of the digest changes"


@pytest.mark.parametrize(
    "entry",
    [ENTRY, PROVEN, replace(PROVEN, record_count=0), replace(PROVEN, records_root=None)],
)
def test_the_count_and_root_are_read_back(entry):
    digest = replace(DIGEST, log_files=(entry,))
    (read,) = parse_digest(digest.to_bytes()).log_files
    assert read == entry
    assert read.extra == {}


def test_null_is_no_count_and_no_root():
    fields = json.loads(DIGEST.to_bytes())
    fields["logFiles"][0] |= {"recordCount": None, "recordsMerkleRoot": None}
    assert parse_digest(json.dumps(fields).encode()) == DIGEST


@pytest.mark.parametrize(
    ("name", "value"),
    [("recordCount", value) for value in (-1, 1.0, "3", True, [])]
    + [("recordsMerkleRoot", value) for value in ("", "E" * 64, "e" * 63, "e" * 65, "e" * 64 + "\n", 3, [])],
)
def test_a_count_or_root_of_another_form_is_malformed(name, value):
    fields = json.loads(DIGEST.to_bytes())
    fields["logFiles"][0][name] = value
    with pytest.raises(MalformedDigest):
        parse_digest(json.dumps(fields).encode())


@pytest.mark.parametrize("value", [b"[]", b"{}", b"1", b'"a"'])
def test_far_more_values_than_such_a_digest_has_are_not_decoded(value):
    with pytest.raises(CrowdedDigest):
        parse_digest(b"[" + b",".join([value] * 600_000) + b"]")


def test_as_many_log_files_as_there_may_be_are_no_crowd():
    bare = replace(ENTRY, s3_object="k", oldest_event_time=None, newest_event_time=None, record_count=1)
    many = replace(DIGEST, log_files=(bare,) * 6000)
    assert len(many.to_bytes()) > 1_000_000
    assert parse_digest(many.to_bytes()) == many

"""Digests named by their defect."""

import dataclasses
import gzip
import hashlib
import json
import zlib

import pytest

from opentrail_validator import Kind
from opentrail_validator.readers.port import StoredObject
from tests.evidence_maker.in_memory import BEGIN
from tests.evidence_maker.maker import HOUR
from tests.unit.validator.digest_samples import check, made


def test_a_good_digest_is_valid_and_given_back():
    place, stored = made()
    outcome = check(stored, place)
    assert outcome.kind is Kind.VALID
    assert (outcome.digest.s3_bucket, outcome.digest.s3_object) == place


def test_what_was_verified_is_all_that_the_signature_is_over():
    place, stored = made()
    verified = check(stored, place).verified
    assert (verified.bucket, verified.key) == place
    assert (verified.start, verified.end) == (BEGIN, BEGIN + HOUR)
    assert verified.sha256 == hashlib.sha256(gzip.decompress(stored.body)).hexdigest()
    assert verified.signature == stored.metadata["signature"]
    assert verified.message().decode().split("\n") == ["2026-03-01T11:07:31Z", "/".join(place), verified.sha256, "null"]


FIELDS = {
    "no end": {"digestEndTime": None},
    "start without Z": {"digestStartTime": "2026-03-01T10:07:31"},
    "end with fraction": {"digestEndTime": "2026-03-01T10:07:31.000Z"},
    "month 13": {"digestEndTime": "2026-13-01T10:07:31Z"},
    "log files a map": {"logFiles": {}},
    "log file a text": {"logFiles": ["x"]},
    "log file without hash": {"logFiles": [{"s3Bucket": "b", "s3Object": "k"}]},
    "log file hash in upper case": {"logFiles": [{"s3Bucket": "b", "s3Object": "k", "hashValue": "A" * 64}]},
    "half a link": {"previousDigestS3Bucket": "b"},
    "another hash algorithm": {"previousDigestHashAlgorithm": "MD5"},
    "another signature algorithm": {"digestSignatureAlgorithm": "SHA1withRSA"},
    "account a number": {"awsAccountId": 111122223333},
}


@pytest.mark.parametrize("defect", [name for name in FIELDS if name != "no end"])
def test_a_field_of_the_wrong_form_is_malformed_even_if_it_is_signed(defect):
    place, stored = made(**FIELDS[defect])
    assert check(stored, place).kind is Kind.MALFORMED


@pytest.mark.parametrize("defect", [name for name in FIELDS if name != "no end"])
def test_where_the_signature_does_not_fit_either_that_is_told_first_as_by_the_aws_cli(defect):
    place, stored = made()
    assert check(changed(stored, FIELDS[defect]), place).kind is Kind.BAD_SIGNATURE


def changed(stored, fields, without=()):
    digest = json.loads(gzip.decompress(stored.body)) | fields
    body = gzip.compress(json.dumps({name: digest[name] for name in digest if name not in without}).encode())
    return dataclasses.replace(stored, body=body)


REQUIRED = [
    "digestPublicKeyFingerprint",
    "digestS3Bucket",
    "digestS3Object",
    "previousDigestSignature",
    "digestEndTime",
    "digestStartTime",
]


@pytest.mark.parametrize("name", REQUIRED)
def test_without_a_field_that_the_signature_needs_a_digest_is_malformed(name):
    place, stored = made()
    assert check(changed(stored, {}, [name]), place).kind is Kind.MALFORMED


@pytest.mark.parametrize(("name", "value"), [("digestS3Object", "\ud800"), ("digestEndTime", None)])
def test_a_place_or_time_that_is_no_text_is_malformed(name, value):
    place, stored = made()
    assert check(changed(stored, {name: value}), place).kind is Kind.MALFORMED


def test_a_malformed_digest_elsewhere_was_moved_says_the_aws_cli():
    place, stored = made()
    assert check(changed(stored, FIELDS["log files a map"]), ("other", place[1])).kind is Kind.MOVED


@pytest.mark.parametrize(("body", "kind"), [(b"{}", Kind.BAD_SIGNATURE), (b"{", Kind.MALFORMED)])
def test_that_there_is_no_signature_comes_after_json_and_before_its_fields(body, kind):
    assert check(StoredObject(gzip.compress(body), {})).kind is kind


def recompressed(change):
    return lambda body: gzip.compress(change(gzip.decompress(body)))


BODIES = {
    "empty": (lambda _: b"", Kind.TRUNCATED),
    "not gzip": (gzip.decompress, Kind.MALFORMED),
    "zlib stream": (lambda body: zlib.compress(gzip.decompress(body)), Kind.MALFORMED),
    "cut off": (lambda body: body[:-1], Kind.TRUNCATED),
    "wrong checksum": (lambda body: body[:-8] + b"\0" * 8, Kind.MALFORMED),
    "bytes after the end": (lambda body: body + b"\0", Kind.TRAILING_DATA),
    "a second member": (lambda body: body + gzip.compress(b""), Kind.SEVERAL_MEMBERS),
    "not UTF-8": (recompressed(lambda data: data + b"\xff"), Kind.MALFORMED),
    "a list": (recompressed(lambda _: b"[]"), Kind.MALFORMED),
    "nested too deep": (recompressed(lambda _: b"[" * 100_000), Kind.MALFORMED),
    "one more space": (recompressed(lambda data: data + b" "), Kind.BAD_SIGNATURE),
    "not a number": (recompressed(lambda data: data[:-1] + b', "x": NaN}'), Kind.BAD_SIGNATURE),
    "hash of 65 digits": (recompressed(lambda data: data.replace(b'lue": "', b'lue": "0', 1)), Kind.BAD_SIGNATURE),
    "another account": (recompressed(lambda data: data.replace(b'"1111', b'"2222', 1)), Kind.BAD_SIGNATURE),
    "wrong and followed": (lambda body: recompressed(lambda data: data + b" ")(body) + b"\0", Kind.BAD_SIGNATURE),
}


@pytest.mark.parametrize("defect", BODIES)
def test_other_bytes(defect):
    change, kind = BODIES[defect]
    place, stored = made()
    assert check(dataclasses.replace(stored, body=change(stored.body)), place).kind is kind


def test_a_decompression_bomb(monkeypatch):
    monkeypatch.setattr("opentrail_validator.digest_check.MAX_DIGEST_BYTES", 1 << 20)
    bomb = gzip.compress(b" " * (1 << 20) + b"{}")
    assert check(StoredObject(bomb, {})).kind is Kind.DECOMPRESSION_BOMB


def test_the_same_content_compressed_anew_stays_valid():
    place, stored = made()
    body = gzip.compress(gzip.decompress(stored.body), compresslevel=1)
    assert check(dataclasses.replace(stored, body=body), place).kind is Kind.VALID


SIGNATURES = {
    "none": lambda _: {},
    "no algorithm": lambda signature: {"signature": signature},
    "no signature": lambda _: {"signature-algorithm": "SHA256withRSA"},
    "empty": lambda _: {"signature": "", "signature-algorithm": "SHA256withRSA"},
    "not hex": lambda signature: {"signature": "zz" + signature[2:], "signature-algorithm": "SHA256withRSA"},
    "spaces in it": lambda signature: {"signature": " " + signature, "signature-algorithm": "SHA256withRSA"},
    "too short": lambda signature: {"signature": signature[2:], "signature-algorithm": "SHA256withRSA"},
    "another algorithm": lambda signature: {"signature": signature, "signature-algorithm": "MD2withRSA"},
    "another": lambda signature: {"signature": signature[::-1], "signature-algorithm": "SHA256withRSA"},
}


@pytest.mark.parametrize("defect", SIGNATURES)
def test_a_signature_that_is_missing_or_wrong(defect):
    place, stored = made()
    metadata = SIGNATURES[defect](stored.metadata["signature"])
    outcome = check(dataclasses.replace(stored, metadata=metadata), place)
    assert outcome.kind is Kind.BAD_SIGNATURE
    assert outcome.digest is outcome.verified is None


def test_a_signature_in_upper_case_is_the_same():
    place, stored = made()
    metadata = stored.metadata | {"signature": stored.metadata["signature"].upper()}
    assert check(dataclasses.replace(stored, metadata=metadata), place).kind is Kind.VALID


@pytest.mark.parametrize("change", [("other", None), (None, "other")])
def test_a_digest_elsewhere_has_been_moved_and_says_from_where(change):
    (bucket, key), stored = made()
    outcome = check(stored, (change[0] or bucket, change[1] or key))
    assert outcome.kind is Kind.MOVED
    assert f"s3://{bucket}/{key}" in outcome.detail


@pytest.mark.parametrize(
    ("claim", "kind"),
    [("digestS3Object", Kind.MOVED), ("digestS3Bucket", Kind.MOVED), ("digestPublicKeyFingerprint", Kind.UNKNOWN_KEY)],
)
def test_what_nobody_signed_is_not_told_at_any_length(claim, kind):
    place, stored = made()
    outcome = check(changed(stored, {claim: "k" * 1_000_000}), place, key=None)
    assert outcome.kind is kind
    assert "kkk" in outcome.detail
    assert len(outcome.detail) < 3000


@pytest.mark.parametrize("value", ["[]", "{}", "0", '"a"'])
def test_a_digest_that_would_fill_the_memory_is_not_decoded(value, monkeypatch):
    place, stored = made()
    body = gzip.compress(b'{"logFiles":[' + f"{value},".encode() * 700_000 + b"0]}")
    monkeypatch.setattr(json, "loads", None)
    outcome = check(StoredObject(body, stored.metadata), place)
    assert (outcome.kind, outcome.detail) == (Kind.MALFORMED, "more values than a digest of its size has")


def test_a_digest_of_many_log_files_is_read():
    files = [
        {
            "s3Bucket": "b",
            "s3Object": f"AWSLogs/111122223333/CloudTrail/{number:04}",
            "hashValue": "0" * 64,
            "hashAlgorithm": "SHA-256",
            "newestEventTime": None,
            "oldestEventTime": None,
            "recordCount": 1,
        }
        for number in range(5000)
    ]
    place, stored = made(logFiles=files)
    assert len(check(stored, place).digest.log_files) == len(files)

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from opentrail_validator.proof_file import (
    MAX_PROOF_BYTES,
    MalformedProof,
    OtherProofVersion,
    Proof,
    parse_proof,
    read_event,
)
from opentrail_validator.readers.port import Place, PublicKey
from tests.evidence_maker.maker import private_key, public_der

DER = public_der(private_key(0))
PROOF = Proof(
    record='{"eventID":"é\\u0041","userAgent":"\U0001f600 \\"quoted\\""}'.encode(),
    log_file=Place("logs", "AWSLogs/a.json.gz"),
    index=2,
    count=3,
    path=(hashlib.sha256(b"x").digest(),),
    digest_file=b"\x1f\x8b anything",
    signature="00ff",
    public_key=PublicKey(DER, 10, 20),
)


def fields(**changes: Any) -> dict[str, Any]:
    return json.loads(PROOF.to_bytes()) | changes


def parse(document: Any) -> Proof:
    return parse_proof(json.dumps(document).encode())


def test_a_proof_is_read_as_it_was_written_to_the_byte_of_the_record():
    assert parse_proof(PROOF.to_bytes()) == PROOF
    assert parse(fields()).record == PROOF.record


def test_the_file_is_ascii_and_the_same_each_time():
    assert PROOF.to_bytes().isascii()
    assert PROOF.to_bytes() == parse_proof(PROOF.to_bytes()).to_bytes()


def test_the_fields_have_the_names_of_cloudtrail():
    assert fields() == {
        "proofVersion": 1,
        "record": PROOF.record.decode(),
        "recordIndex": 2,
        "recordCount": 3,
        "merklePath": [hashlib.sha256(b"x").hexdigest()],
        "logFile": {"s3Bucket": "logs", "s3Object": "AWSLogs/a.json.gz"},
        "digest": base64.b64encode(b"\x1f\x8b anything").decode(),
        "digestSignature": "00ff",
        "publicKey": {
            "Fingerprint": hashlib.md5(DER).hexdigest(),
            "Value": base64.b64encode(DER).decode(),
            "ValidityStartTime": 10,
            "ValidityEndTime": 20,
        },
    }


def test_white_space_and_the_order_of_fields_are_free():
    assert parse_proof(json.dumps(dict(reversed(fields().items())), indent=7).encode()) == PROOF


def test_a_validity_need_not_be_known():
    key = fields()["publicKey"] | {"ValidityStartTime": None, "ValidityEndTime": None}
    assert parse(fields(publicKey=key)).public_key == PublicKey(DER)


def test_a_later_version_is_told_apart_from_what_is_no_proof():
    with pytest.raises(OtherProofVersion, match="version 2"):
        parse({"proofVersion": 2, "what it has": "nobody knows"})


@pytest.mark.parametrize("name", list(fields()))
def test_a_field_that_is_missing(name):
    document = fields()
    del document[name]
    with pytest.raises(MalformedProof, match="missing"):
        parse(document)


HASH = "0" * 64
WRONG = {
    "proofVersion": [None, "1", 1.0, True, -1],
    "record": [None, 1, "", "[]", '"text"', "{", '{"a":1}}', "\ud800{}", {"eventID": "x"}, "{" * 9, '{"a":NaN}'],
    "recordIndex": [None, "1", 1.0, True, -1, 1 << 63, 10**400],
    "recordCount": [None, "1", 1.5, False, -1, 1 << 63],
    "merklePath": [None, HASH, [1], [HASH[1:]], [HASH + "0"], ["A" * 64], [HASH + "\n"], [HASH] * 65, {}],
    "logFile": [
        None,
        "s3://logs/x",
        [],
        {"s3Bucket": "logs"},
        {"s3Bucket": "logs", "s3Object": 1},
        {"s3Bucket": "logs", "s3Object": "\udfff"},
        {"s3Bucket": "logs", "s3Object": "x", "versionId": "1"},
    ],
    "digest": [None, 1, "", "=", "AA", "AB==", "AAAA\n", " AAAA", "AA-_", "é"],
    "digestSignature": [None, 1, "", "0", "0g", "AB", "00 ", "00\n"],
    "publicKey": [
        None,
        [],
        {},
        fields()["publicKey"] | {"Fingerprint": "0" * 32},
        fields()["publicKey"] | {"Fingerprint": fields()["publicKey"]["Fingerprint"].upper()},
        fields()["publicKey"] | {"Value": base64.b64encode(b"another").decode()},
        fields()["publicKey"] | {"ValidityStartTime": "2026-03-01T00:00:00Z"},
        fields()["publicKey"] | {"ValidityStartTime": -1},
        fields()["publicKey"] | {"ValidityEndTime": 1.5},
        fields()["publicKey"] | {"ValidityEndTime": 1 << 60},
        fields()["publicKey"] | {"Comment": ""},
    ],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_value_of_the_wrong_form(name, value):
    with pytest.raises(MalformedProof):
        parse(fields(**{name: value}))


def test_a_field_that_version_1_does_not_have():
    with pytest.raises(MalformedProof, match="'comment'"):
        parse(fields(comment="the boss says that it is fine"))


@pytest.mark.parametrize("name", ["record", "s3Object", "Value"])
def test_a_field_that_is_there_twice(name):
    data = PROOF.to_bytes().replace(f'"{name}":'.encode(), f'"{name}": "x", "{name}":'.encode())
    with pytest.raises(MalformedProof, match="twice"):
        parse_proof(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"null",
        b"[]",
        b'"proof"',
        b"1",
        b"{}",
        b"\xff\xfe{}",
        b"\xef\xbb\xbf" + PROOF.to_bytes(),
        PROOF.to_bytes() + b"{}",
        PROOF.to_bytes()[:-3],
        PROOF.to_bytes().replace(b'"recordIndex": 2', b'"recordIndex": Infinity'),
        b'{"proofVersion":' + b"1" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_bytes_that_are_no_proof(data):
    with pytest.raises(MalformedProof):
        parse_proof(data)


def test_a_file_that_is_too_large_is_not_even_decoded():
    with pytest.raises(MalformedProof, match="more than"):
        parse_proof(b" " * (MAX_PROOF_BYTES + 1))


def test_what_a_record_says_of_itself_may_be_of_any_type():
    event = read_event(b'{"eventID":["x"],"eventTime":5,"unknown":{"a":[1]},"eventName":"Get"}')
    assert (event.eventID, event.eventTime, event.eventName, event.eventSource) == (["x"], 5, "Get", None)


@pytest.mark.parametrize("record", [b"", b"[]", b'{"a":"\xff"}', b'{"a":' * 100_000, b'{"eventID":' + b"[" * 100_000])
def test_a_record_that_is_none(record):
    with pytest.raises(MalformedProof):
        read_event(record)


def test_numbers_without_end_in_a_record_are_none_of_our_business():
    assert read_event(b'{"eventID":"x","n":' + b"9" * 10_000 + b"}").eventID == "x"

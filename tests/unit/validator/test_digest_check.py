"""Digests named by their defect."""

import dataclasses
import gzip
import hashlib
import json
import zlib

import pytest
from cryptography.hazmat.primitives import serialization

from opentrail_validator import Kind
from opentrail_validator.digest_check import check_digest
from opentrail_validator.readers.port import StoredObject
from tests.evidence_maker.maker import Chain, listed_key, private_key, public_der

PUBLIC = public_der(private_key(0))


def made(**changes):
    chain = Chain()
    place = chain.hour(1, **changes)
    return place, StoredObject(chain.objects[place].body, chain.objects[place].metadata)


def check(stored, place=None, key=PUBLIC, *, backfill=False):
    bucket, name = place or made()[0]
    return check_digest(stored, bucket, name, lambda _fingerprint, _stored: key, backfill=backfill, recorded=None)


def test_a_good_digest_is_valid_and_given_back():
    place, stored = made()
    outcome = check(stored, place)
    assert outcome.kind is Kind.VALID
    assert (outcome.digest.s3_bucket, outcome.digest.s3_object) == place


FIELDS = {
    "no end": ("digestEndTime", None),
    "start without Z": ("digestStartTime", "2026-03-01T10:07:31"),
    "end with fraction": ("digestEndTime", "2026-03-01T10:07:31.000Z"),
    "month 13": ("digestEndTime", "2026-13-01T10:07:31Z"),
    "log files a map": ("logFiles", {}),
    "log file a text": ("logFiles", ["x"]),
    "log file without hash": ("logFiles", [{"s3Bucket": "b", "s3Object": "k"}]),
    "log file hash in upper case": ("logFiles", [{"s3Bucket": "b", "s3Object": "k", "hashValue": "A" * 64}]),
    "half a link": ("previousDigestS3Bucket", "b"),
    "another hash algorithm": ("previousDigestHashAlgorithm", "MD5"),
    "another signature algorithm": ("digestSignatureAlgorithm", "SHA1withRSA"),
    "account a number": ("awsAccountId", 111122223333),
    "key of a lone surrogate": ("digestS3Object", "\ud800"),
}


@pytest.mark.parametrize("defect", FIELDS)
def test_a_field_of_the_wrong_form_is_malformed(defect):
    name, value = FIELDS[defect]
    place, stored = made()
    digest = json.loads(gzip.decompress(stored.body)) | {name: value}
    body = gzip.compress(json.dumps(digest).encode())
    assert check(dataclasses.replace(stored, body=body), place).kind is Kind.MALFORMED


def recompressed(change):
    return lambda body: gzip.compress(change(gzip.decompress(body)))


BODIES = {
    "empty": (lambda _: b"", Kind.MALFORMED),
    "not gzip": (gzip.decompress, Kind.MALFORMED),
    "zlib stream": (lambda body: zlib.compress(gzip.decompress(body)), Kind.MALFORMED),
    "cut off": (lambda body: body[:-1], Kind.MALFORMED),
    "wrong checksum": (lambda body: body[:-8] + b"\0" * 8, Kind.MALFORMED),
    "bytes after the end": (lambda body: body + b"\0", Kind.TRAILING_DATA),
    "a second member": (lambda body: body + gzip.compress(b""), Kind.TRAILING_DATA),
    "not UTF-8": (recompressed(lambda data: data + b"\xff"), Kind.MALFORMED),
    "a list": (recompressed(lambda _: b"[]"), Kind.MALFORMED),
    "nested too deep": (recompressed(lambda _: b"[" * 100_000), Kind.MALFORMED),
    "not a number": (recompressed(lambda data: data[:-1] + b', "x": NaN}'), Kind.MALFORMED),
    "one more space": (recompressed(lambda data: data + b" "), Kind.BAD_SIGNATURE),
    "hash of 65 digits": (recompressed(lambda data: data.replace(b'lue": "', b'lue": "0', 1)), Kind.MALFORMED),
    "another account": (recompressed(lambda data: data.replace(b'"1111', b'"2222', 1)), Kind.BAD_SIGNATURE),
}


@pytest.mark.parametrize("defect", BODIES)
def test_other_bytes(defect):
    change, kind = BODIES[defect]
    place, stored = made()
    assert check(dataclasses.replace(stored, body=change(stored.body)), place).kind is kind


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
    "another": lambda signature: {"signature": signature[::-1], "signature-algorithm": "SHA256withRSA"},
}


@pytest.mark.parametrize("defect", SIGNATURES)
def test_a_signature_that_is_missing_or_wrong(defect):
    place, stored = made()
    metadata = SIGNATURES[defect](stored.metadata["signature"])
    assert check(dataclasses.replace(stored, metadata=metadata), place).kind is Kind.BAD_SIGNATURE


def test_a_signature_in_upper_case_is_the_same():
    place, stored = made()
    metadata = stored.metadata | {"signature": stored.metadata["signature"].upper()}
    assert check(dataclasses.replace(stored, metadata=metadata), place).kind is Kind.VALID


@pytest.mark.parametrize("change", [("other", None), (None, "other")])
def test_a_digest_elsewhere_has_been_moved(change):
    (bucket, key), stored = made()
    assert check(stored, (change[0] or bucket, change[1] or key)).kind is Kind.MOVED


def test_without_its_key_a_digest_names_the_fingerprint():
    place, stored = made()
    outcome = check(stored, place, key=None)
    assert (outcome.kind, outcome.detail) == (Kind.UNKNOWN_KEY, listed_key(private_key(0))["Fingerprint"])


def subject_public_key_info(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


@pytest.mark.parametrize("key", [b"", b"junk", PUBLIC + b"\0", subject_public_key_info(private_key(0))])
def test_a_key_that_is_no_pkcs1_key(key):
    place, stored = made()
    assert check(stored, place, key=key).kind is Kind.MALFORMED_KEY


def test_a_key_without_pkcs1_form_under_its_own_fingerprint():
    info = subject_public_key_info(private_key(0))
    place, stored = made(digestPublicKeyFingerprint=hashlib.md5(info).hexdigest())
    assert check(stored, place, key=info).kind is Kind.MALFORMED_KEY

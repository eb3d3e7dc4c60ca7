"""Digests that are well signed: with which key, in which chain, and as what was recorded of them."""

import dataclasses
import gzip
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization

from opentrail.evidence.digest import PreviousDigest
from opentrail_validator import Kind, PublicKey
from opentrail_validator.digest_check import Recorded
from opentrail_validator.readers.port import StoredObject
from tests.evidence_maker.in_memory import BEGIN
from tests.evidence_maker.maker import HOUR, Chain, listed_key, private_key
from tests.unit.validator.digest_samples import PUBLIC, check, made

# --- Keys


def test_without_its_key_a_digest_names_the_fingerprint():
    place, stored = made()
    outcome = check(stored, place, key=None)
    assert (outcome.kind, outcome.detail) == (Kind.UNKNOWN_KEY, listed_key(private_key(0))["Fingerprint"])


def subject_public_key_info(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


@pytest.mark.parametrize("der", [b"", b"junk", PUBLIC.der + b"\0", subject_public_key_info(private_key(0))])
def test_a_key_that_is_no_pkcs1_key(der):
    place, stored = made()
    assert check(stored, place, key=PublicKey(der)).kind is Kind.MALFORMED_KEY


def test_a_key_without_pkcs1_form_under_its_own_fingerprint():
    info = subject_public_key_info(private_key(0))
    place, stored = made(digestPublicKeyFingerprint=hashlib.md5(info).hexdigest())
    assert check(stored, place, key=PublicKey(info)).kind is Kind.MALFORMED_KEY


END = BEGIN + HOUR
VALIDITIES = {
    "unknown": (None, None, Kind.VALID),
    "from the very end": (END, None, Kind.VALID),
    "until the very end": (None, END, Kind.VALID),
    "from later": (END + 1, None, Kind.KEY_OUTSIDE_VALIDITY),
    "until before": (None, END - 1, Kind.KEY_OUTSIDE_VALIDITY),
}


@pytest.mark.parametrize("name", VALIDITIES)
def test_a_key_signs_only_digests_that_end_in_its_validity(name):
    since, until, kind = VALIDITIES[name]
    place, stored = made()
    outcome = check(stored, place, key=PublicKey(PUBLIC.der, since, until))
    assert outcome.kind is kind
    assert outcome.digest is not None


@pytest.mark.parametrize(
    ("since", "until", "kind"),
    [(END + 1, END + 2, Kind.VALID), (None, END - 1, Kind.KEY_OUTSIDE_VALIDITY)],
)
def test_a_backfill_digest_may_be_signed_by_a_newer_key_but_by_no_older_one(since, until, kind):
    chain = Chain(backfill=True)
    place = chain.hour(1)
    stored = StoredObject(chain.objects[place].body, chain.objects[place].metadata)
    assert check(stored, place, key=PublicKey(PUBLIC.der, since, until), backfill=True).kind is kind


def test_a_signature_that_does_not_fit_comes_before_a_key_that_was_not_valid():
    place, stored = made()
    forged = dataclasses.replace(stored, metadata=stored.metadata | {"signature": "ab" * 256})
    assert check(forged, place, key=PublicKey(PUBLIC.der, END + 1, None)).kind is Kind.BAD_SIGNATURE


# --- What the AWS CLI does not look at

CLAIMS = {
    "account": ({"awsAccountId": "999999999999"}, "account 999999999999"),
    "key of another account": ({"account": "999999999999"}, "account 999999999999"),
    "key of another region": ({"region": "us-west-2"}, "region us-west-2"),
    "key of another trail": ({"trail": "other"}, "trail other"),
    "key of another home region": ({"home": "us-west-2"}, "home region us-west-2"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_well_signed_digest_of_another_chain(name):
    changes, detail = CLAIMS[name]
    chain = Chain(**{field: value for field, value in changes.items() if field != "awsAccountId"})
    place = chain.hour(1, **{field: value for field, value in changes.items() if field == "awsAccountId"})
    outcome = check(StoredObject(chain.objects[place].body, chain.objects[place].metadata), place)
    assert (outcome.kind, outcome.detail) == (Kind.WRONG_CLAIM, detail)
    assert outcome.verified is not None


@pytest.mark.parametrize("elsewhere", [{"bucket": "older"}, {"prefix": "older"}, {"organization": "o-abc"}])
def test_a_digest_of_the_chain_in_an_earlier_bucket_or_prefix_claims_nothing_wrong(elsewhere):
    chain = Chain(**elsewhere)
    place = chain.hour(1)
    stored = StoredObject(chain.objects[place].body, chain.objects[place].metadata)
    assert check(stored, place).kind is Kind.VALID


def recorded(place, stored, *, proven=True, **changes):
    facts = {
        "s3_bucket": place[0],
        "s3_object": place[1],
        "hash_value": hashlib.sha256(gzip.decompress(stored.body)).hexdigest(),
        "signature": stored.metadata["signature"],
    }
    return Recorded(PreviousDigest(**facts | changes), proven=proven)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"hash_value": "0" * 64}, "hash"),
        ({"signature": "ab" * 256}, "signature"),
        ({"hash_value": "0" * 64, "signature": "ab" * 256}, "hash, signature"),
    ],
)
def test_a_digest_that_is_not_the_recorded_one_breaks_the_chain(changes, detail):
    place, stored = made()
    outcome = check(stored, place, recorded=recorded(place, stored, **changes))
    assert (outcome.kind, outcome.detail) == (Kind.CHAIN_BROKEN, detail)


def test_the_recorded_one_is_valid_whatever_the_case_of_its_signature():
    place, stored = made()
    same = recorded(place, stored, signature=stored.metadata["signature"].upper())
    assert check(stored, place, recorded=same).kind is Kind.VALID


def test_what_was_recorded_by_a_digest_that_was_not_proven_convicts_nobody():
    place, stored = made()
    assert check(stored, place, recorded=recorded(place, stored, proven=False, hash_value="0" * 64)).kind is Kind.VALID


def test_a_copy_without_metadata_is_proven_by_the_recorded_signature():
    place, stored = made()
    copy = StoredObject(stored.body, None)
    outcomes = {
        "none": check(copy, place),
        "recorded": check(copy, place, recorded=recorded(place, stored)),
        "unproven": check(copy, place, recorded=recorded(place, stored, proven=False)),
        "unproven, wrong": check(copy, place, recorded=recorded(place, stored, proven=False, signature="ab" * 256)),
        "wrong": check(copy, place, recorded=recorded(place, stored, signature="ab" * 256)),
    }
    assert {name: outcome.kind for name, outcome in outcomes.items()} == {
        "none": Kind.NOT_CHECKED,
        "recorded": Kind.VALID,
        "unproven": Kind.VALID,
        "unproven, wrong": Kind.NOT_CHECKED,
        "wrong": Kind.BAD_SIGNATURE,
    }
    assert outcomes["none"].digest is not None
    assert outcomes["none"].verified is None

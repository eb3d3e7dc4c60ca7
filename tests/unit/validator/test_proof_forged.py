from __future__ import annotations

import base64
import gzip
import zlib
from typing import Any

import pytest

from opentrail_validator.findings import Verdict
from opentrail_validator.proof import FACTS, Outcome, check_proof
from opentrail_validator.readers.port import PublicKey
from tests.evidence_maker.maker import Chain, listed_key, private_key, public_der
from tests.evidence_maker.proofs import hour, ids, record, root
from tests.unit.validator.proof_samples import KEYS, check, made, outcomes, proof_of

# --- Not proven: digest and claims


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: b"not gzip",
        lambda body: body[:-1],
        lambda body: body + b"x",
        lambda body: body + gzip.compress(b"more"),
        lambda body: gzip.compress(b"{}"),
        lambda body: gzip.compress(b"\xff"),
        lambda body: gzip.compress(gzip.decompress(body).replace(b"awsAccountId", b"awsaccountid")),
    ],
)
def test_a_digest_that_cannot_be_read(spoil):
    document = made()
    document["digest"] = base64.b64encode(spoil(base64.b64decode(document["digest"]))).decode()
    result = check(document)
    assert [fault.outcome for fault in result.faults] == [Outcome.MALFORMED_DIGEST]
    assert result.claims is None


def test_a_decompression_bomb_is_not_inflated():
    deflater = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    bomb = b"".join(deflater.compress(bytes(1 << 24)) for _ in range(20)) + deflater.flush()
    assert outcomes(made(digest=base64.b64encode(bomb).decode())) == [Outcome.MALFORMED_DIGEST]


def test_a_digest_compressed_anew_has_the_same_content():
    document = made()
    anew = gzip.compress(gzip.decompress(base64.b64decode(document["digest"])), compresslevel=1, mtime=7)
    assert check(document | {"digest": base64.b64encode(anew).decode()}).outcome is Outcome.PROVEN


@pytest.mark.parametrize(
    "changes",
    [
        {"awsAccountId": "999999999999"},
        {"digestS3Object": "AWSLogs/x.json.gz"},
        {
            "digestS3Object": "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/03/01/"
            "111122223333_CloudTrail_eu-west-1_20260301T1107Z_AAAA.json.gz"
        },
        {
            "digestS3Object": "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/03/01/"
            "111122223333_CloudTrail-Digest_us-east-1_audit_eu-west-1_20260301T110731Z.json.gz"
        },
    ],
)
def test_a_signed_digest_whose_claims_do_not_fit(changes):
    chain = Chain()
    hour(chain, records := ids(chain, 7), **changes)
    assert outcomes(proof_of(chain, records)) == [Outcome.WRONG_CLAIM]


@pytest.mark.parametrize("recipient", ["999988887777", 111122223333, ["111122223333"]])
def test_a_record_for_another_account(recipient):
    chain = Chain()
    hour(chain, records := [record("x", chain.now, recipientAccountId=recipient)])
    assert outcomes(proof_of(chain, records, 0)) == [Outcome.WRONG_CLAIM]


def test_a_record_need_not_name_its_account():
    chain = Chain()
    hour(chain, records := [record("x", chain.now, recipientAccountId=None)])
    assert outcomes(proof_of(chain, records, 0)) == []


# --- Not proven: signature and key


def resigned(document: dict[str, Any], old: bytes, new: bytes) -> dict[str, Any]:
    """The digest with other content, and the old signature."""
    data = gzip.decompress(base64.b64decode(document["digest"]))
    assert old in data
    return document | {"digest": base64.b64encode(gzip.compress(data.replace(old, new))).decode()}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"audit", b"other"),
        (b"2026-03-01T11:07:31Z", b"2026-03-01T11:07:32Z"),
        (b'"logFiles": [', b'"logFiles":  ['),
        (b'"previousDigestSignature": null', b'"previousDigestSignature": "00"'),
    ],
)
def test_a_changed_digest(old, new):
    document = resigned(made(), old, new)
    assert outcomes(document)[-1] in {Outcome.BAD_SIGNATURE, Outcome.MALFORMED_DIGEST}


def test_a_forged_root_is_signed_by_nobody():
    chain = Chain()
    hour(chain, records := ids(chain, 7))
    forged = [*records[:3], records[3].replace(b"GetObject", b"PutObject"), *records[4:]]
    old, new = root(records).hex().encode(), root(forged).hex().encode()
    assert outcomes(resigned(proof_of(chain, forged), old, new)) == [Outcome.BAD_SIGNATURE]


def test_the_signature_of_another_digest():
    chain = Chain()
    hour(chain, ids(chain, 3))
    hour(chain, records := ids(chain, 5))
    other = chain.objects[chain.digests[0]].metadata["signature"]
    assert outcomes(proof_of(chain, records, digestSignature=other)) == [Outcome.BAD_SIGNATURE]
    assert outcomes(proof_of(chain, records, digestSignature="00"), None) == [Outcome.BAD_SIGNATURE]


def test_a_forger_with_a_key_of_his_own():
    chain = Chain(key_number=1)
    hour(chain, records := ids(chain, 5))
    document = proof_of(chain, records)
    assert check(document, None).outcome is Outcome.PROVEN_BY_ITS_OWN_KEY
    assert outcomes(document) == [Outcome.UNKNOWN_KEY]
    assert check(document, {}).verdict is Verdict.INVALID


def test_a_forger_who_names_the_trusted_key_as_his():
    document = made()
    document["publicKey"] = listed_key(private_key(1))
    assert outcomes(document) == [Outcome.MALFORMED_KEY]
    assert outcomes(document, None) == [Outcome.MALFORMED_KEY]


def test_another_key_under_the_fingerprint_that_was_pinned():
    (name,) = KEYS
    other = PublicKey(public_der(private_key(1)))
    assert set(outcomes(made(), {name: other})) == {Outcome.MALFORMED_KEY}


# --- Files that are no proofs


def test_bytes_that_are_no_proof():
    result = check_proof(b"{}", KEYS)
    assert (result.outcome, result.verdict, result.proof) == (Outcome.MALFORMED, Verdict.INVALID, None)


def test_a_later_version_is_not_called_invalid():
    result = check({"proofVersion": 2})
    assert (result.outcome, result.verdict) == (Outcome.OTHER_VERSION, Verdict.UNCHECKED)


def test_everything_that_is_wrong_is_told_at_once():
    document = resigned(made(recordIndex=6), b"audit", b"other")
    assert outcomes(document, {}) == [Outcome.NOT_IN_TREE, Outcome.UNKNOWN_KEY, Outcome.BAD_SIGNATURE]


def test_every_outcome_is_explained():
    assert set(FACTS) == set(Outcome)
    assert len({facts.meaning for facts in FACTS.values()}) == len(Outcome)

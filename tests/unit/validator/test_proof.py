from __future__ import annotations

import base64
import gzip
import json
import zlib
from typing import Any

import pytest

from opentrail_validator.findings import Verdict
from opentrail_validator.proof import FACTS, Outcome, ProofResult, check_proof
from opentrail_validator.readers.port import PublicKey
from tests.evidence_maker.in_memory import BEGIN, pinned
from tests.evidence_maker.maker import HOUR, Chain, listed_key, private_key, public_der
from tests.evidence_maker.proofs import hour, ids, log_file, made_proof, record, root

KEYS = pinned(listed_key(private_key(0))).between(0, 0)
END = BEGIN + HOUR


def key_with(start: int | None, end: int | None) -> dict[str, PublicKey]:
    return {name: PublicKey(key.der, start, end) for name, key in KEYS.items()}


def proof_of(chain: Chain, records: list[bytes], index: int = 3, **changes: Any) -> dict[str, Any]:
    """The proof of a record of the chain's last digest and last log file."""
    return made_proof(chain, chain.digests[-1], chain.logs[-1], records, index) | changes


def made(count: int = 7, index: int = 3, **changes: Any) -> dict[str, Any]:
    chain = Chain()
    hour(chain, records := ids(chain, count))
    return proof_of(chain, records, index, **changes)


def check(document: dict[str, Any], keys: Any = KEYS) -> ProofResult:
    return check_proof(json.dumps(document).encode(), keys)


def outcomes(document: dict[str, Any], keys: Any = KEYS) -> list[Outcome]:
    return [fault.outcome for fault in check(document, keys).faults]


# --- Proven


@pytest.mark.parametrize("index", range(7))
def test_every_record_of_a_log_file(index):
    result = check(made(7, index))
    assert (result.outcome, result.verdict, result.faults) == (Outcome.PROVEN, Verdict.VALID, ())


def test_what_is_proven_is_told():
    chain = Chain()
    hour(chain)
    hour(chain, ids(chain, 2, "other"), records := ids(chain, 7))
    result = check(proof_of(chain, records, 5))
    claims = result.claims
    assert claims is not None
    assert result.proof is not None
    assert claims.event.eventID == "e-5"
    assert (result.proof.index, result.proof.count, result.proof.record) == (5, 7, records[5])
    assert claims.entry is not None
    assert (claims.entry.s3_bucket, claims.entry.s3_object) == chain.logs[-1]
    assert (claims.digest.s3_bucket, claims.digest.s3_object) == chain.digests[-1]
    assert (claims.digest.start, claims.digest.end) == (BEGIN + HOUR, BEGIN + 2 * HOUR)
    assert claims.digest.previous is not None
    assert (claims.digest.previous.s3_bucket, claims.digest.previous.s3_object) == chain.digests[0]
    assert claims.key_is_trusted


def test_a_log_file_of_one_record_needs_no_path():
    assert made(1, 0)["merklePath"] == []
    assert check(made(1, 0)).outcome is Outcome.PROVEN


def test_without_keys_to_trust_it_is_never_more_than_proven_by_its_own_key():
    result = check(made(), None)
    assert (result.outcome, result.verdict) == (Outcome.PROVEN_BY_ITS_OWN_KEY, Verdict.UNCHECKED)
    assert result.claims is not None
    assert not result.claims.key_is_trusted


def test_validity_of_the_trusted_key_counts_and_that_in_the_proof_does_not():
    document = made()
    document["publicKey"] |= {"ValidityStartTime": 1, "ValidityEndTime": 2}
    assert check(document).outcome is Outcome.PROVEN
    assert outcomes(document, None) == [Outcome.KEY_OUTSIDE_VALIDITY]


@pytest.mark.parametrize(
    ("start", "end", "fits"),
    [(None, None, True), (END, END, True), (END + 1, None, False), (None, END - 1, False), (None, END, True)],
)
def test_validity_includes_both_ends_and_may_be_unknown(start, end, fits):
    expected = [] if fits else [Outcome.KEY_OUTSIDE_VALIDITY]
    assert outcomes(made(), key_with(start, end)) == expected


# --- Not proven: the tree


def changed_record(document: dict[str, Any]) -> None:
    document["record"] = document["record"].replace("GetObject", "PutObject")


def spaced_record(document: dict[str, Any]) -> None:
    document["record"] = document["record"].replace(":", ": ", 1)


def other_index(document: dict[str, Any]) -> None:
    document["recordIndex"] = 2


def index_behind_the_end(document: dict[str, Any]) -> None:
    document["recordIndex"] = 7


def other_count(document: dict[str, Any]) -> None:
    document["recordCount"] = 8


def short_path(document: dict[str, Any]) -> None:
    document["merklePath"].pop()


def long_path(document: dict[str, Any]) -> None:
    document["merklePath"].append("0" * 64)


def swapped_path(document: dict[str, Any]) -> None:
    document["merklePath"].reverse()


@pytest.mark.parametrize(
    "change",
    [
        changed_record,
        spaced_record,
        other_index,
        index_behind_the_end,
        other_count,
        short_path,
        long_path,
        swapped_path,
    ],
)
def test_a_record_that_is_not_in_the_tree(change):
    document = made()
    change(document)
    assert outcomes(document) == [Outcome.NOT_IN_TREE]


def test_the_record_of_another_log_file_of_the_same_digest():
    chain = Chain()
    hour(chain, records := ids(chain, 5, "one"), ids(chain, 5, "two"))
    document = made_proof(chain, chain.digests[-1], chain.logs[0], records, 2)
    assert check(document).outcome is Outcome.PROVEN
    document["logFile"]["s3Object"] = chain.logs[1][1]
    assert outcomes(document) == [Outcome.NOT_IN_TREE]


@pytest.mark.parametrize("part", ["s3Bucket", "s3Object"])
def test_a_log_file_that_the_digest_does_not_name(part):
    document = made()
    document["logFile"][part] = document["logFile"][part].replace("a", "b")
    assert outcomes(document)[0] is Outcome.NOT_LISTED


def test_a_digest_that_names_the_log_file_twice_is_believed_in_neither():
    chain = Chain()
    entry = log_file(chain, records := ids(chain, 4), chain.now)
    chain.hour(0, logFiles=[entry, entry | {"recordsMerkleRoot": root(records[::-1]).hex()}])
    assert outcomes(proof_of(chain, records)) == [Outcome.NOT_LISTED]


@pytest.mark.parametrize("missing", ["recordsMerkleRoot", "recordCount"])
def test_a_digest_without_roots_such_as_those_of_aws(missing):
    chain = Chain()
    entry = log_file(chain, records := ids(chain, 4), chain.now)
    del entry[missing]
    chain.hour(0, logFiles=[entry])
    assert outcomes(proof_of(chain, records)) == [Outcome.NO_ROOT]


def test_inner_nodes_of_the_tree_are_no_records():
    """Without the prefixes of RFC 9162 a node could be passed off as a record."""
    chain = Chain()
    hour(chain, records := ids(chain, 2))
    document = proof_of(chain, records, 0)
    node = base64.b16encode(root(records[:1]) + root(records[1:])).decode()
    document |= {"record": json.dumps({"eventID": node}), "recordIndex": 0, "recordCount": 1, "merklePath": []}
    assert outcomes(document) == [Outcome.NOT_IN_TREE]


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

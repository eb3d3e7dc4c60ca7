from __future__ import annotations

import json
from typing import Any

import pytest

from opentrail_validator.proof import FACTS, NOT_PROVEN, Outcome
from opentrail_validator.proof_report import proof_keys, proof_report
from opentrail_validator.readers.port import PublicKey
from tests.evidence_maker.in_memory import BEGIN, pinned
from tests.evidence_maker.maker import HOUR, Chain, iso, listed_key, private_key
from tests.evidence_maker.proofs import hour, ids, made_proof, record

KEYS = pinned(listed_key(private_key(0))).between(0, 0)
ORIGIN = "pinned in keys.json"


@pytest.fixture
def chain() -> Chain:
    made = Chain()
    hour(made)
    hour(made, ids(made, 7))
    return made


def proof_of(chain: Chain, index: int = 3, **changes: Any) -> bytes:
    records = ids(Chain(now=BEGIN + HOUR), 7)
    return json.dumps(made_proof(chain, chain.digests[1], chain.logs[0], records, index) | changes).encode()


def test_what_is_proven_and_what_is_not(chain):
    text, code = proof_report(proof_of(chain), KEYS, ORIGIN)
    assert code == 0
    previous = json.loads(proof_report(proof_of(chain), KEYS, ORIGIN, "json")[0])["previousDigest"]
    digest_hash = json.loads(proof_report(proof_of(chain), KEYS, ORIGIN, "json")[0])["digest"]["hashValue"]
    (name,) = KEYS
    validity = f"valid from {iso(KEYS[name].valid_from)} to {iso(KEYS[name].valid_until)}"
    assert text.splitlines() == [
        "Proof of event e-3: valid",
        "",
        "What is proven:",
        f"  The event       e-3, {iso(BEGIN + 3)}, s3.amazonaws.com, GetObject",
        f"  was record      4 of 7, {len(ids(Chain(), 7)[3])} bytes",
        f"  in the log file s3://{'/'.join(chain.logs[0])}",
        "  of              account 111122223333 in eu-west-1",
        f"  in the digest   s3://{'/'.join(chain.digests[1])}",
        f"  of the time     {iso(BEGIN + HOUR)} to {iso(BEGIN + 2 * HOUR)}",
        f"  with SHA-256    {digest_hash}",
        f"  signed by key   {name} ({ORIGIN}), {validity}",
        f"  after           s3://{'/'.join(chain.digests[0])}",
        f"  with SHA-256    {previous['hashValue']}",
        f"  and signature   {chain.objects[chain.digests[0]].metadata['signature']}",
        "",
        "What is not proven:",
        f"  {NOT_PROVEN[0]}",
        f"  {NOT_PROVEN[1]}",
        f"  {NOT_PROVEN[2]}",
    ]


def test_a_starting_digest_follows_none():
    made = Chain()
    hour(made, records := ids(made, 2))
    data = json.dumps(made_proof(made, made.digests[0], made.logs[0], records, 1)).encode()
    text, code = proof_report(data, KEYS, ORIGIN)
    assert code == 0
    assert "  after           no digest: it is a starting one" in text.splitlines()


def test_a_proof_that_is_wrong(chain):
    text, code = proof_report(proof_of(chain, recordIndex=2), KEYS, ORIGIN)
    assert code == 1
    assert text.splitlines()[:5] == [
        "Proof of event e-3: INVALID",
        f"  not-in-tree: {FACTS[Outcome.NOT_IN_TREE].meaning} (the way up leads to another root)",
        "",
        "What it claims, and does not prove:",
        f"  The event       e-3, {iso(BEGIN + 3)}, s3.amazonaws.com, GetObject",
    ]
    assert "What is not proven:" not in text


def test_the_key_in_the_proof_proves_nothing(chain):
    text, code = proof_report(proof_of(chain), None, "")
    assert code == 3
    assert text.startswith("Proof of event e-3: could not be checked: everything fits, but the public key comes from")
    assert "(found in the proof itself)" in text
    assert "What is proven:" not in text


def test_a_key_that_is_not_pinned(chain):
    text, code = proof_report(proof_of(chain), {}, ORIGIN)
    assert code == 1
    assert "unknown-key" in text
    assert ORIGIN not in text


@pytest.mark.parametrize(("data", "code"), [(b"", 1), (b"{}", 1), (b'{"proofVersion":9}', 3)])
@pytest.mark.parametrize("output", ["text", "json"])
def test_files_that_cannot_be_read(data, code, output):
    text, given = proof_report(data, KEYS, ORIGIN, output)
    assert given == code
    if output == "json":
        assert json.loads(text)["exitCode"] == code
    else:
        assert text.startswith("Proof of an event: ")


def test_for_programs(chain):
    text, code = proof_report(proof_of(chain), KEYS, ORIGIN, "json")
    document = json.loads(text)
    assert code == document["exitCode"] == 0
    assert (document["outcome"], document["verdict"], document["faults"]) == ("proven", "valid", [])
    assert document["keyOrigin"] == ORIGIN
    assert json.loads(document["record"])["eventID"] == "e-3"
    assert (document["recordIndex"], document["recordCount"]) == (3, 7)
    assert (document["logFile"]["s3Bucket"], document["logFile"]["s3Object"]) == chain.logs[0]
    assert (document["digest"]["s3Bucket"], document["digest"]["s3Object"]) == chain.digests[1]
    assert document["digest"]["signature"] == chain.objects[chain.digests[1]].metadata["signature"]
    assert document["previousDigest"]["s3Object"] == chain.digests[0][1]
    assert document["publicKey"]["Fingerprint"] in KEYS
    assert document["notProven"]


def test_faults_for_programs(chain):
    document = json.loads(proof_report(proof_of(chain, digestSignature="00"), KEYS, ORIGIN, "json")[0])
    assert (document["outcome"], document["verdict"], document["exitCode"]) == ("bad-signature", "invalid", 1)
    assert [fault["outcome"] for fault in document["faults"]] == ["bad-signature"]


def test_a_terminal_is_told_nothing_by_what_a_record_says():
    made = Chain()
    evil = "\x1b[2J\r\nProof of event x: valid\u202e\u0007"
    hour(made, records := [record(evil, BEGIN, eventName=["\x1b[31m", {"\x00": None}])])
    data = json.dumps(made_proof(made, made.digests[0], made.logs[0], records, 0)).encode()
    text, code = proof_report(data, KEYS, ORIGIN)
    assert code == 0
    assert all(letter.isprintable() or letter == "\n" for letter in text)
    assert text.splitlines()[0] == ("Proof of event \\x1b[2J\\r\\nProof of event x: valid\\u202e\\x07: valid")


def test_a_key_whose_validity_has_no_date(chain):
    keys = {name: PublicKey(key.der, 0, 1 << 45) for name, key in KEYS.items()}
    text, code = proof_report(proof_of(chain), keys, ORIGIN)
    assert code == 0
    assert f"valid from 1970-01-01T00:00:00Z to {1 << 45} s since the epoch" in text


class Asked:
    def __init__(self) -> None:
        self.times: list[tuple[int, int]] = []

    def between(self, start: int, end: int) -> Any:
        self.times.append((start, end))
        return KEYS

    def origin(self) -> str:
        return "an API"


def test_the_api_is_asked_for_the_keys_of_the_digests_end(chain):
    source = Asked()
    assert proof_keys(proof_of(chain), source) == KEYS
    assert source.times == [(BEGIN + 2 * HOUR, BEGIN + 4 * HOUR)]


def test_no_api_is_asked_about_what_is_no_proof():
    source = Asked()
    assert proof_keys(b"{}", source) == {}
    assert source.times == []

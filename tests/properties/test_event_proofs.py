"""Proofs of events, for all inputs: every record can be proven, and nothing but the record that was signed."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opentrail_validator import Sources
from opentrail_validator.findings import Verdict
from opentrail_validator.proof import Outcome, check_proof
from opentrail_validator.proof_file import MalformedProof, Proof, parse_proof
from opentrail_validator.prove import prove
from opentrail_validator.readers.port import Place, PublicKey
from tests.evidence_maker.in_memory import InMemory, pinned, question_of
from tests.evidence_maker.maker import Chain, listed_key, private_key
from tests.evidence_maker.proofs import hour, ids, made_proof, record

SOURCE = pinned(listed_key(private_key(0)))
KEYS = SOURCE.between(0, 0)


def outcome(document: Any, keys: Any = KEYS) -> Outcome:
    return check_proof(json.dumps(document).encode(), keys).outcome


# --- Every record of a log file can be proven


@pytest.mark.parametrize("count", range(1, 71))
def test_every_record_of_a_log_file_of_every_size(count):
    chain = Chain()
    hour(chain, records := ids(chain, count))
    sources, question = Sources(objects=InMemory(chain.objects), public_keys=SOURCE), question_of(chain)
    for index, wanted in enumerate(records):
        data = prove(f"e-{index}", question, sources)
        assert json.loads(data) == made_proof(chain, chain.digests[0], chain.logs[0], records, index)
        result = check_proof(data, KEYS)
        assert result.outcome is Outcome.PROVEN
        assert result.proof is not None
        assert result.proof.record == wanted


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(event_id=texts, more=st.dictionaries(texts, values, max_size=4), escaped=st.booleans(), index=st.integers(0, 4))
def test_a_record_of_any_content_and_id(event_id, more, escaped, index):
    chain = Chain()
    fields = json.loads(record(event_id, chain.now))
    wanted = json.dumps(more | fields, ensure_ascii=escaped).encode()
    records = ids(chain, 4, "other")
    records.insert(index, wanted)
    hour(chain, records)
    data = prove(event_id, question_of(chain), Sources(objects=InMemory(chain.objects), public_keys=SOURCE))
    proof = parse_proof(data)
    assert (proof.record, proof.index) == (wanted, index)


# --- Nothing else can


def made() -> dict[str, Any]:
    chain = Chain()
    hour(chain)
    hour(chain, ids(chain, 5, "before"), records := ids(chain, 21))
    return made_proof(chain, chain.digests[-1], chain.logs[-1], records, 13)


PROOF = made()
FILE = json.dumps(PROOF, indent=2).encode()
DIGEST = gzip.decompress(base64.b64decode(PROOF["digest"]))
PLACES = [
    ("record",),
    ("logFile", "s3Bucket"),
    ("logFile", "s3Object"),
    ("digestSignature",),
    ("publicKey", "Fingerprint"),
    ("publicKey", "Value"),
    *(("merklePath", step) for step in range(len(PROOF["merklePath"]))),
]


def at(document: Any, place: tuple[Any, ...]) -> Any:
    for part in place:
        document = document[part]
    return document


def test_the_proof_that_the_others_change_is_proven():
    assert outcome(PROOF) is Outcome.PROVEN


def every_flip_of_the_digest() -> Iterator[dict[str, Any]]:
    for position in range(len(DIGEST)):
        data = bytearray(DIGEST)
        data[position] ^= 1 << (position % 8)
        yield PROOF | {"digest": base64.b64encode(gzip.compress(bytes(data))).decode()}


def test_a_flipped_bit_in_any_byte_of_the_digest():
    for document in every_flip_of_the_digest():
        assert outcome(document) is not Outcome.PROVEN


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_any_letter_of_any_text(place):
    text = at(PROOF, place)
    for position, letter in enumerate(text):
        document = copy.deepcopy(PROOF)
        other = "0" if letter != "0" else "1"
        at(document, place[:-1])[place[-1]] = text[:position] + other + text[position + 1 :]
        assert outcome(document) is not Outcome.PROVEN, (place, position)


@given(name=st.sampled_from(["recordIndex", "recordCount", "proofVersion"]), number=st.integers(-3, 1 << 70))
def test_any_other_number(name, number):
    if number != PROOF[name]:
        assert outcome(PROOF | {name: number}) is not Outcome.PROVEN


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
@example(position=0, mask=1)
def test_any_changed_byte_of_the_file_proves_nothing_else(position, mask):
    """Either it is not proven, or the byte is no content: white space, a gzip header's time, a validity."""
    data = bytearray(FILE)
    data[position] ^= mask
    if check_proof(bytes(data), KEYS).outcome is Outcome.PROVEN:
        assert content(bytes(data)) == content(FILE)


@given(st.data())
def test_a_piece_that_is_cut_out_or_doubled(data):
    start = data.draw(st.integers(0, len(FILE) - 1))
    end = data.draw(st.integers(start + 1, len(FILE)))
    for spoilt in (FILE[:start] + FILE[end:], FILE[:end] + FILE[start:], FILE[:start]):
        if check_proof(spoilt, KEYS).outcome is Outcome.PROVEN:
            assert content(spoilt) == content(FILE)


def content(data: bytes) -> tuple[Any, ...]:
    """All that a proof says, but for the validity of a key, which is believed of a pinned one only."""
    proof = parse_proof(data)
    digest = gzip.decompress(proof.digest_file)
    key = proof.public_key.der
    return proof.record, proof.log_file, proof.index, proof.count, proof.path, digest, proof.signature, key


@given(st.permutations(range(21)), st.integers(0, 20))
def test_no_other_record_of_the_log_file_in_its_place(order, index):
    records = ids(Chain(now=Chain().hours(1).now), 21)
    document = PROOF | {"record": records[order[index]].decode()}
    assert (outcome(document) is Outcome.PROVEN) == (order[index] == 13)


# --- Parsers raise what they declare, and nothing else


@given(st.binary(max_size=400))
def test_arbitrary_bytes(data):
    with pytest.raises(MalformedProof):
        parse_proof(data)
    assert check_proof(data, KEYS).verdict in {Verdict.INVALID, Verdict.UNCHECKED}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(PROOF)), json_values, max_size=9), st.booleans())
def test_arbitrary_values_in_the_fields(values, complete):
    document = (PROOF if complete else {}) | values
    result = check_proof(json.dumps(document).encode("utf-8", "surrogatepass"), KEYS)
    assert result.outcome is not Outcome.PROVEN or document == PROOF


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_digests(data, compressed):
    body = gzip.compress(data) if compressed else data or b"\0"
    document = PROOF | {"digest": base64.b64encode(body).decode()}
    assert outcome(document) is Outcome.MALFORMED_DIGEST


@given(
    record_fields=st.dictionaries(texts, values, max_size=3),
    place=st.builds(Place, texts, texts),
    index=st.integers(0, 1 << 62),
    count=st.integers(0, 1 << 62),
    path=st.lists(st.binary(min_size=32, max_size=32), max_size=64),
    digest=st.binary(min_size=1, max_size=50),
    signature=st.binary(min_size=1, max_size=50),
    key=st.builds(
        PublicKey,
        st.binary(min_size=1, max_size=50),
        st.none() | st.integers(0, 1 << 39),
        st.none() | st.integers(0, 1 << 39),
    ),
)
def test_what_is_written_is_read_again(record_fields, place, index, count, path, digest, signature, key):
    proof = Proof(
        record=json.dumps(record_fields, ensure_ascii=False).encode(),
        log_file=place,
        index=index,
        count=count,
        path=tuple(path),
        digest_file=digest,
        signature=signature.hex(),
        public_key=key,
    )
    assert parse_proof(proof.to_bytes()) == proof

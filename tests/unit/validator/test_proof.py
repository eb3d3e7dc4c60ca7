from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from opentrail_validator.findings import Verdict
from opentrail_validator.proof import Outcome
from tests.evidence_maker.in_memory import BEGIN
from tests.evidence_maker.maker import HOUR, Chain
from tests.evidence_maker.proofs import hour, ids, log_file, made_proof, root
from tests.unit.validator.proof_samples import END, check, key_with, made, outcomes, proof_of

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

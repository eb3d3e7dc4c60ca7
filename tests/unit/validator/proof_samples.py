"""Proofs of records of made log files, and checks of them."""

from __future__ import annotations

import json
from typing import Any

from opentrail_validator.proof import Outcome, ProofResult, check_proof
from opentrail_validator.readers.port import PublicKey
from tests.evidence_maker.in_memory import BEGIN, pinned
from tests.evidence_maker.maker import HOUR, Chain, listed_key, private_key
from tests.evidence_maker.proofs import hour, ids, made_proof

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

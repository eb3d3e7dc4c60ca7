"""Signed heads: each is true of a digest that lies in its bucket, and each chain has one of its newest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from opentrail.evidence.chain_head import ChainHead, head_key, parse_head
from opentrail.evidence.signature import BadSignature
from tests.simulation.evidence import Buckets
from tests.simulation.fake_keys import verify
from tests.simulation.workers import HEADS_BUCKET

if TYPE_CHECKING:
    from tests.simulation.world import World


def check_heads(world: World, buckets: Buckets) -> Iterator[str]:
    """What is wrong with the heads in the ledger and in the second place."""
    newest: dict[str, int] = {}
    there: set[tuple[str, int]] = set()
    for kept in world.state.chains.heads():
        head = parse_head(kept.document)
        newest[head.chain_id] = head.sequence
        yield from _defects(world, buckets, head)
        if (head.chain_id, head.sequence) != (kept.chain_id, kept.sequence):
            yield f"chain {kept.chain_id} keeps the head of digest {head.sequence} as that of digest {kept.sequence}"
    for info in world.store.list(HEADS_BUCKET):
        head = parse_head(world.store.get(HEADS_BUCKET, info.key).body)
        yield from _defects(world, buckets, head)
        there.add((head.chain_id, head.sequence))
        found = buckets.digests.get((head.digest_bucket, head.digest_key))
        if found is not None:
            name = f"heads/{head_key(found.key)}"
            if info.key not in {name, f"{name.removesuffix('.json')}_{head.chain_id[:8]}.json"}:
                yield f"the head of {head.digest_key} lies at {info.key}"
        if head.sequence > newest.get(head.chain_id, 0) and not world.restored:
            yield f"the second place has a newer head of chain {head.chain_id} than the ledger"
    for chain_id, row in world.state.tables.chains.items():
        if newest.get(chain_id, 0) != row.published_sequence and not world.restored:
            yield f"chain {chain_id} has no head of its newest digest {row.published_sequence}"
        if row.signed_head_put and (chain_id, row.signed_head_put) not in there:
            yield f"the second place does not have the head of digest {row.signed_head_put} of chain {chain_id}"


def _defects(world: World, buckets: Buckets, head: ChainHead) -> Iterator[str]:
    found = buckets.digests.get((head.digest_bucket, head.digest_key))
    if found is None:
        yield f"a head says that {head.digest_key} was put, and it is not there"
        return
    if (hashlib.sha256(found.body).hexdigest(), found.signature) != (head.digest_hash, head.digest_signature):
        yield f"the head of {head.digest_key} is of another digest"
    digest = found.digest
    if (digest.start, digest.end, digest.fingerprint) != (head.start, head.end, head.fingerprint):
        yield f"the head of {head.digest_key} says other times or another key than the digest"
    known = [*world.keys_before, *world.state.tables.keys]
    for key in known:
        if key.fingerprint == head.fingerprint:
            try:
                verify(key.der, head.signature, head.message())
            except BadSignature:
                yield f"the head of {head.digest_key}: signature verification failed"
            return
    yield f"the head of {head.digest_key}: its key is not known"

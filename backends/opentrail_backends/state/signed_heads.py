"""The signed heads of chains: which are missing (step 10), and which the second place does not have yet (step 11)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, LargeBinary, Select, and_, bindparam, literal, select, update

from opentrail_backends.state import tables
from opentrail_backends.state.port import BuiltDigest, KeptHead

_chain = tables.chain
_digest = tables.digest

_FORGOTTEN = literal(b"", LargeBinary()).label("body")
_DIGEST_COLUMNS = [_FORGOTTEN if field.name == "body" else _digest.c[field.name] for field in fields(BuiltDigest)]

_OF_CHAIN = {
    "sequence": _chain.c.signed_head_sequence.label("sequence"),
    "document": _chain.c.signed_head.label("document"),
    "account_id": _chain.c.account_id,
    "region": _chain.c.region,
}
_HEAD_COLUMNS = [
    _OF_CHAIN[field.name] if field.name in _OF_CHAIN else _digest.c[field.name] for field in fields(KeptHead)
]


def unsigned(limit: int, after: str) -> Select[Any]:
    """The newest published digest of each chain that keeps no head of it: the index `chain_unsigned` has just these."""
    return (
        select(*_DIGEST_COLUMNS)
        .select_from(_chain)
        .join(_digest, and_(_digest.c.chain_id == _chain.c.id, _digest.c.sequence == _chain.c.published_sequence))
        .where(_chain.c.published_sequence > _chain.c.signed_head_sequence, _chain.c.id > after)
        .order_by(_chain.c.id)
        .limit(limit)
    )


def keep(connection: Connection, chain_id: str, sequence: int, head: bytes) -> None:
    """The head of a published digest, unless one of it or of a newer one is kept."""
    connection.execute(
        update(_chain)
        .where(
            _chain.c.id == chain_id,
            _chain.c.published_sequence >= sequence,
            _chain.c.signed_head_sequence < sequence,
        )
        .values(signed_head=head, signed_head_sequence=sequence)
    )


def to_put(limit: int, after: str) -> Select[Any]:
    """Heads that the second place does not have: the index `chain_head_to_put` has just these."""
    waiting = (_chain.c.signed_head_sequence > _chain.c.signed_head_put, _chain.c.id > after)
    return _heads().where(*waiting).order_by(_chain.c.id).limit(limit)


def mark_put(connection: Connection, heads: Collection[tuple[str, int]]) -> None:
    """The second place has them. In one order, so that two processes do not wait for each other in a circle."""
    put = (
        update(_chain)
        .where(_chain.c.id == bindparam("of_chain"), _chain.c.signed_head_put < bindparam("of_sequence"))
        .values(signed_head_put=bindparam("of_sequence"))
    )
    connection.execute(put, [{"of_chain": chain_id, "of_sequence": sequence} for chain_id, sequence in sorted(heads)])


def all_heads() -> Select[Any]:
    """Every chain's head. A chain's newest published digest is never forgotten before the chain is."""
    return _heads().order_by(_digest.c.trail_arn, _chain.c.account_id, _chain.c.region, _chain.c.id)


def _heads() -> Select[Any]:
    of_head = and_(_digest.c.chain_id == _chain.c.id, _digest.c.sequence == _chain.c.signed_head_sequence)
    return select(*_HEAD_COLUMNS).select_from(_chain).join(_digest, of_head)

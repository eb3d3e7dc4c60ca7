"""Digests that are taken back: their bucket refused them, and the chain has moved on to another one.

Only what no put can make appear any more: every put of it was answered by a refusal, in the ledger's own count.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from opentrail_backends.state import tables
from opentrail_backends.state.engine import in_chunks
from opentrail_backends.state.port import Target

_chain = tables.chain
_digest = tables.digest
_file = tables.file

_NO_HEAD: dict[str, str | None] = {
    "head_bucket": None,
    "head_key": None,
    "head_sha256": None,
    "head_signature": None,
}


def withdraw(connection: Connection, chain_id: str, left: Target | None) -> int:
    """From the newest digest back to the first that is published or may still appear; returns how many."""
    columns = (_chain.c.sequence, _chain.c.ended, _chain.c.bucket, _chain.c.key_prefix, _chain.c.organization_id)
    chain = connection.execute(select(*columns).where(_chain.c.id == chain_id).with_for_update()).first()
    if chain is None or (chain.bucket, chain.key_prefix or None, chain.organization_id) == left:
        return 0
    withdrawn = _withdrawable(connection, chain_id)
    if not withdrawn:
        return 0
    first = withdrawn[-1]
    _forget_in_files(connection, withdrawn)
    connection.execute(delete(_digest).where(_digest.c.chain_id == chain_id, _digest.c.sequence >= first.sequence))
    # A sequence is never used twice: who still holds the old head, or a withdrawn digest, can do nothing with it.
    head = _NO_HEAD if first.starting else _head_before(connection, chain_id)
    last = {"ending": True} if chain.ended else {}  # its last digest is taken back: it gets another one
    connection.execute(
        update(_chain)
        .where(_chain.c.id == chain_id)
        .values(sequence=chain.sequence + 1, last_end=first.start, digest_error=None, ended=False, **head, **last)
    )
    return len(withdrawn)


def _withdrawable(connection: Connection, chain_id: str) -> list[Row[Any]]:
    """The newest first. The rows are locked: who begins a put of one waits, and finds that it is gone."""
    other = _digest.alias("other")
    newest_published = (
        select(func.coalesce(func.max(other.c.sequence), 0))
        .where(other.c.chain_id == chain_id, other.c.published_at.is_not(None))
        .scalar_subquery()
    )
    columns = (_digest.c.sequence, _digest.c.start, _digest.c.files, _digest.c.starting, _digest.c.unanswered_puts)
    rows = connection.execute(
        select(*columns)
        .where(
            _digest.c.chain_id == chain_id,
            _digest.c.published_at.is_(None),
            _digest.c.sequence > newest_published,
        )
        .order_by(_digest.c.sequence)
        .with_for_update()
    ).all()
    return list(takewhile(lambda row: row.unanswered_puts == 0 and row.starting is not None, reversed(rows)))


def _forget_in_files(connection: Connection, withdrawn: Sequence[Row[Any]]) -> None:
    ids = sorted(file_id for row in withdrawn for file_id in row.files)
    for chunk in in_chunks(ids):
        connection.execute(update(_file).where(_file.c.id.in_(chunk)).values(digest=None))


def _head_before(connection: Connection, chain_id: str) -> dict[str, str]:
    """The newest digest that is left: a chain's newest published one is never forgotten."""
    row = connection.execute(
        select(_digest.c.bucket, _digest.c.object_key, _digest.c.sha256, _digest.c.signature)
        .where(_digest.c.chain_id == chain_id)
        .order_by(_digest.c.sequence.desc())
        .limit(1)
    ).one()
    return dict(zip(_NO_HEAD, row, strict=True))

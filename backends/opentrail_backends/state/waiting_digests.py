"""Digests that wait to be put: steps 9 and 10."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)

from opentrail_backends.state import tables
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import in_chunks
from opentrail_backends.state.places import HeadMoved, locked_places, use_stamp
from opentrail_backends.state.port import BuiltDigest, DigestFailure, StateError

_chain = tables.chain
_digest = tables.digest
MOVE_TO_END = text(
    "UPDATE digest SET rowid = (SELECT max(rowid) + 1 FROM digest) WHERE chain_id = :chain_id AND sequence = :sequence"
)
"""On SQLite: a row that has lost its bytes goes on holding the page that they took, until it moves to another one."""

_COLUMNS = [_digest.c[field.name] for field in fields(BuiltDigest)]


def unpublished(
    limit: int, without_buckets: Collection[str], without_trails: Collection[tuple[str, str]]
) -> Select[Any]:
    """All chains' first waiting digests before any chain's second one, without what is held up."""
    of_chain, in_order = _digest.c.chain_id, _digest.c.sequence
    held_up = func.max(case((_is_left_out(without_buckets, without_trails), 1), else_=0))
    waiting = (
        select(
            _digest.c.chain_id,
            _digest.c.sequence,
            func.row_number().over(partition_by=of_chain, order_by=in_order).label("turn"),
            held_up.over(partition_by=of_chain, order_by=in_order).label("held_up"),  # one of those up to here
        )
        .where(_digest.c.published_at.is_(None))
        .subquery()
    )
    in_turn = (
        select(waiting.c.chain_id, waiting.c.sequence, waiting.c.turn, _digest.c.end)
        .join(_digest, _is(waiting))
        .where(waiting.c.held_up == 0)
        .order_by(waiting.c.turn, _digest.c.end, waiting.c.chain_id)
        .limit(limit)
        .subquery()
    )  # the bytes of these alone are read
    return select(*_COLUMNS).join(in_turn, _is(in_turn)).order_by(in_turn.c.turn, in_turn.c.end, in_turn.c.chain_id)


def begin_puts(connection: Connection, digests: Collection[tuple[str, int]]) -> list[BuiltDigest]:
    """Counts a put of each; returns those that still wait, as they are now."""
    begun: list[BuiltDigest] = []
    for chunk in in_chunks(sorted(set(digests))):
        these = and_(tuple_(_digest.c.chain_id, _digest.c.sequence).in_(chunk), _digest.c.published_at.is_(None))
        # Locked in one order, so that two processes do not wait for each other in a circle.
        locked = select(*_COLUMNS).where(these).order_by(_digest.c.chain_id, _digest.c.sequence).with_for_update()
        begun += [BuiltDigest(**row) for row in connection.execute(locked).mappings()]
        connection.execute(update(_digest).where(these).values(unanswered_puts=_digest.c.unanswered_puts + 1))
    return begun


def fail_puts(connection: Connection, failures: Iterable[DigestFailure]) -> None:
    """Takes back the count of each put that was answered, and notes why it failed."""
    values = [
        {
            "of_chain": failure.chain_id,
            "of_sequence": failure.sequence,
            "noted": failure.error,
            "answered": int(failure.is_answered),
        }
        for failure in sorted(failures)
    ]
    if values:
        waits = (
            _digest.c.chain_id == bindparam("of_chain"),
            _digest.c.sequence == bindparam("of_sequence"),
            _digest.c.published_at.is_(None),
        )
        noted = update(_chain).where(
            _chain.c.id == bindparam("of_chain"), select(_digest.c.sequence).where(*waits).exists()
        )
        connection.execute(noted.values(digest_error=bindparam("noted")), values)
        left = _digest.c.unanswered_puts - bindparam("answered")
        connection.execute(
            update(_digest).where(*waits).values(unanswered_puts=case((left > 0, left), else_=0)), values
        )


def mark_published(
    connection: Connection,
    clock: StoreClock,
    chain_id: str,
    sequence: int,
    signature: str | None,
    signed_head: bytes | None,
) -> None:
    """The digest's bytes are forgotten, the chain keeps its signed head. Raises StateError."""
    # Chain and digest are locked, in this order, before the clock, which all others need too.
    both = (
        select(_digest.c.published_at, _digest.c.signature, _chain.c.published_sequence, _chain.c.signed_head_sequence)
        .select_from(_chain)
        .join(_digest, _chain.c.id == _digest.c.chain_id)
    )
    row = connection.execute(both.where(_this(chain_id, sequence)).with_for_update()).first()
    if row is None:
        raise StateError(f"Chain {chain_id} has no digest {sequence}.")
    if row.published_at is not None or signature not in {None, row.signature}:
        return
    now = clock.record(connection)
    connection.execute(update(_digest).where(_this(chain_id, sequence)).values(published_at=now, body=None, files=None))
    published: dict[str, Any] = {"digest_published_at": now, "digest_error": None}
    published["published_sequence"] = max(sequence, row.published_sequence)
    if signed_head is not None and sequence > row.signed_head_sequence:
        published |= {"signed_head": signed_head, "signed_head_sequence": sequence}
    connection.execute(update(_chain).where(_chain.c.id == chain_id).values(published))
    if connection.dialect.name == "sqlite":
        connection.execute(MOVE_TO_END, {"chain_id": chain_id, "sequence": sequence})


def replace_waiting(connection: Connection, waiting: Sequence[BuiltDigest], restamped: Sequence[BuiltDigest]) -> None:
    """The chain's waiting digests get later stamps. Raises HeadMoved if they are not what the chain has."""
    head, new_head = waiting[-1], restamped[-1]
    _use_stamps(
        connection, _places_of(connection, waiting), restamped
    )  # before the chain: everybody locks in this order
    this_head = and_(
        _chain.c.id == head.chain_id, _chain.c.sequence == head.sequence, _chain.c.head_signature == head.signature
    )
    moved = connection.execute(
        update(_chain).where(this_head).values(last_end=new_head.end, **head_of(new_head))
    ).rowcount
    if moved != 1:
        raise HeadMoved
    for old, new in zip(waiting, restamped, strict=True):
        _replace_digest(connection, old, new)


def _places_of(connection: Connection, waiting: Sequence[BuiltDigest]) -> list[str]:
    """Where each of them lies: not where the chain's next one will, if the trail has moved."""
    first, last = waiting[0], waiting[-1]
    query = (
        select(func.coalesce(_digest.c.place, _chain.c.place))
        .join(_chain, _chain.c.id == _digest.c.chain_id)
        .where(_digest.c.chain_id == first.chain_id, _digest.c.sequence.between(first.sequence, last.sequence))
        .order_by(_digest.c.sequence)
    )
    places = list(connection.execute(query).scalars())
    if len(places) != len(waiting):
        raise HeadMoved
    return places


def _use_stamps(connection: Connection, places: Sequence[str], restamped: Sequence[BuiltDigest]) -> None:
    """In each place above all stamps that were used there: another chain may have used one between theirs."""
    stamps = locked_places(connection, set(places))
    for place, last_stamp in stamps.items():
        ends = [digest.end for digest, of in zip(restamped, places, strict=True) if of == place]
        if min(ends) <= last_stamp:
            raise HeadMoved
        use_stamp(connection, place, max(ends))


def head_of(digest: BuiltDigest) -> dict[str, str]:
    """What a chain's row keeps of its newest digest."""
    return {
        "head_bucket": digest.bucket,
        "head_key": digest.object_key,
        "head_sha256": digest.sha256,
        "head_signature": digest.signature,
    }


def _replace_digest(connection: Connection, old: BuiltDigest, new: BuiltDigest) -> None:
    """The row of a digest that is not published gets other bytes. Raises HeadMoved if it is not that one."""
    replaced = connection.execute(
        update(_digest)
        .where(
            _this(old.chain_id, old.sequence),
            _digest.c.signature == old.signature,
            _digest.c.published_at.is_(None),
        )
        .values(**asdict(new))
    ).rowcount
    if replaced != 1:
        raise HeadMoved


def _is_left_out(buckets: Collection[str], trails: Collection[tuple[str, str]]) -> Any:
    conditions = [_digest.c.bucket.in_(sorted(buckets))]
    if trails:
        conditions.append(tuple_(_digest.c.bucket, _digest.c.trail_arn).in_(sorted(trails)))
    return or_(*conditions)


def _is(other: FromClause) -> ColumnElement[bool]:
    return and_(_digest.c.chain_id == other.c.chain_id, _digest.c.sequence == other.c.sequence)


def _this(chain_id: str, sequence: int) -> Any:
    return and_(_digest.c.chain_id == chain_id, _digest.c.sequence == sequence)

"""Which chains there are and what they wait for: the queries of step 7."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import Select, and_, case, func, or_, select

from opentrail_backends.state import tables
from opentrail_backends.state.port import Chain, DeliveredFile

_chain = tables.chain
_place = tables.place
_file = tables.file
_digest = tables.digest

IDENTITY = ["incarnation", "logging_session", "account_id", "region"]
_LINE = (_chain.c.incarnation, _chain.c.account_id, _chain.c.region)  # has one chain per logging session

_NEXT_END = case(
    (and_(_chain.c.next_end > _place.c.last_stamp, _chain.c.next_end > _chain.c.last_end), _chain.c.next_end),
    (_place.c.last_stamp > _chain.c.last_end, _place.c.last_stamp + 1),
    else_=_chain.c.last_end + 1,
)
"""When a digest is due: above every stamp of the place, also those that another chain used since, and above the head's
end, which a restamp in the place that the chain has left may have raised."""

_CHAIN_COLUMNS = [
    _NEXT_END.label("next_end") if field.name == "next_end" else _chain.c[field.name] for field in fields(Chain)
]


def due_chains(now_seconds: int, limit: int, most_waiting: int) -> Select[Any]:
    """Chains that a digest is due for, and those that get their last one; the longest due first."""
    above = and_(_place.c.last_stamp < now_seconds, _chain.c.last_end < now_seconds)
    is_due = or_(_chain.c.ending, and_(_chain.c.next_end <= now_seconds, above))
    full = (
        select(_digest.c.chain_id)
        .where(_digest.c.published_at.is_(None))
        .group_by(_digest.c.chain_id)
        .having(func.count() >= most_waiting)
    )
    return (
        _chains()
        .where(_chain.c.ended.is_(False), is_due, _chain.c.id.not_in(full))
        .order_by(_NEXT_END, _chain.c.id)
        .limit(limit)
    )


def all_chains() -> Select[Any]:
    """Every chain that has not ended, and of the others the newest session of each line."""
    newer = tables.chain.alias("newer")
    newer_session = select(newer.c.id).where(
        *(newer.c[column.name] == column for column in _LINE),
        newer.c.logging_session > _chain.c.logging_session,
    )
    chosen = _chains().where(or_(_chain.c.ended.is_(False), ~newer_session.exists()))
    return chosen.order_by(*_LINE, _chain.c.logging_session)


def undigested_files(chain: Chain, before_seconds: int) -> Select[Any]:
    """The query of step 7; the partial index `file_undigested` answers it however many files are digested."""
    columns = (_file.c[field.name] for field in fields(DeliveredFile))
    return (
        select(*columns)
        .where(of_chain(chain), _file.c.digest.is_(None), _file.c.delivered_at < before_seconds * 1000)
        .order_by(_file.c.delivered_at, _file.c.object_key)
    )


def orphans(limit: int) -> Select[Any]:
    """Delivered files that no running chain will name: of each session the oldest one, the longest waiting first.

    The sessions come out of `file_undigested` alone, which holds only what a digest is yet to name.
    """
    oldest = (
        select(*(_file.c[name] for name in IDENTITY), func.min(_file.c.delivered_at).label("delivered_at"))
        .where(_file.c.digest.is_(None), _file.c.delivered_at.is_not(None))
        .group_by(*(_file.c[name] for name in IDENTITY))
        .subquery("oldest")
    )
    runs = select(_chain.c.id).where(
        *(_chain.c[name] == oldest.c[name] for name in IDENTITY), _chain.c.ended.is_(False)
    )
    waiting = (
        select(oldest).where(~runs.exists()).order_by(oldest.c.delivered_at, *(oldest.c[name] for name in IDENTITY))
    )
    session = waiting.limit(limit).subquery("session")
    other = tables.file.alias("other")
    first = (
        select(other.c.id)
        .where(*(other.c[name] == session.c[name] for name in (*IDENTITY, "delivered_at")), other.c.digest.is_(None))
        .order_by(other.c.object_key, other.c.id)
        .limit(1)
        .scalar_subquery()
    )
    of_file = (_file.c.bucket, _file.c.object_key, _file.c.trail_arn)
    return (
        select(*session.c, *of_file)
        .select_from(session)
        .join(_file, _file.c.id == first)
        .order_by(session.c.delivered_at, *(session.c[name] for name in IDENTITY))
    )


def of_chain(chain: Chain) -> Any:
    """The condition that a file belongs to a chain."""
    return and_(*(_file.c[name] == getattr(chain, name) for name in IDENTITY))


def _chains() -> Select[Any]:
    return select(*_CHAIN_COLUMNS).join(_place, _place.c.place == _chain.c.place)

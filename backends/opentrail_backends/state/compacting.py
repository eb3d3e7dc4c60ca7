"""Changes of the configuration that nothing can ask for any more.

What is left gives the same configuration at each time from the horizon on, and at each revision that an open intent
names: each entity's newest change up to the horizon, the horizon's own, and all after it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, and_, func, or_, select

from opentrail_backends.state import tables

_change = tables.configuration_change
_intent = tables.intent


def superseded_changes(connection: Connection, before_ms: int, limit: int) -> Sequence[int]:
    """Revisions of changes that no time from `before_ms` on needs, at most `limit`; rising."""
    horizon = _horizon(connection, before_ms)
    newest = (
        select(_change.c.kind, _change.c.entity_id, func.max(_change.c.revision).label("revision"))
        .where(_change.c.revision <= horizon)
        .group_by(_change.c.kind, _change.c.entity_id)
        .subquery()
    )
    query = (
        select(_change.c.revision)
        .join(newest, and_(newest.c.kind == _change.c.kind, newest.c.entity_id == _change.c.entity_id))
        .where(
            _change.c.revision < horizon,  # the horizon's own row tells that its revision is known
            or_(_change.c.revision < newest.c.revision, _change.c.body.is_(None)),
        )
        .order_by(_change.c.revision)
        .limit(limit)
    )
    return connection.execute(query).scalars().all()


def _horizon(connection: Connection, before_ms: int) -> int:
    """The revision in force then, or a lower one that an open intent names."""
    in_force = select(func.max(_change.c.revision)).where(_change.c.effective_at <= before_ms)
    named = [
        revision
        for body in connection.execute(select(_intent.c.body).where(_intent.c.closed.is_(False))).scalars()
        for _, revision in body.get("revisions", ())
    ]
    newest: int = connection.execute(in_force).scalar_one() or 0
    return min(newest, *named) if named else newest

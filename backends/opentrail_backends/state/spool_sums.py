"""What lies in the spool, in sums: whose share is used up, and what an operator sees."""

from __future__ import annotations

from sqlalchemy import Connection, case, func, select

from opentrail_backends.state import tables
from opentrail_backends.state.parked_files import is_spooled
from opentrail_backends.state.port import FileState, ParkedOfTrail, SpoolUsage

_file = tables.file


def spool_usage(connection: Connection) -> SpoolUsage:
    """Bytes in the spool, from the index `file_spooled` alone."""
    used = func.sum(_file.c.parked_bytes)
    rows = connection.execute(select(_file.c.owner, used).where(is_spooled(_file)).group_by(_file.c.owner))
    by_owner = {owner: int(size) for owner, size in rows if size}
    return SpoolUsage(sum(by_owner.values()), by_owner)


def parked_by_trail(connection: Connection) -> list[ParkedOfTrail]:
    """Parked and expired files by trail and region."""
    newer = tables.file.alias("newer")
    newest_error = (
        select(newer.c.error)
        .where(
            newer.c.incarnation == _file.c.incarnation,
            newer.c.region == _file.c.region,
            newer.c.trail_arn == _file.c.trail_arn,
            newer.c.error.is_not(None),
            is_spooled(newer),
        )
        .order_by(newer.c.failing_since.desc(), newer.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    trail = (_file.c.incarnation, _file.c.trail_arn, _file.c.region)
    query = (
        select(
            *trail,
            func.count().label("files"),
            func.sum(func.coalesce(_file.c.parked_bytes, 0)).label("size"),
            func.min(func.coalesce(_file.c.parked_at, 0)).label("oldest_parked_at"),
            func.sum(case((_file.c.state == FileState.EXPIRED, 1), else_=0)).label("expired"),
            newest_error.label("error"),
        )
        .where(is_spooled(_file))
        .group_by(*trail)
        .order_by(*trail)
    )
    sums = ("files", "size", "oldest_parked_at", "expired")
    return [
        ParkedOfTrail(**{**row, **{name: int(row[name]) for name in sums}})
        for row in connection.execute(query).mappings()
    ]

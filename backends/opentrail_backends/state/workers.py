"""Releases that run side by side: a format is used once every worker knows it."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select

from opentrail_backends.state import tables
from opentrail_backends.state.engine import insert

SEEN_MS = 600_000
"""A worker that was not seen for so long is waited for no more."""

_worker = tables.worker
_format = tables.format_


def report_worker(connection: Connection, worker_id: str, formats: Mapping[str, int], now: int) -> dict[str, int]:
    """Notes the worker, switches on what all know, and returns what is switched on.

    The caller recorded `now`: that row's lock lets one worker report after the other, so that a format is not
    switched on beside one that is just coming and does not know it.
    """
    seen = {"seen_at": now, "formats": dict(formats)}
    add = insert(connection, _worker).values(id=worker_id, **seen)
    connection.execute(add.on_conflict_do_update(index_elements=["id"], set_=seen))
    known = [
        row.formats for row in connection.execute(select(_worker.c.formats).where(_worker.c.seen_at > now - SEEN_MS))
    ]
    switched_on = {row.kind: row.version for row in connection.execute(select(_format))}
    for kind in sorted({kind for formats_of_one in known for kind in formats_of_one}):
        version = min(formats_of_one.get(kind, 0) for formats_of_one in known)
        if version > switched_on.get(kind, 0):
            switch = insert(connection, _format).values(kind=kind, version=version)
            connection.execute(switch.on_conflict_do_update(index_elements=["kind"], set_={"version": version}))
            switched_on[kind] = version
    return switched_on

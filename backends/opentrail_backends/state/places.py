"""Places and their stamps: under one place the time of a digest is its name, so it rises over all chains."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select, update

from opentrail_backends.state import tables
from opentrail_backends.state.engine import in_chunks, insert

_place = tables.place


class HeadMoved(Exception):
    """A compare-and-swap of steps 8 to 10 failed; the transaction is undone."""


def locked_places(connection: Connection, places: Collection[str]) -> dict[str, int]:
    """The last stamp of each place, made if need be and locked: in one order, so that nobody waits in a circle."""
    stamps: dict[str, int] = {}
    while missing := sorted(set(places) - stamps.keys()):  # again, if one was forgotten between the two statements
        add = insert(connection, _place).on_conflict_do_nothing()
        connection.execute(add, [{"place": place, "last_stamp": 0} for place in missing])
        for chunk in in_chunks(missing):
            query = select(_place).where(_place.c.place.in_(chunk)).order_by(_place.c.place).with_for_update()
            stamps.update((row.place, row.last_stamp) for row in connection.execute(query))
    return stamps


def use_stamp(connection: Connection, place: str, end: int) -> None:
    """Locks the place and raises its stamp. Raises HeadMoved if it was used, or a later one."""
    used = connection.execute(
        update(_place).where(_place.c.place == place, _place.c.last_stamp < end).values(last_stamp=end)
    ).rowcount
    if used != 1:
        raise HeadMoved

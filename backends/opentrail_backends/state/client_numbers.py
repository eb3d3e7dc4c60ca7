"""Numbers of clients, as the ledger keeps them (`opentrail.events.client_numbers`)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, and_, delete, select

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state import tables
from opentrail_backends.state.engine import insert

_numbers = tables.client_numbers


def read_numbers(connection: Connection, region: str, account_id: str) -> dict[bytes, ClientNumbers]:
    """All clients of an account in a region, by client id."""
    query = select(_numbers).where(_numbers.c.region == region, _numbers.c.account_id == account_id)
    return {
        row.client_id: ClientNumbers(
            row.newest, tuple((first, last) for first, last in row.holes), row.floor, row.seen_at
        )
        for row in connection.execute(query)
    }


def write_numbers(
    connection: Connection, region: str, changed: Mapping[tuple[str, bytes], ClientNumbers | None]
) -> None:
    """Replaces what is known of these clients; None forgets one."""
    for (account_id, client_id), numbers in changed.items():
        if numbers is None:
            this_client = and_(
                _numbers.c.region == region,
                _numbers.c.account_id == account_id,
                _numbers.c.client_id == client_id,
            )
            connection.execute(delete(_numbers).where(this_client))
    rows = [
        {
            "region": region,
            "account_id": account_id,
            "client_id": client_id,
            "newest": numbers.newest,
            "holes": [list(hole) for hole in numbers.holes],
            "floor": numbers.floor,
            "seen_at": numbers.seen_at,
        }
        for (account_id, client_id), numbers in changed.items()
        if numbers is not None
    ]
    if rows:
        add = insert(connection, _numbers)
        newer = {name: add.excluded[name] for name in ("newest", "holes", "floor", "seen_at")}
        connection.execute(
            add.on_conflict_do_update(index_elements=["region", "account_id", "client_id"], set_=newer), rows
        )

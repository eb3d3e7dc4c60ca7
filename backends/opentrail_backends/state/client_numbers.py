"""Numbers of clients, as the ledger keeps them (`opentrail.events.client_numbers`)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, and_, delete, func, select

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state import tables
from opentrail_backends.state.engine import insert
from opentrail_backends.state.port import ClientsOfAccount

_numbers = tables.client_numbers
_KEY = ["region", "account_id", "client_id"]


def read_numbers(connection: Connection, region: str, account_id: str) -> dict[bytes, ClientNumbers]:
    """All clients of an account in a region, by client id."""
    query = select(_numbers).where(_numbers.c.region == region, _numbers.c.account_id == account_id)
    return {
        row.client_id: ClientNumbers(
            newest=row.newest,
            holes=tuple((first, last) for first, last in row.holes),
            floor=row.floor,
            seen_at=row.seen_at,
            repeats=row.repeats,
            given_up=row.given_up,
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
            "repeats": numbers.repeats,
            "given_up": numbers.given_up,
            "missing": numbers.missing,
        }
        for (account_id, client_id), numbers in changed.items()
        if numbers is not None
    ]
    if rows:
        add = insert(connection, _numbers)
        newer = {name: add.excluded[name] for name in rows[0] if name not in _KEY}
        connection.execute(add.on_conflict_do_update(index_elements=_KEY, set_=newer), rows)


def clients_of_accounts(connection: Connection) -> list[ClientsOfAccount]:
    """What is known of the clients, in sums, by region and account."""
    account = (_numbers.c.region, _numbers.c.account_id)
    sums = ("missing", "repeats", "given_up")
    query = (
        select(*account, func.count().label("clients"), *(func.sum(_numbers.c[name]).label(name) for name in sums))
        .group_by(*account)
        .order_by(*account)
    )
    return [
        ClientsOfAccount(**{**row, **{name: int(row[name]) for name in sums}})
        for row in connection.execute(query).mappings()
    ]

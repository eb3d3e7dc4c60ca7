"""Numbers of clients, as the ledger keeps them (`opentrail.events.client_numbers`)."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Integer, and_, bindparam, delete, func, literal, select

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state import tables
from opentrail_backends.state.engine import insert
from opentrail_backends.state.port import ClientsOfAccount

_numbers = tables.client_numbers
_KEY = ["region", "account_id", "client_id"]
_HALF = 32
"""Bits. PostgreSQL shifts by an integer, not by a bigint."""


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
    forgotten = [
        {"of_region": region, "of_account": account_id, "of_client": client_id}
        for (account_id, client_id), numbers in changed.items()
        if numbers is None
    ]
    if forgotten:
        this_client = and_(
            _numbers.c.region == bindparam("of_region"),
            _numbers.c.account_id == bindparam("of_account"),
            _numbers.c.client_id == bindparam("of_client"),
        )
        connection.execute(delete(_numbers).where(this_client), forgotten)
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
    """What is known of the clients, in sums, by region and account.

    Halves are summed: a client may count up to 2^63-1, and SQLite refuses a sum above it.
    """
    account = (_numbers.c.region, _numbers.c.account_id)
    sums = ("missing", "repeats", "given_up")
    high = [func.sum(_numbers.c[name].bitwise_rshift(literal(_HALF, Integer()))).label(f"{name}_high") for name in sums]
    low = [func.sum(_numbers.c[name].bitwise_and((1 << _HALF) - 1)).label(f"{name}_low") for name in sums]
    query = select(*account, func.count().label("clients"), *high, *low).group_by(*account).order_by(*account)
    return [
        ClientsOfAccount(
            region=row["region"],
            account_id=row["account_id"],
            clients=row["clients"],
            **{name: (int(row[f"{name}_high"]) << _HALF) + int(row[f"{name}_low"]) for name in sums},
        )
        for row in connection.execute(query).mappings()
    ]

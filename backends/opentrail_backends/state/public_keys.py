"""Signing keys as auditors see them: one winner per region and time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Row, select, text

from opentrail_backends.state import tables
from opentrail_backends.state.engine import Transactions, insert
from opentrail_backends.state.port import PublicKey

_key = tables.public_key.c


class SqlPublicKeys:
    """The `PublicKeys` port on SQL."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def add(self, key: PublicKey) -> PublicKey:
        """Adds a key unless one of its region already covers `valid_from`; returns the one that does."""
        if key.valid_until < key.valid_from:
            raise ValueError("a key's validity ends before it begins")
        with self._transactions.writing() as connection:
            if self._transactions.is_postgresql:
                # Two processes that look before either has written would both find none. Readers go on.
                connection.execute(text("LOCK TABLE public_key IN SHARE ROW EXCLUSIVE MODE"))
            existing = _covering(connection, key.region, key.valid_from)
            if existing is None:
                connection.execute(insert(connection, tables.public_key), asdict(key))
        return existing or key

    def covering(self, region: str, seconds: int) -> PublicKey | None:
        """The key whose validity holds a time; of two, the one that became valid later."""
        with self._transactions.reading() as connection:
            return _covering(connection, region, seconds)

    def between(self, region: str, start_seconds: int, end_seconds: int) -> Sequence[PublicKey]:
        """Keys whose validity meets a range, both ends included, by `valid_from` (ListPublicKeys)."""
        meets = (_key.region == region, _key.valid_from <= end_seconds, _key.valid_until >= start_seconds)
        with self._transactions.reading() as connection:
            rows = connection.execute(select(tables.public_key).where(*meets).order_by(_key.valid_from))
            return [_public_key(row) for row in rows]


def _covering(connection: Connection, region: str, seconds: int) -> PublicKey | None:
    row = connection.execute(
        select(tables.public_key)
        .where(_key.region == region, _key.valid_from <= seconds, _key.valid_until >= seconds)
        .order_by(_key.valid_from.desc())
        .limit(1)
    ).first()
    return None if row is None else _public_key(row)


def _public_key(row: Row[*tuple[object, ...]]) -> PublicKey:
    return PublicKey(**row._mapping)  # noqa: SLF001 - a public attribute of SQLAlchemy, whatever its name

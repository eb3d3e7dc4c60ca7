"""The state store on SQL: the four ports and what needs more than one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from sqlalchemy import func, select

from opentrail_backends.state import tables
from opentrail_backends.state.chains import SqlChains
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.configuration import SqlConfiguration
from opentrail_backends.state.engine import Transactions, make_engine
from opentrail_backends.state.ledger import SqlLedger
from opentrail_backends.state.migration import migrate
from opentrail_backends.state.port import Chains, ConfigurationStore, Ledger, PublicKeys
from opentrail_backends.state.public_keys import SqlPublicKeys
from opentrail_backends.state.secret_box import SecretBox


class SqlStateStore:
    """The `StateStore` port on SQLite or PostgreSQL. Safe for use by several threads."""

    configuration: ConfigurationStore
    ledger: Ledger
    chains: Chains
    public_keys: PublicKeys

    def __init__(self, transactions: Transactions, clock: StoreClock, secrets: SecretBox) -> None:
        self._transactions = transactions
        self.configuration = SqlConfiguration(transactions, clock, secrets)
        self.ledger = SqlLedger(transactions, clock)
        self.chains = SqlChains(transactions, clock)
        self.public_keys = SqlPublicKeys(transactions)

    @classmethod
    def open(cls, url: str, *, secret_key: bytes | None, clock: Callable[[], int] | None) -> Self:
        """See `opentrail_backends.state.open_state_store`."""
        secrets = SecretBox(secret_key)
        transactions = Transactions(make_engine(url))
        return cls(transactions, StoreClock(is_postgresql=transactions.is_postgresql, source=clock), secrets)

    def migrate(self) -> None:
        """Brings the schema to this release; safe to call from several processes at once."""
        migrate(self._transactions)

    def trail_status(self, incarnation: str, region: str) -> Mapping[str, Any]:
        """Newest delivery and digest times (ms) of a trail in a region, None before the first."""
        delivery, chain = tables.trail_delivery.c, tables.chain.c
        delivered = select(func.max(delivery.delivered_at)).where(
            delivery.incarnation == incarnation, delivery.region == region
        )
        published = select(func.max(chain.digest_published_at)).where(
            chain.incarnation == incarnation, chain.region == region
        )
        query = select(
            delivered.scalar_subquery().label("delivered_at"), published.scalar_subquery().label("digest_delivered_at")
        )
        with self._transactions.reading() as connection:
            return dict(connection.execute(query).mappings().one())

    def close(self) -> None:
        """Frees connections."""
        self._transactions.close()

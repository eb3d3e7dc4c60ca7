"""The state store on SQL: its ports, and what needs more than one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from opentrail_backends.state.api_calls import SqlApiCalls
from opentrail_backends.state.chains import SqlChains
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.configuration import SqlConfiguration
from opentrail_backends.state.engine import Transactions, make_engine, make_hasty_engine
from opentrail_backends.state.event_history import SqlEventHistory
from opentrail_backends.state.forgetting import Forgetting
from opentrail_backends.state.ledger import SqlLedger
from opentrail_backends.state.migration import migrate
from opentrail_backends.state.notifications import SqlNotificationQueue
from opentrail_backends.state.port import (
    ApiCalls,
    Chains,
    ConfigurationStore,
    EventHistory,
    Ledger,
    NotificationQueue,
    PublicKeys,
    RequestRates,
)
from opentrail_backends.state.public_keys import SqlPublicKeys
from opentrail_backends.state.request_rates import SqlRequestRates
from opentrail_backends.state.secret_box import SecretBox
from opentrail_backends.state.trail_status import trail_status
from opentrail_backends.state.unmet_conditions import unmet_conditions


class SqlStateStore:
    """The `StateStore` port on SQLite or PostgreSQL. Safe for use by several threads."""

    configuration: ConfigurationStore
    ledger: Ledger
    chains: Chains
    public_keys: PublicKeys
    calls: ApiCalls
    rates: RequestRates
    history: EventHistory
    notifications: NotificationQueue

    def __init__(self, transactions: Transactions, clock: StoreClock, secrets: SecretBox) -> None:
        self._transactions = transactions
        self._clock = clock
        self.configuration = SqlConfiguration(transactions, clock, secrets)
        self.ledger = SqlLedger(transactions, clock)
        self.chains = SqlChains(transactions, clock)
        self.public_keys = SqlPublicKeys(transactions)
        self.calls = SqlApiCalls(transactions, clock)
        self.rates = SqlRequestRates(transactions, clock)
        self.history = SqlEventHistory(transactions, clock)
        self.notifications = SqlNotificationQueue(transactions, clock)

    @classmethod
    def open(cls, url: str, *, secret_key: bytes | None, clock: Callable[[], int] | None) -> Self:
        """See `opentrail_backends.state.open_state_store`."""
        secrets = SecretBox(secret_key)
        transactions = Transactions(make_engine(url), make_hasty_engine(url))
        return cls(transactions, StoreClock(is_postgresql=transactions.is_postgresql, source=clock), secrets)

    def migrate(self) -> None:
        """Brings the schema to this release; safe to call from several processes at once."""
        migrate(self._transactions)

    def trail_status(self, incarnation: str, region: str) -> Mapping[str, Any]:
        """What delivery last did for a trail in a region; None where there is nothing to tell."""
        with self._transactions.reading() as connection:
            return dict(connection.execute(trail_status(incarnation, region)).mappings().one())

    def unmet_conditions(self) -> Sequence[str]:
        """What the database lacks of what delivery stands on, one sentence each that says what to do."""
        with self._transactions.reading() as connection:
            return unmet_conditions(connection)

    def forget(self, kept_ms: int, limit: int = 5_000) -> int:
        """Removes rows that nothing needs any more, at most `limit` of each kind; returns how many in all."""
        return Forgetting(self._transactions, self._clock, kept_ms, limit).run()

    def close(self) -> None:
        """Frees connections."""
        self._transactions.close()

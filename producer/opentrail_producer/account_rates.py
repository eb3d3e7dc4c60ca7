"""The limits of accounts, from the newest configuration."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from opentrail.trails.configuration import Change, Configuration
from opentrail_backends.state.port import StateError
from opentrail_producer.rate_limit import Rate
from opentrail_producer.settings import RateLimits

log = logging.getLogger(__name__)


class Changes(Protocol):
    """What is needed of the ConfigurationStore."""

    def changes_after(self, revision: int) -> Sequence[Change]:
        """All changes with a higher revision, in order."""
        ...


class AccountRates:
    """Follows the configuration at most every `refresh_seconds`; safe for use by several threads.

    A store that cannot be reached changes nothing: the limits known before stay in force.

    Args:
        store: where changes of the configuration come from.
        defaults: limits of accounts without their own, and the share that this process grants.
        clock: seconds that only rise.
        refresh_seconds: how old the known configuration may grow.
    """

    def __init__(
        self, store: Changes, defaults: RateLimits, clock: Callable[[], float], refresh_seconds: float
    ) -> None:
        self._store = store
        self._defaults = defaults
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._configuration = Configuration()
        self._refreshing = threading.Lock()
        self._refresh_at = clock()

    def rate_of(self, account_id: str) -> Rate:
        """What this process lets the account send each second."""
        self._refresh_if_due()
        account = self._configuration.accounts.get(account_id)
        events, size = self._defaults.events_per_second, self._defaults.bytes_per_second
        if account is not None:
            events = events if account.events_per_second is None else account.events_per_second
            size = size if account.bytes_per_second is None else account.bytes_per_second
        return Rate(events * self._defaults.share, size * self._defaults.share)

    def _refresh_if_due(self) -> None:
        if self._clock() < self._refresh_at or not self._refreshing.acquire(blocking=False):
            return  # another thread is at it: what is known will do
        try:
            self._refresh_at = self._clock() + self._refresh_seconds
            changes = self._store.changes_after(self._configuration.revision)
            self._configuration = self._configuration.after(*changes)
        except (StateError, ValueError) as error:
            log.warning("accounts' limits could not be read anew, the known ones stay in force: %s", error)
        finally:
            self._refreshing.release()

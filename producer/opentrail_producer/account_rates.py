"""The limits of accounts, from the newest configuration."""

from __future__ import annotations

from collections.abc import Callable

from opentrail.trails.configuration import Configuration
from opentrail_producer.rate_limit import Rate
from opentrail_producer.settings import RateLimits


class AccountRates:
    """An account's own limits, or the service's.

    Args:
        configuration: gives the newest known one.
        defaults: limits of accounts without their own, and the share that this process grants.
    """

    def __init__(self, configuration: Callable[[], Configuration], defaults: RateLimits) -> None:
        self._configuration = configuration
        self._defaults = defaults

    def rate_of(self, account_id: str) -> Rate:
        """What this process lets the account send each second."""
        account = self._configuration().accounts.get(account_id)
        events, size = self._defaults.events_per_second, self._defaults.bytes_per_second
        if account is not None:
            events = events if account.events_per_second is None else account.events_per_second
            size = size if account.bytes_per_second is None else account.bytes_per_second
        return Rate(events * self._defaults.share, size * self._defaults.share)

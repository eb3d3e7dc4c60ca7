"""Rate limits of accounts: events and bytes per second, each a token bucket.

A request passes while neither bucket is empty, and then takes all it costs, below zero if need be. So a request
greater than a bucket is never impossible, and over time an account still gets its rate and no more: what was taken
beyond the bucket has to flow back before the next request passes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

LONGEST_DELAY = 60.0
"""Seconds; the longest delay that a refusal asks for, also of an account whose limit is zero."""
MOST_ACCOUNTS = 100_000


class Rate(NamedTuple):
    """What an account may send each second."""

    events: float
    bytes: float


@dataclass(slots=True)
class _Bucket:
    """What an account may send at once, at a time."""

    events: float
    bytes: float
    at: float

    def refill(self, rate: Rate, burst_seconds: float, now: float) -> None:
        """Adds what flowed in since the last time, up to `burst_seconds` worth."""
        passed = max(now - self.at, 0.0)
        self.events = min(self.events + passed * rate.events, rate.events * burst_seconds)
        self.bytes = min(self.bytes + passed * rate.bytes, rate.bytes * burst_seconds)
        self.at = now


class RateLimit:
    """The buckets of all accounts. Safe for use by several threads; memory is bounded by `most_accounts`.

    Args:
        rate_of: an account's limits, asked at each request so that a change holds at once.
        burst_seconds: how many seconds' worth a bucket holds.
        clock: seconds that only rise.
        most_accounts: beyond it, the account that was quiet for longest is forgotten; its bucket has had the most
            time to fill up, and a full bucket is the same as none.
    """

    def __init__(
        self,
        rate_of: Callable[[str], Rate],
        burst_seconds: float,
        clock: Callable[[], float],
        most_accounts: int = MOST_ACCOUNTS,
    ) -> None:
        self._rate_of = rate_of
        self._burst_seconds = burst_seconds
        self._clock = clock
        self._most_accounts = most_accounts
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, account_id: str, events: int, size: int) -> float:
        """Takes a request's events and bytes; 0.0 if it may pass, else the seconds to wait, having taken nothing."""
        rate = self._rate_of(account_id)
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(account_id)
            if bucket is None:
                bucket = _Bucket(rate.events * self._burst_seconds, rate.bytes * self._burst_seconds, now)
                self._buckets[account_id] = bucket
                while len(self._buckets) > self._most_accounts:
                    self._buckets.popitem(last=False)
            else:
                self._buckets.move_to_end(account_id)
                bucket.refill(rate, self._burst_seconds, now)
            delay = max(_delay(bucket.events, rate.events), _delay(bucket.bytes, rate.bytes))
            if delay == 0.0:
                bucket.events -= events
                bucket.bytes -= size
            return delay


def _delay(level: float, rate: float) -> float:
    """Seconds until a bucket holds something; a fraction more, so that who comes back on time is let in."""
    if level > 0:
        return 0.0
    if rate <= 0:
        return LONGEST_DELAY
    return min(-level / rate + 0.001, LONGEST_DELAY)

"""Hands opened and repaired findings to those who watch, as they happen."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Final

from opentrail_validator.service.open_findings import Change

MOST_WAITING: Final = 10_000
"""Changes that wait for one who reads slowly."""


class CameTooLate(Exception):
    """Changes were lost: the reader was too slow."""


class Subscription:
    """Changes since it was made. Iterating waits for the next one, and ends after `close`. Raises CameTooLate."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Change] = deque()
        self._is_open = True
        self._has_lost = False

    def put(self, change: Change) -> None:
        """Adds a change."""
        with self._changed:
            if len(self._waiting) < MOST_WAITING:
                self._waiting.append(change)
            else:
                self._has_lost = True
            self._changed.notify_all()

    def close(self) -> None:
        """Ends it, also for one who waits."""
        with self._changed:
            self._is_open = False
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Change]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or not self._is_open)
                if not self._is_open:
                    return
                if self._has_lost:
                    raise CameTooLate
                change = self._waiting.popleft()
            yield change


class Changes:
    """All subscriptions. Safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()
        self._is_closed = False

    def subscribe(self) -> Subscription:
        """A new subscription; give it back to `leave`."""
        subscription = Subscription()
        with self._lock:
            if self._is_closed:
                subscription.close()
            self._subscriptions.add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Ends a subscription."""
        subscription.close()
        with self._lock:
            self._subscriptions.discard(subscription)

    def put(self, change: Change) -> None:
        """Hands a change to all."""
        with self._lock:
            for subscription in self._subscriptions:
                subscription.put(change)

    def close(self) -> None:
        """Ends all subscriptions, also those to come."""
        with self._lock:
            self._is_closed = True
            for subscription in self._subscriptions:
                subscription.close()

"""How much of the spool is left for parked files."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from opentrail_backends.state.port import Ledger, StateError

_AGAIN_SECONDS = 5.0


class SpoolSpace:
    """Asks the ledger now and then what lies there, and counts what this process adds. Safe for several threads."""

    def __init__(self, ledger: Ledger, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._limit = limit
        self._clock = clock
        self._used = 0
        self._ask_at = clock()
        self._lock = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether nothing may be added, as far as is known without asking."""
        return self._used >= self._limit

    def has_room(self, size: int) -> bool:
        """Whether so many bytes may be added. While the ledger cannot be asked, what was known last counts."""
        with self._lock:
            now = self._clock()
            if now >= self._ask_at:
                self._ask_at = now + _AGAIN_SECONDS
                with contextlib.suppress(StateError):
                    self._used = self._ledger.spool_usage().total
            return self._used + size <= self._limit

    def took(self, size: int) -> None:
        """So many bytes were added."""
        with self._lock:
            self._used += size

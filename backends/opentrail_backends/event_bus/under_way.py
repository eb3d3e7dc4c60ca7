"""Messages on their way to the bus: how many bytes they may hold, and waiting for the last one."""

from __future__ import annotations

import threading


class UnderWay:
    """Counts bytes that were handed over and are not confirmed yet. Safe for use by several threads.

    A publisher that takes more than the bus confirms would fill the memory; here it waits instead.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._messages = 0
        self._changed = threading.Condition()

    def enter(self, size: int, timeout: float) -> bool:
        """Waits up to `timeout` seconds for room; False if there was none. One message always fits."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._messages or self._bytes + size <= self._limit, timeout):
                return False
            self._bytes += size
            self._messages += 1
            return True

    def leave(self, size: int) -> None:
        """The message was confirmed or has failed."""
        with self._changed:
            self._bytes -= size
            self._messages -= 1
            self._changed.notify_all()

    def wait_until_empty(self, timeout: float) -> bool:
        """Waits up to `timeout` seconds until nothing is under way; says whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._messages, timeout)

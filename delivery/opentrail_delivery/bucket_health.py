"""Which buckets have failed for so long that nothing waits for them any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class BucketHealth:
    """Remembers since when each bucket takes nothing. Safe for use by several threads. Times in seconds."""

    def __init__(self, patience: float, retry: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._retry = retry
        self._clock = clock
        self._failing_since: dict[str, float] = {}
        self._tried_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def succeeded(self, bucket: str) -> None:
        """The bucket took an object."""
        with self._lock:
            self._failing_since.pop(bucket, None)
            self._tried_at.pop(bucket, None)

    def failed(self, bucket: str) -> None:
        """The bucket refused, throttled, or did not answer."""
        with self._lock:
            self._failing_since.setdefault(bucket, self._clock())

    def is_given_up(self, bucket: str) -> bool:
        """Whether it has failed for longer than our patience: its files are parked without a try."""
        since = self._failing_since.get(bucket)
        return since is not None and self._clock() - since >= self._patience

    def may_try(self, bucket: str) -> bool:
        """Whether a put is worth a try: always, but for a bucket that is given up once in a while by one caller."""
        with self._lock:
            if not self.is_given_up(bucket):
                return True
            now = self._clock()
            if now - self._tried_at.get(bucket, -self._retry) < self._retry:
                return False
            self._tried_at[bucket] = now
            return True

"""Which buckets have failed for so long that nothing waits for them any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from opentrail_backends.object_store.port import ObjectStoreError, PutRefused


class BucketHealth:
    """Remembers since when a bucket does not answer, or refuses what comes from one trail.

    Safe for use by several threads. Times in seconds.
    """

    def __init__(self, patience: float, retry: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._patience = patience
        self._retry = retry
        self._clock = clock
        self._failing_since: dict[tuple[str, ...], float] = {}
        self._tried_at: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def succeeded(self, bucket: str, trail_arn: str) -> None:
        """The bucket took an object of the trail."""
        with self._lock:
            for what in ((bucket,), (bucket, trail_arn)):
                self._failing_since.pop(what, None)
                self._tried_at.pop(what, None)

    def failed(self, bucket: str, trail_arn: str, error: ObjectStoreError) -> None:
        """A put failed. A refusal is about the trail (its key, its prefix, its policy), all else about the bucket."""
        what = (bucket, trail_arn) if isinstance(error, PutRefused) else (bucket,)
        with self._lock:
            self._failing_since.setdefault(what, self._clock())

    def is_given_up(self, bucket: str, trail_arn: str) -> bool:
        """Whether it has failed for longer than our patience: the trail's files are parked without a try."""
        with self._lock:
            return bool(self._given_up(bucket, trail_arn))

    def may_try(self, bucket: str, trail_arn: str) -> bool:
        """Whether a put is worth a try: always, but for what is given up once in a while by one caller."""
        with self._lock:
            now = self._clock()
            given_up = self._given_up(bucket, trail_arn)
            if any(now - self._tried_at.get(what, now - self._retry) < self._retry for what in given_up):
                return False
            self._tried_at.update(dict.fromkeys(given_up, now))
            return True

    def _given_up(self, bucket: str, trail_arn: str) -> list[tuple[str, ...]]:
        now = self._clock()
        return [
            what
            for what in ((bucket,), (bucket, trail_arn))
            if what in self._failing_since and now - self._failing_since[what] >= self._patience
        ]

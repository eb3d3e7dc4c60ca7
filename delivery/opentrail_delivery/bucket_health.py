"""Which buckets fail, and which have failed so that nothing waits for them any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectNotFound,
    ObjectStoreError,
    PutRefused,
    StoreThrottled,
)

_What = tuple[str, ...]
"""A bucket, or a bucket and a trail's ARN."""


def error_code(error: ObjectStoreError) -> str:
    """The store's error code, as GetTrailStatus shows it."""
    match error:
        case PutRefused(code=code):
            return code
        case BucketNotFound():
            return "NoSuchBucket"
        case StoreThrottled():
            return "SlowDown"
        case ObjectNotFound():
            return "NoSuchKey"
        case _ if error.answered:
            return type(error).__name__
        case _:
            return "RequestTimeout"


@dataclass(slots=True)
class _Trouble:
    """Failures without a success between them."""

    since: float
    """When the first try that failed began."""
    until: float
    """When the newest one failed."""
    failures: int
    error: str


class BucketHealth:
    """Remembers since when a bucket does not answer, or refuses what comes from one trail.

    It is given up when it has failed again after `soon` seconds, or when one try has lasted for `silent` seconds.
    Safe for use by several threads. Times in seconds.
    """

    def __init__(
        self,
        retry: float,
        *,
        soon: float = 1.0,
        silent: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retry = retry
        self._soon = soon
        self._silent = silent
        self._clock = clock
        self._trouble: dict[_What, _Trouble] = {}
        self._tried_at: dict[_What, float] = {}
        self._succeeded_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def succeeded(self, bucket: str, trail_arn: str) -> None:
        """The bucket took an object of the trail."""
        with self._lock:
            self._succeeded_at[bucket] = self._clock()
            for what in ((bucket,), (bucket, trail_arn)):
                self._trouble.pop(what, None)
                self._tried_at.pop(what, None)

    def failed(self, bucket: str, trail_arn: str, error: ObjectStoreError, started_at: float | None = None) -> None:
        """A put failed. A refusal is about the trail (its key, its prefix, its policy), all else about the bucket.

        `started_at`: when the try began, by the clock given at the start; None: now.
        """
        what = (bucket, trail_arn) if isinstance(error, PutRefused) else (bucket,)
        self._note(what, error_code(error), started_at)

    def is_silent(self, bucket: str, started_at: float) -> bool:
        """Whether a try that began then and has no answer yet shows that the bucket does not answer: noted if so."""
        now = self._clock()
        with self._lock:
            answered_at = self._succeeded_at.get(bucket, started_at)
        if now - max(started_at, answered_at) < self._silent:
            return False
        self._note((bucket,), "RequestTimeout", started_at)
        return True

    def is_proven(self, bucket: str) -> bool:
        """Whether it took something in the last minute and has not failed since."""
        with self._lock:
            succeeded_at = self._succeeded_at.get(bucket)
            return succeeded_at is not None and self._clock() - succeeded_at < 60 and (bucket,) not in self._trouble  # noqa: PLR2004 - seconds

    def is_failing(self, bucket: str) -> bool:
        """Whether its newest put failed, for a reason that is not one trail's."""
        with self._lock:
            return (bucket,) in self._trouble

    def is_given_up(self, bucket: str, trail_arn: str) -> bool:
        """Whether nothing waits for it any more: the trail's files are parked without a try."""
        with self._lock:
            return bool(self._given_up(bucket, trail_arn))

    def error(self, bucket: str, trail_arn: str) -> str | None:
        """The code of its newest failure since it last took something."""
        with self._lock:
            found = [self._trouble[what] for what in ((bucket,), (bucket, trail_arn)) if what in self._trouble]
            return max(found, key=lambda trouble: trouble.until).error if found else None

    def may_try(self, bucket: str, trail_arn: str) -> bool:
        """Whether a put is worth a try: always, but for what is given up once in a while by one caller."""
        with self._lock:
            now = self._clock()
            given_up = self._given_up(bucket, trail_arn)
            if any(self._is_resting(what, now) for what in given_up):
                return False
            self._tried_at.update(dict.fromkeys(given_up, now))
            return True

    def resting(self) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """What `may_try` would say no to now: whole buckets, and (bucket, trail ARN)."""
        with self._lock:
            now = self._clock()
            resting = [what for what, trouble in self._trouble.items() if self._is_over(trouble)]
            resting = [what for what in resting if self._is_resting(what, now)]
            buckets = frozenset(what[0] for what in resting if len(what) == 1)
            return buckets, frozenset((what[0], what[1]) for what in resting if len(what) > 1)

    def _note(self, what: _What, error: str, started_at: float | None) -> None:
        with self._lock:
            now = self._clock()
            since = now if started_at is None else started_at
            known = self._trouble.get(what)
            if known is None:
                self._trouble[what] = _Trouble(since, now, 1, error)
            else:
                known.until, known.error = now, error
                known.failures += 1

    def _given_up(self, bucket: str, trail_arn: str) -> list[_What]:
        whats: tuple[_What, ...] = ((bucket,), (bucket, trail_arn))
        return [what for what in whats if what in self._trouble and self._is_over(self._trouble[what])]

    def _is_over(self, trouble: _Trouble) -> bool:
        lasted = trouble.until - trouble.since
        return lasted >= self._silent or (trouble.failures > 1 and lasted >= self._soon)

    def _is_resting(self, what: _What, now: float) -> bool:
        return what in self._tried_at and now - self._tried_at[what] < self._retry

"""Our own limits on what a trail and a bucket get, so that an operator decides what a store has to bear."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_BURST_SECONDS = 1.0
"""So much of the rate may come at once."""
_KNOWN = 10_000


class RateLimits:
    """Bytes a second for each trail, requests a second for each bucket; None: no limit.

    A slot is taken ahead of time, in the order of the calls. Safe for use by several threads.
    """

    def __init__(
        self,
        trail_bytes: float | None = None,
        bucket_requests: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trail_bytes = trail_bytes
        self._bucket_requests = bucket_requests
        self._clock = clock
        self._free_at: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    @property
    def is_on(self) -> bool:
        """Whether there is any limit."""
        return self._trail_bytes is not None or self._bucket_requests is not None

    def reserve(self, bucket: str, incarnation: str, size: int, patience: float | None = None) -> float | None:
        """The seconds until a put of `size` bytes may begin; its slot is taken.

        None: it would be more than `patience`, and no slot is taken.
        """
        costs = []
        if self._trail_bytes is not None:
            costs.append((("trail", incarnation), size / self._trail_bytes))
        if self._bucket_requests is not None:
            costs.append((("bucket", bucket), 1 / self._bucket_requests))
        if not costs:
            return 0.0
        with self._lock:
            now = self._clock()
            free_at = {what: max(self._free_at.get(what, 0.0), now - _BURST_SECONDS) for what, _ in costs}
            wait = max(0.0, max(free_at.values()) - now)
            if patience is not None and wait > patience:
                return None
            for what, seconds in costs:
                self._free_at[what] = free_at[what] + seconds
            if len(self._free_at) > _KNOWN:
                self._free_at = {what: at for what, at in self._free_at.items() if at > now - _BURST_SECONDS}
            return wait

"""What delivery last had trouble with, for GetTrailStatus and `opentrail status`."""

from __future__ import annotations

import threading

from opentrail_backends.object_store.port import ObjectStoreError, PutRefused


class DeliveryStatus:
    """Halted partitions and chains, and the newest error per trail. Safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._halted: dict[str, str] = {}
        self._errors: dict[str, str] = {}

    def put_failed(self, trail_arn: str, error: ObjectStoreError) -> None:
        """Notes the store's error code for a trail (CloudTrail: not for time-outs)."""
        if error.answered:
            code = error.code if isinstance(error, PutRefused) else type(error).__name__
            with self._lock:
                self._errors[trail_arn] = f"{code}: {error}"

    def halted(self, what: str, reason: str) -> None:
        """Notes that a partition or a chain was stopped."""
        with self._lock:
            self._halted[what] = reason

    def released(self, what: str) -> None:
        """It goes on, or is not ours any more."""
        with self._lock:
            self._halted.pop(what, None)

    def snapshot(self) -> dict[str, dict[str, str]]:
        """`halted`: what stands still and why; `delivery_errors`: the newest error by trail ARN."""
        with self._lock:
            return {"halted": dict(self._halted), "delivery_errors": dict(self._errors)}

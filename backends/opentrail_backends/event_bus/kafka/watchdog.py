"""Finds partitions that should move and do not.

kafka-python had faults that left a consumer silent (before 3.0.9: after a leader change, issue 3106, and after a
rebalance, issue 3131). Silence looks like an empty topic, so it must be told apart: there is more, and the position
stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentrail_backends.event_bus.port import Partition

_POLLS = 5
"""A reader that was itself busy elsewhere has not been given the chance to move: so many polls make one."""


class Watchdog:
    """Compares positions at checks that lie `seconds` and some polls apart."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._checked_at: float | None = None
        self._polls = 0
        self._behind: dict[Partition, int] = {}

    def touched(self, partition: Partition) -> None:
        """The reader moved or held this one: what was noted of it says nothing any more."""
        self._behind.pop(partition, None)

    def is_due(self, now: float) -> bool:
        """To be asked at each poll: whether it is time for `stalled`. `now` is in seconds, monotonic."""
        self._polls += 1
        if self._checked_at is None:
            self._checked_at = now
        return self._polls >= _POLLS and now - self._checked_at >= self._seconds

    def stalled(self, now: float, positions: Mapping[Partition, int], ends: Mapping[Partition, int]) -> list[Partition]:
        """Those that are where they were at the last check, though there was and is more."""
        behind = {partition: offset for partition, offset in positions.items() if ends.get(partition, 0) > offset}
        stalled = [partition for partition, offset in behind.items() if self._behind.get(partition) == offset]
        self._behind, self._checked_at, self._polls = behind, now, 0
        return stalled

    def begin_anew(self) -> None:
        """Forgets everything: there is another consumer."""
        self._behind, self._checked_at, self._polls = {}, None, 0

"""Delivered log files that a trail's topic has not been told of yet, and what became of telling it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class UntoldFile:
    """A log file that lies in its bucket, and whom to tell of it."""

    id: int
    incarnation: str
    trail_arn: str
    region: str
    topic_arn: str
    bucket: str
    object_key: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A trail whose topic is ours to tell, for a while; nobody else does it meanwhile."""

    incarnation: str
    token: str
    failing_for: int
    """Since its telling first failed, in milliseconds; 0: it does not fail."""


class NotificationQueue(Protocol):
    """Files enter it when they are delivered (step 5, or parked ones later) and leave it when they were told.

    Telling comes before `told`: a crash between the two tells again. Each trail has a turn of its own, so that a topic
    that fails holds up no other trail's. Raises StateError, OutcomeUnknown.
    """

    def take_turns(self, limit: int, lease_ms: int) -> Sequence[Turn]:
        """Trails with untold files whose turn nobody has and that may be tried now; the longest waiting first."""
        ...

    def untold(self, incarnation: str, limit: int) -> Sequence[UntoldFile]:
        """The trail's oldest files that are to be told."""
        ...

    def told(self, turn: Turn, files: Collection[UntoldFile], lease_ms: int) -> bool:
        """The topic has been told of these files. Whether the turn is still ours, and is now for so long again."""
        ...

    def failed(self, turn: Turn, regions: Collection[str], error: str, retry_ms: int) -> None:
        """A try to tell of these regions' files failed, with this code: the turn ends, the next comes after a while.

        The code and the time of the first failure since the newest success are shown by `trail_status`.
        """
        ...

    def end_turn(self, turn: Turn) -> None:
        """What is left may be told by anybody."""
        ...

    def readdress(self, incarnation: str, old_topic_arn: str, new_topic_arn: str | None) -> int:
        """The trail has another topic now, or none: its untold files are for that one. Returns how many.

        With None they are told to nobody, and no failure is shown any more.
        """
        ...

    def expire(self, waiting_ms: int) -> int:
        """Files that were delivered so long ago are told to nobody any more; returns how many."""
        ...

    def waiting(self) -> int:
        """How many files are to be told, of all trails."""
        ...

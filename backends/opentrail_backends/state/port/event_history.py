"""The event history: an index over an account's management events of 90 days (CloudTrail: LookupEvents)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class HistoryCategory(StrEnum):
    """What is looked up together: never both."""

    MANAGEMENT = "Management"
    INSIGHT = "Insight"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEvent:
    """An event as it enters the index."""

    account_id: str
    region: str
    category: HistoryCategory
    event_id: str
    event_time: int
    """Seconds since the epoch."""
    attributes: Collection[tuple[str, str]]
    """(key, value) of each lookup attribute that the event has: `EventName`, `ResourceName`, …, `EventId` included."""
    record: bytes
    """The complete record, JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """What is looked up: events of one account, region and category in [start, end] (seconds, both included)."""

    account_id: str
    region: str
    category: HistoryCategory = HistoryCategory.MANAGEMENT
    attribute: tuple[str, str] | None = None
    start: int
    end: int


class HistoryCursor(NamedTuple):
    """The place of an event in the order of answers: newest first, events of one second by the order they came in."""

    event_time: int
    sequence: int


class FoundEvent(NamedTuple):
    """An event of an answer."""

    cursor: HistoryCursor
    record: bytes


class HistoryMoved(Exception):
    """Another reader indexed this partition meanwhile: ask for the position again. Nothing was written."""


class EventHistory(Protocol):
    """The index. Raises StateError."""

    def position(self, region: str, partition: int, topic_id: str) -> int | None:
        """The next offset to index; None if nothing of that topic was indexed yet."""
        ...

    def add(
        self,
        region: str,
        partition: int,
        topic_id: str,
        offsets: tuple[int | None, int],
        events: Sequence[HistoryEvent],
    ) -> int:
        """Indexes the events of a range of offsets: (the position as it was, the next one), in one transaction.

        An event whose (account, region, `eventID`) is known is left out: the first one wins. Returns how many were
        added. Raises HistoryMoved if the position is not as it was.
        """
        ...

    def lookup(self, query: HistoryQuery, limit: int, after: HistoryCursor | None = None) -> Sequence[FoundEvent]:
        """The newest events, newest first, behind `after` if given; fewer than `limit` only at the end."""
        ...

    def forget(self, before: int) -> int:
        """Drops what lies wholly before a time (seconds), cheaply: whole tables. Returns how many tables."""
        ...

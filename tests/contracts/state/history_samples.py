"""Small events for the contract suite of event history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from opentrail_backends.state.port import StateStore
from opentrail_backends.state.port.event_history import (
    EventHistory,
    FoundEvent,
    HistoryCategory,
    HistoryCursor,
    HistoryEvent,
    HistoryQuery,
)
from tests.contracts.state.samples import ACCOUNT, REGION, START

DAY = 24 * 3600
WEEK = 7 * DAY
ALWAYS = START + 365 * DAY
TOPIC = "topic-1"


def event(name: str, at: int = 0, *attributes: tuple[str, str], **changes: Any) -> HistoryEvent:
    """An event `at` seconds after START. Its id and its record are its name."""
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "region": REGION,
        "category": HistoryCategory.MANAGEMENT,
        "event_id": name,
        "event_time": START + at,
        "attributes": [("EventId", changes.get("event_id", name)), *attributes],
        "record": name.encode(),
    }
    return HistoryEvent(**{**values, **changes})


def query(attribute: tuple[str, str] | None = None, **changes: Any) -> HistoryQuery:
    values: dict[str, Any] = {"account_id": ACCOUNT, "region": REGION, "start": 0, "end": ALWAYS}
    return HistoryQuery(attribute=attribute, **{**values, **changes})


def add(store: StateStore, *events: HistoryEvent, partition: int = 0) -> int:
    """Indexes events as the next offset of a partition."""
    before = store.history.position(REGION, partition, TOPIC)
    return store.history.add(REGION, partition, TOPIC, (before, (before or 0) + 1), events)


def found(store: StateStore, attribute: tuple[str, str] | None = None, limit: int = 1_000, **changes: Any) -> list[str]:
    """The names of the events that a lookup gives."""
    return names(store.history.lookup(query(attribute, **changes), limit))


def names(events: Sequence[FoundEvent]) -> list[str]:
    return [one.record.decode() for one in events]


def pages(history: EventHistory, asked: HistoryQuery, size: int) -> Iterator[Sequence[FoundEvent]]:
    """All pages of a lookup; between two of them a test may do what it likes."""
    after: HistoryCursor | None = None
    while page := history.lookup(asked, size, after):
        yield page
        if len(page) < size:
            return
        after = page[-1].cursor

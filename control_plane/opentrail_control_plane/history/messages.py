"""What of a message on the bus enters event history: its management and Insights events."""

from __future__ import annotations

from typing import NamedTuple

from opentrail.events.batch import EventGroup, record_views, times_of
from opentrail.events.lookup import UnreadableRecord, lookup_attributes, lookup_fields
from opentrail_backends.event_bus.batches import unpack
from opentrail_backends.state.port.event_history import HistoryCategory, HistoryEvent

_CATEGORIES = {category.value: category for category in HistoryCategory}
"""By the names that they have in records."""


class HistoryOfMessage(NamedTuple):
    """What a message holds for event history."""

    events: list[HistoryEvent]
    record_bytes: int
    """Of these events."""
    unreadable: list[str]
    """Why records were left out, one sentence each."""


def events_of(value: bytes) -> HistoryOfMessage:
    """Reads a message. Raises MalformedBatch (it is poison) and NewerFormat."""
    batch = unpack(value)
    history = HistoryOfMessage([], 0, [])
    for group in batch:
        category = _CATEGORIES.get(group.selector_class.event_category)
        if category is not None:
            _read_group(group, category, batch.account_id, batch.region, history)
    return history._replace(record_bytes=sum([len(event.record) for event in history.events]))


def _read_group(
    group: EventGroup, category: HistoryCategory, account_id: str, region: str, history: HistoryOfMessage
) -> None:
    for view, event_time in zip(record_views(group), times_of(group), strict=True):
        record = bytes(view)
        try:
            fields = lookup_fields(record)
        except UnreadableRecord as error:
            history.unreadable.append(str(error))
            continue
        history.events.append(
            HistoryEvent(
                account_id=account_id,
                region=region,
                category=category,
                event_id=fields.event_id,
                event_time=event_time,
                attributes=lookup_attributes(fields),
                record=record,
            )
        )

"""From checked records to the event batch that goes to the bus (design §2.3)."""

from __future__ import annotations

from collections.abc import Sequence

from opentrail.events.batch import EventBatch, EventGroup, SelectorClass, group_of, ranges_of
from opentrail.events.record import CheckedRecord


def group_records(
    account_id: str,
    region: str,
    records: Sequence[CheckedRecord],
    numbers: Sequence[int] | None = None,
    client_id: bytes = b"",
) -> EventBatch:
    """The batch of an account's accepted records in a region, grouped by selector class.

    `numbers` are those of the records, in their order, given by the client `client_id` (16 bytes); no number comes
    twice. Within a group records keep their order.
    """
    if numbers is not None and (len(numbers) != len(records) or len(client_id) != 16):  # noqa: PLR2004 - its bytes
        raise ValueError("each record has a number, given by a client with an id of 16 bytes")
    positions: dict[SelectorClass, list[int]] = {}
    for position, record in enumerate(records):
        positions.setdefault(record.selector_class, []).append(position)
    groups = [_group(selector_class, records, chosen, numbers) for selector_class, chosen in positions.items()]
    if numbers is None:
        return EventBatch(account_id, region, groups)
    return EventBatch(account_id, region, groups, client_id, ranges_of(numbers))


def _group(
    selector_class: SelectorClass,
    records: Sequence[CheckedRecord],
    positions: Sequence[int],
    numbers: Sequence[int] | None,
) -> EventGroup:
    chosen = [records[position] for position in positions]
    texts = [record.raw for record in chosen]
    attributes = [record.attributes for record in chosen if record.attributes is not None]
    return group_of(
        selector_class,
        texts,
        map(len, texts),
        [record.event_time for record in chosen],
        attributes,
        [numbers[position] for position in positions] if numbers is not None else (),
    )

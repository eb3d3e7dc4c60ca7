"""The event batch: what one message on the event bus holds.

A batch belongs to one account and one region. Its events are grouped by *selector class*, the tuple
of values that event selectors look at, so that delivery decides once per class and passes the
records' bytes on without reading them. What only some selectors need (times, ARNs) lies beside the
records in columns that are decoded when asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

FORMAT_VERSION = 1
"""Version of the layout below. A reader that meets a newer one stops: that is not poison (design, step 2)."""


class SelectorClass(NamedTuple):
    """The values of a record that event selectors look at and that many records share (CloudTrail: event selectors).

    A member is None where the record lacks it. `error_code` and `vpc_endpoint_id` are kept for network
    activity events only, since only their selectors may name them.
    """

    event_category: str
    event_source: str
    event_name: str
    event_type: str
    read_only: bool | None
    resource_types: tuple[str, ...]
    """Distinct types of the record's `resources`, sorted."""
    session_credential_from_console: bool = False
    written_by_cloudtrail: bool = False
    """CloudTrail's own write (`userIdentity.invokedBy`), left out by trails with RecursiveLogging off."""
    error_code: str | None = None
    vpc_endpoint_id: str | None = None


class EventAttributes(NamedTuple):
    """What a selector may ask of one event beyond its class."""

    resources: tuple[tuple[str | None, str | None], ...]
    """(type, ARN) of each of the record's resources."""
    user_identity_arn: str | None


@dataclass(frozen=True, slots=True)
class EventGroup:
    """The events of one selector class in a batch.

    `records` are the JSON texts joined by a comma. `lengths` (uint32 little-endian, bytes of each text)
    and `times` (int64 little-endian, `eventTime` in epoch seconds) have one entry per event.
    `attributes` is the packed column of `EventAttributes`; empty for management events.
    `numbers` (uint64 little-endian) holds the client's number of each event; empty if not numbered.
    """

    selector_class: SelectorClass
    count: int
    records: bytes | memoryview
    oldest: int
    newest: int
    lengths: bytes | memoryview
    times: bytes | memoryview
    attributes: bytes | memoryview = b""
    numbers: bytes | memoryview = b""


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one account and region on their way to delivery."""

    account_id: str
    region: str
    groups: Sequence[EventGroup]
    client_id: bytes = b""
    """The client that numbered the events (16 bytes), or empty."""
    number_ranges: Sequence[tuple[int, int]] = field(default=())
    """First and last of each run of numbers in this batch, rising."""

    @property
    def count(self) -> int:
        """Number of events."""
        return sum(group.count for group in self.groups)

    @property
    def record_bytes(self) -> int:
        """Bytes of all JSON texts, with the commas between them."""
        return sum(len(group.records) for group in self.groups)

    def __iter__(self) -> Iterator[EventGroup]:
        return iter(self.groups)

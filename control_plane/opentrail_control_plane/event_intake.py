"""The way onto the event bus as the control plane sees it; `opentrail_cli` puts the producer's own intake behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class EventNumbers(NamedTuple):
    """Numbers of a batch's events, so that it may be sent again: the event at position i has `first` + i."""

    client_id: bytes
    """16 bytes."""
    first: int


class RejectedEvent(NamedTuple):
    """Why one event of a batch was not taken."""

    code: str
    """A name of `opentrail.events.rejection.RejectionCode`."""
    message: str


class IntakeThrottled(Exception):
    """The account is over its limit, or over its share of the spool; `delay` is in seconds. Nothing was taken."""

    def __init__(self, message: str, delay: float) -> None:
        super().__init__(message)
        self.delay = delay


class IntakeUnavailable(Exception):
    """The bus did not confirm the batch, in whole or in part: send it again, with the same numbers if it has some."""


class EventIntake(Protocol):
    """Checks events and publishes them."""

    def accept(
        self,
        account_id: str,
        events: Sequence[bytes],
        region: str,
        numbers: EventNumbers | None = None,
        accepted_at: int = 0,
    ) -> Sequence[str | RejectedEvent]:
        """For each event, in order, its `eventID` once the bus has it, or why it was not taken.

        Args:
            account_id: whose events they are.
            events: JSON texts, CloudTrail records.
            region: of the records that name none. With numbers, all are of it.
            numbers: delivery drops what it has seen under them.
            accepted_at: when what they tell of happened (ms): the configuration of that time governs them. 0: the
                one in force when the bus takes them.

        Raises IntakeThrottled, IntakeUnavailable, and ValueError for a batch that can never be taken.
        """
        ...

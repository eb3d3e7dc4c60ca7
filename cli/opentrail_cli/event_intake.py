"""The producer's own intake behind the control plane: one set of checks, one bus, whichever way an event comes in."""

from __future__ import annotations

from collections.abc import Sequence

from opentrail.events.record import Rejection
from opentrail_backends.event_bus.port import EventBusError
from opentrail_backends.state.port import StateError
from opentrail_control_plane.event_intake import EventNumbers, IntakeThrottled, IntakeUnavailable, RejectedEvent
from opentrail_producer.answers import NotConfirmed
from opentrail_producer.intake import Intake, InvalidBatch, Numbers, Throttled


class ProducerIntake:
    """The control plane's `EventIntake` port."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def accept(
        self,
        account_id: str,
        events: Sequence[bytes],
        region: str,
        numbers: EventNumbers | None = None,
        accepted_at: int = 0,
    ) -> Sequence[str | RejectedEvent]:
        """See the port."""
        numbered = None if numbers is None else Numbers(numbers.client_id, numbers.first)
        try:
            outcomes = self._intake.accept(account_id, events, region, numbered, accepted_at)
        except Throttled as error:
            raise IntakeThrottled(str(error), error.delay) from error
        except InvalidBatch as error:
            raise ValueError(str(error)) from error
        except (NotConfirmed, EventBusError, StateError) as error:
            raise IntakeUnavailable(str(error)) from error
        return [
            RejectedEvent(outcome.code, outcome.message) if isinstance(outcome, Rejection) else outcome
            for outcome in outcomes
        ]

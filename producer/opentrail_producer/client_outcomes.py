"""What the client tells its caller about an event."""

from __future__ import annotations

from typing import NamedTuple

from opentrail_producer.generated import producer_pb2

CODE_NAMES = {number: name for name, number in producer_pb2.RejectionCode.items()}


class Accepted(NamedTuple):
    """The event is on the bus, under this `eventID`."""

    event_id: str


class Rejected(NamedTuple):
    """The event was refused: `code` is a RejectionCode's name, `message` says what would be right."""

    code: str
    message: str


Outcome = Accepted | Rejected


class Refused(Exception):
    """The service refused the batch as a whole, and would again: wrong credentials, or a batch it cannot take."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class NotConfirmed(Exception):
    """No answer came before the client gave up or was closed. The event may have been accepted all the same."""


def outcomes_of(response: producer_pb2.PublishEventsResponse, expected: int) -> list[Outcome]:
    """The outcomes of a batch's events, in order. Raises Refused if the service did not answer for each."""
    if len(response.results) != expected:
        raise Refused("INTERNAL", f"the service answered for {len(response.results)} events instead of {expected}")
    return [_outcome(result) for result in response.results]


def _outcome(result: producer_pb2.EventResult) -> Outcome:
    if result.HasField("accepted"):
        return Accepted(result.accepted.event_id)
    code = result.rejected.code
    name = CODE_NAMES.get(code, f"CODE_{code}")  # a newer service may know more codes
    return Rejected(name, result.rejected.message)

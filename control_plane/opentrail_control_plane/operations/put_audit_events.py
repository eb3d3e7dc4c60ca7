"""PutAuditEvents (`cloudtrail-data`): events from outside AWS onto the event bus, through the producer's own checks.

An event that is answered as successful is durable on the bus. Its `eventID` follows from the channel, the event's id
and its data, so that an event that is put again, after an answer that did not come, has the same one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from opentrail.events.audit_event import Ingestion, InvalidAuditEvent, failure_of, record_of
from opentrail.events.rejection import RejectionCode
from opentrail.trails.channel import Channel
from opentrail.trails.channel_policies import EventSender, may_put_events
from opentrail.trails.channel_requests import InvalidChannelArn, named_channel
from opentrail.trails.refused import Refused
from opentrail_control_plane.caller_identity import identity_arn
from opentrail_control_plane.event_intake import EventIntake, IntakeThrottled, IntakeUnavailable, RejectedEvent
from opentrail_control_plane.operations.context import Context, Reply

_LONGEST_MESSAGE = 1024
"""Characters of an errorMessage."""


def put_audit_events(context: Context, members: dict[str, Any]) -> Reply:
    """PutAuditEvents: one answer for each event; some may fail while others succeed."""
    channel = _channel(context, members["channelArn"])
    _check_permission(context, channel, members.get("externalId"))
    events: list[dict[str, str]] = members["auditEvents"]
    _refuse_repeated(events)
    intake = context.ports.intake
    if intake is None:
        raise Refused("UnsupportedOperationException", "This control plane has no way onto the event bus.")
    records, outcomes = _records(events, channel, context.now)
    if records:
        outcomes.update(zip(records, _accept(intake, channel, list(records.values())), strict=True))
    return Reply(_answer([(event["id"], outcomes[event["id"]]) for event in events]))


def _channel(context: Context, arn_or_id: str) -> Channel:
    """The channel in the caller's region, of whatever account."""
    try:
        channel = named_channel(context.configuration, context.region, arn_or_id)
    except InvalidChannelArn as error:
        raise Refused("InvalidChannelARN", str(error)) from error
    if channel is None:
        raise Refused("ChannelNotFound", f"There is no channel {arn_or_id} in {context.region}.")
    return channel


def _check_permission(context: Context, channel: Channel, external_id: str | None) -> None:
    organization = context.configuration.organization_of(context.account_id)
    sender = EventSender(
        caller=context.caller,
        arn=identity_arn(context.account_id, context.identity.user_name),
        user_name=context.identity.user_name,
        organization_id=None if organization is None else organization.id,
        external_id=external_id,
    )
    if not may_put_events(context.configuration, channel, sender, context.now):
        message = f"{sender.arn} may not put events into {channel.arn}: its resource policy decides who may."
        raise Refused("ChannelInsufficientPermission", message)


def _refuse_repeated(events: Sequence[dict[str, str]]) -> None:
    repeated = [event_id for event_id, count in Counter(event["id"] for event in events).items() if count > 1]
    if repeated:
        raise Refused("DuplicatedAuditEventId", f"The request has the event id {repeated[0]} more than once.")


def _records(
    events: Sequence[dict[str, str]], channel: Channel, now: int
) -> tuple[dict[str, bytes], dict[str, str | RejectedEvent]]:
    """The records of the events that are valid, and why others are not, each by the event's id."""
    ingestion = Ingestion(channel.account_id, channel.region, channel.arn, now)
    records: dict[str, bytes] = {}
    failures: dict[str, str | RejectedEvent] = {}
    for event in events:
        try:
            records[event["id"]] = record_of(event, ingestion)
        except InvalidAuditEvent as invalid:
            failures[event["id"]] = RejectedEvent(invalid.code, invalid.message)
    return records, failures


def _accept(intake: EventIntake, channel: Channel, records: Sequence[bytes]) -> Sequence[str | RejectedEvent]:
    """The `eventID` of each record that is on the bus, or CloudTrail's error code and a sentence."""
    try:
        outcomes = intake.accept(channel.account_id, records, channel.region)
    except IntakeThrottled as throttled:
        return [RejectedEvent("Throttling", str(throttled))] * len(records)
    except (IntakeUnavailable, ValueError) as error:
        # A ValueError is about the operator's limits: no batch of so many events, or of this region, is taken.
        return [RejectedEvent("InternalFailure", str(error))] * len(records)
    return [outcome if isinstance(outcome, str) else _rejected(outcome) for outcome in outcomes]


def _rejected(outcome: RejectedEvent) -> RejectedEvent:
    return RejectedEvent(failure_of(RejectionCode(outcome.code)), outcome.message)


def _answer(outcomes: Sequence[tuple[str, str | RejectedEvent]]) -> dict[str, Any]:
    return {
        "successful": [{"id": one, "eventID": event_id} for one, event_id in outcomes if isinstance(event_id, str)],
        "failed": [
            {"id": one, "errorCode": failed.code, "errorMessage": failed.message[:_LONGEST_MESSAGE]}
            for one, failed in outcomes
            if isinstance(failed, RejectedEvent)
        ],
    }

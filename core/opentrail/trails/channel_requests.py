"""Channels by the requests of the API (reference: CloudTrail §5.3): made, changed, found.

`members` are the request's, by the API's names, as the model allows them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opentrail.events.audit_event import is_aws_service
from opentrail.trails.caller import Caller
from opentrail.trails.channel import Channel, Destination
from opentrail.trails.configuration import Configuration
from opentrail.trails.refused import Refused
from opentrail.trails.tags import with_tags

CHANNELS_PER_REGION = 25
"""In each region of each account."""
EVENT_STORE = "EVENT_DATA_STORE"
EVENT_BUS = "event-bus"
"""The Location of the one destination that there is: the bus, and so the account's trails and event history."""

_CHANNEL_ARN = re.compile(r"arn:aws[a-z-]*:cloudtrail:[a-z0-9-]+:[0-9]{12}:channel/(?P<id>[A-Za-z0-9._-]+)")
_CHANNEL_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EVENT_STORE_ARN = re.compile(r"arn:aws[a-z-]*:cloudtrail:[a-z0-9-]+:[0-9]{12}:eventdatastore/[A-Za-z0-9._-]+")


class InvalidChannelArn(ValueError):
    """The text is neither a channel's ARN nor an id. The message is a sentence that says so."""


def created_channel(
    configuration: Configuration, caller: Caller, members: Mapping[str, Any], *, channel_id: str
) -> Channel:
    """The channel that a CreateChannel request makes in the caller's region.

    Args:
        configuration: the newest one.
        caller: who asks.
        members: the request's.
        channel_id: a new UUID.

    Raises:
        Refused: InvalidSourceException, InvalidParameterException, EventDataStoreARNInvalidException,
            EventDataStoreNotFoundException, InvalidTagParameterException, TagsLimitExceededException,
            ChannelAlreadyExistsException, ChannelMaxLimitExceededException.
    """
    _check_source(members["Source"])
    channel = Channel(
        id=channel_id,
        account_id=caller.account_id,
        region=caller.region,
        name=members["Name"],
        source=members["Source"],
        destinations=_destinations(members["Destinations"]),
        tags=with_tags({}, members.get("Tags") or ()),
    )
    others = channels_of(configuration, caller)
    if any(other.source == channel.source for other in others):
        raise _exists(f"There is a channel for the source {channel.source} already; a source has one in a region.")
    _check_name(channel, others)
    if len(others) >= CHANNELS_PER_REGION:
        message = f"User: {caller.account_id} already has {CHANNELS_PER_REGION} channels in {caller.region}."
        raise Refused("ChannelMaxLimitExceededException", message)
    return channel


def updated_channel(
    configuration: Configuration, caller: Caller, channel: Channel, members: Mapping[str, Any]
) -> Channel:
    """What an UpdateChannel request makes of the caller's channel. What it does not name stays as it is.

    Raises:
        Refused: as `created_channel`, for name and destinations.
    """
    after = replace(
        channel,
        name=members.get("Name") or channel.name,
        destinations=_destinations(members["Destinations"]) if members.get("Destinations") else channel.destinations,
    )
    _check_name(after, channels_of(configuration, caller))
    return after


def channels_of(configuration: Configuration, caller: Caller) -> Sequence[Channel]:
    """The account's channels in the caller's region, ordered by id."""
    channels = (
        channel
        for channel in configuration.channels.values()
        if (channel.account_id, channel.region) == (caller.account_id, caller.region)
    )
    return sorted(channels, key=lambda channel: channel.id)


def find_channel(configuration: Configuration, caller: Caller, arn_or_id: str) -> Channel:
    """The caller's channel of an ARN or an id, in the caller's region.

    Raises:
        Refused: ChannelARNInvalidException, ChannelNotFoundException.
    """
    try:
        channel = named_channel(configuration, caller.region, arn_or_id)
    except InvalidChannelArn as error:
        raise Refused("ChannelARNInvalidException", str(error)) from error
    if channel is None or channel.account_id != caller.account_id:
        raise Refused("ChannelNotFoundException", f"Unknown channel: {arn_or_id} for the user: {caller.account_id}")
    return channel


def named_channel(configuration: Configuration, region: str, arn_or_id: str) -> Channel | None:
    """The channel of an ARN, or of an id alone, in a region; of whatever account. Raises InvalidChannelArn."""
    by_arn = _CHANNEL_ARN.fullmatch(arn_or_id)
    if by_arn is None and not _CHANNEL_ID.fullmatch(arn_or_id):
        raise InvalidChannelArn(f"{arn_or_id[:256]} is neither the ARN nor the id of a channel.")
    channel = configuration.channels.get(arn_or_id if by_arn is None else by_arn["id"])
    if channel is None or channel.region != region or (by_arn is not None and channel.arn != arn_or_id):
        return None
    return channel


def _check_source(source: str) -> None:
    """Any name is taken: there are no partners whose names would be known. Those of AWS services are theirs."""
    if source != source.strip() or not source.isprintable():
        raise Refused("InvalidSourceException", "Source has printable characters, and no space at its ends.")
    if is_aws_service(source):
        raise Refused("InvalidSourceException", f"{source} is an AWS service; a channel is for a source outside AWS.")


def _destinations(destinations: Sequence[Mapping[str, str]]) -> tuple[Destination, ...]:
    if len(destinations) != 1:
        raise Refused("InvalidParameterException", f"A channel has one destination here: {EVENT_BUS}.")
    kind, location = destinations[0]["Type"], destinations[0]["Location"]
    if kind != EVENT_STORE:
        message = f"Channels to AWS services are made by these services only; Type must be {EVENT_STORE}."
        raise Refused("InvalidParameterException", message)
    if location == EVENT_BUS:
        return (Destination(kind, location),)
    where = (
        f"There are no event data stores here; a channel leads to trails and event history: Location is {EVENT_BUS}."
    )
    if location.startswith("arn:") and not _EVENT_STORE_ARN.fullmatch(location):
        raise Refused("EventDataStoreARNInvalidException", f"{location} is not the ARN of an event data store. {where}")
    raise Refused("EventDataStoreNotFoundException", where)


def _check_name(channel: Channel, others: Sequence[Channel]) -> None:
    if any(other.name == channel.name and other.id != channel.id for other in others):
        raise _exists(f"Channel {channel.name} already exists for user: {channel.account_id}")


def _exists(message: str) -> Refused:
    return Refused("ChannelAlreadyExistsException", message)

"""Channels: CreateChannel, UpdateChannel, GetChannel, ListChannels, DeleteChannel.

A channel leads to the event bus, and so to the account's trails and event history
(docs/adr/0015-channels-lead-to-the-event-bus.md).
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from opentrail.trails.channel import Channel
from opentrail.trails.channel_requests import channels_of, created_channel, find_channel, updated_channel
from opentrail.trails.configuration import Kind, channel_body
from opentrail.trails.refused import Refused
from opentrail.trails.tags import tags_list_of
from opentrail_backends.state.port import NewChange
from opentrail_control_plane.operations.context import Context, Reply
from opentrail_control_plane.paging import opened, seal

_PAGE = 1000
"""Channels on a page of ListChannels unless it asks for fewer: the model's greatest MaxResults."""


def create_channel(context: Context, members: dict[str, Any]) -> Reply:
    """CreateChannel."""
    channel = created_channel(context.configuration, context.caller, members, channel_id=str(uuid4()))
    tags = tags_list_of(channel.tags) if "Tags" in members else None
    return Reply({**_channel(channel), "Tags": tags}, [_change(channel)])


def update_channel(context: Context, members: dict[str, Any]) -> Reply:
    """UpdateChannel: another name, or other destinations."""
    channel = find_channel(context.configuration, context.caller, members["Channel"])
    after = updated_channel(context.configuration, context.caller, channel, members)
    return Reply(_channel(after), [_change(after)])


def get_channel(context: Context, members: dict[str, Any]) -> Reply:
    """GetChannel."""
    return Reply(_channel(find_channel(context.configuration, context.caller, members["Channel"])))


def list_channels(context: Context, members: dict[str, Any]) -> Reply:
    """ListChannels: the account's channels of this region, by id."""
    query = {
        "operation": "ListChannels",
        "account": context.account_id,
        "region": context.region,
        "size": members.get("MaxResults"),
    }
    after = ""
    if "NextToken" in members:
        place = opened(context.ports.token_key, query, members["NextToken"])
        if place is None:
            raise Refused("InvalidNextTokenException", "The token is not valid for this request.")
        after = place[0]
    channels = [channel for channel in channels_of(context.configuration, context.caller) if channel.id > after]
    page = channels[: members.get("MaxResults", _PAGE)]
    more = len(channels) > len(page)
    return Reply(
        {
            "Channels": [{"ChannelArn": channel.arn, "Name": channel.name} for channel in page],
            "NextToken": seal(context.ports.token_key, query, [page[-1].id]) if more else None,
        }
    )


def delete_channel(context: Context, members: dict[str, Any]) -> Reply:
    """DeleteChannel, and its resource policy with it."""
    channel = find_channel(context.configuration, context.caller, members["Channel"])
    changes = [NewChange(Kind.CHANNEL, channel.id, None)]
    if channel.arn in context.configuration.resource_policies:
        changes.append(NewChange(Kind.RESOURCE_POLICY, channel.arn, None))
    return Reply({}, changes)


def _channel(channel: Channel) -> dict[str, Any]:
    return {
        "ChannelArn": channel.arn,
        "Name": channel.name,
        "Source": channel.source,
        "Destinations": [{"Type": one.type, "Location": one.location} for one in channel.destinations],
    }


def _change(channel: Channel) -> NewChange:
    return NewChange(Kind.CHANNEL, channel.id, channel_body(channel))

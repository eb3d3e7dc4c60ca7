"""Tags of trails and channels: AddTags, RemoveTags, ListTags."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from opentrail.trails.channel import Channel
from opentrail.trails.configuration import Kind, channel_body
from opentrail.trails.names import parse_trail_arn
from opentrail.trails.refused import Refused
from opentrail.trails.tags import Tags, tags_list_of, with_tags, without_tags
from opentrail.trails.trail import Trail
from opentrail.trails.visibility import may_change, named_trail
from opentrail_backends.state.port import NewChange
from opentrail_control_plane.operations.context import Context, Reply
from opentrail_control_plane.operations.trail_changes import changes_of

MAX_RESOURCES = 20
"""ARNs in one ListTags (CloudTrail)."""

_ARN = re.compile(
    r"arn:aws[a-z-]*:cloudtrail:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):(?P<type>[a-z]+)/(?P<id>[^/]+)"
)


def add_tags(context: Context, members: dict[str, Any]) -> Reply:
    """AddTags: a key that is there gets the new value. Raises Refused, as `with_tags`, and what `_resource` says."""
    return _retagged(context, members, with_tags)


def remove_tags(context: Context, members: dict[str, Any]) -> Reply:
    """RemoveTags: a key that is not there is no error. Raises Refused, what `_resource` says."""
    return _retagged(context, members, without_tags)


def list_tags(context: Context, members: dict[str, Any]) -> Reply:
    """ListTags: of each resource, in the order they were asked for, its tags by key.

    Raises Refused, what `_resource` says; InvalidTokenException; ValidationException for too many ARNs.
    """
    if members.get("NextToken"):
        raise Refused("InvalidTokenException", "This list has one page; there is no token to go on with.")
    asked = members["ResourceIdList"]
    if len(asked) > MAX_RESOURCES:
        raise Refused("ValidationException", f"ResourceIdList has at most {MAX_RESOURCES} ARNs; got {len(asked)}.")
    resources = [_resource(context, arn) for arn in dict.fromkeys(asked)]
    return Reply({"ResourceTagList": [{"ResourceId": one.arn, "TagsList": _by_key(one.tags)} for one in resources]})


def _by_key(tags: Tags) -> list[dict[str, str | None]]:
    return tags_list_of(dict(sorted(tags.items())))


def _retagged(context: Context, members: dict[str, Any], retag: Callable[[Tags, list[Any]], Tags]) -> Reply:
    resource = _resource(context, members["ResourceId"], to_change=True)
    tags = retag(resource.tags, members["TagsList"])
    if tags == resource.tags:
        return Reply({})
    if isinstance(resource, Trail):
        return Reply({}, changes_of(replace(resource, tags=tags), resource))
    return Reply({}, [NewChange(Kind.CHANNEL, resource.id, channel_body(replace(resource, tags=tags)))])


def _resource(context: Context, arn: str, *, to_change: bool = False) -> Trail | Channel:
    """The trail or channel with an ARN, at home in the caller's region.

    An organization's trail has its tags in the management account, for it and the delegated administrators.

    Raises Refused: CloudTrailARNInvalidException, InvalidTrailNameException, ResourceTypeNotSupportedException,
    ResourceNotFoundException, EventDataStoreNotFoundException, and to change, NotOrganizationMasterAccountException and
    ChannelNotFoundException.
    """
    match = _ARN.fullmatch(arn)
    if match is None:
        raise Refused("CloudTrailARNInvalidException", f"{arn[:256]} is not the ARN of a resource of CloudTrail.")
    if match["region"] != context.region:
        message = f"Region in ARN is wrong, you can only access resources in region {context.region}."
        raise Refused("CloudTrailARNInvalidException", message)
    match match["type"]:
        case "trail":
            return _trail(context, arn, to_change=to_change)
        case "channel":
            _check_account(context, match["account"])
            channel = context.configuration.channels.get(match["id"])
            if channel is not None and channel.arn == arn:
                return channel
            code = "ChannelNotFoundException" if to_change else "ResourceNotFoundException"
            raise Refused(code, f"There is no channel {arn}.")
        case "eventdatastore":
            raise Refused("EventDataStoreNotFoundException", f"There is no event data store {arn}.")
        case "dashboard":
            raise Refused("ResourceNotFoundException", f"There is no dashboard {arn}.")
        case other:
            raise Refused("ResourceTypeNotSupportedException", f"Resources of type {other} have no tags.")


def _trail(context: Context, arn: str, *, to_change: bool) -> Trail:
    account_id = parse_trail_arn(arn).account_id
    trail = named_trail(context.configuration, context.caller, arn)
    if trail is None:
        _check_account(context, account_id)
        raise Refused("ResourceNotFoundException", f"There is no trail {arn}.")
    if not may_change(context.configuration, context.account_id, trail):
        if to_change:
            message = "The organization's trails are tagged by its management account and delegated administrators."
            raise Refused("NotOrganizationMasterAccountException", message)
        _check_account(context, account_id)
    return trail


def _check_account(context: Context, account_id: str) -> None:
    if account_id != context.account_id:
        message = f"AccountID in ARN is wrong, you can only access resources with AccountID {context.account_id}."
        raise Refused("CloudTrailARNInvalidException", message)

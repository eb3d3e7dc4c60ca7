"""Resource policies of channels: PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy.

CloudTrail's default policy for delegated administrators is about event data stores, so no answer has one.
"""

from __future__ import annotations

from typing import Any

from opentrail.trails.channel_policies import new_policy, policy_of, resource_of
from opentrail.trails.configuration import Kind, resource_policy_body
from opentrail_backends.state.port import NewChange
from opentrail_control_plane.operations.context import Context, Reply


def put_resource_policy(context: Context, members: dict[str, Any]) -> Reply:
    """PutResourcePolicy: it replaces the one that was there."""
    channel = resource_of(context.configuration, context.caller, members["ResourceArn"])
    policy = new_policy(channel, members["ResourcePolicy"])
    change = NewChange(Kind.RESOURCE_POLICY, policy.id, resource_policy_body(policy))
    return Reply({"ResourceArn": policy.id, "ResourcePolicy": policy.policy}, [change])


def get_resource_policy(context: Context, members: dict[str, Any]) -> Reply:
    """GetResourcePolicy: the text as it was put."""
    channel = resource_of(context.configuration, context.caller, members["ResourceArn"])
    policy = policy_of(context.configuration, channel)
    return Reply({"ResourceArn": policy.id, "ResourcePolicy": policy.policy})


def delete_resource_policy(context: Context, members: dict[str, Any]) -> Reply:
    """DeleteResourcePolicy: only the channel's owner may put events into it from then on."""
    channel = resource_of(context.configuration, context.caller, members["ResourceArn"])
    policy = policy_of(context.configuration, channel)
    return Reply({}, [NewChange(Kind.RESOURCE_POLICY, policy.id, None)])

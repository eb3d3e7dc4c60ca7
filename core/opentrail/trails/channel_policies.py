"""Resource policies of channels: what one may say, and whether it lets a caller put events (reference §5.3, §11.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

from opentrail.evidence.times import format_time
from opentrail.policies.conditions import Condition, is_known_operator
from opentrail.policies.patterns import has_variable
from opentrail.policies.resource_policy import Decision, InvalidPolicy, Policy, PolicyRequest, Principal, parse_policy
from opentrail.policies.statement import Statement
from opentrail.trails.caller import Caller
from opentrail.trails.channel import Channel, ResourcePolicy
from opentrail.trails.channel_requests import named_channel
from opentrail.trails.configuration import Configuration
from opentrail.trails.refused import Refused

PUT_AUDIT_EVENTS = "cloudtrail-data:PutAuditEvents"
"""The one action of a channel's policy."""
MAX_STATEMENTS = 20
MAX_PRINCIPALS = 50
"""Of one statement."""

_RESOURCE = re.compile(r"arn:aws[a-z-]*:cloudtrail:[a-z0-9-]+:[0-9]{12}:(?P<type>[a-z]+)/[A-Za-z0-9._-]+")
_OTHER_TYPES = frozenset({"eventdatastore", "dashboard", "trail"})

_parsed = lru_cache(maxsize=1024)(parse_policy)


class EventSender(NamedTuple):
    """Who calls PutAuditEvents."""

    caller: Caller
    arn: str
    user_name: str
    """Empty: the account's root."""
    organization_id: str | None
    external_id: str | None


_CONTEXT: Mapping[str, Callable[[EventSender, int], str | None]] = {
    "cloudtrail:ExternalId": lambda sender, _now: sender.external_id,
    "aws:PrincipalAccount": lambda sender, _now: sender.caller.account_id,
    "aws:PrincipalArn": lambda sender, _now: sender.arn,
    "aws:PrincipalOrgID": lambda sender, _now: sender.organization_id,
    "aws:PrincipalType": lambda sender, _now: "User" if sender.user_name else "Account",
    "aws:PrincipalIsAWSService": lambda _sender, _now: "false",
    "aws:username": lambda sender, _now: sender.user_name or None,
    "aws:RequestedRegion": lambda sender, _now: sender.caller.region,
    "aws:CurrentTime": lambda _sender, now: format_time(now),
    "aws:EpochTime": lambda _sender, now: str(now),
    "aws:SourceAccount": lambda _sender, _now: None,
    "aws:SourceArn": lambda _sender, _now: None,
}
"""The condition keys of a call of PutAuditEvents."""
_KNOWN_KEYS = frozenset(map(str.lower, _CONTEXT))


def resource_of(configuration: Configuration, caller: Caller, arn: str) -> Channel:
    """The caller's channel that a request about resource policies names.

    Raises:
        Refused: ResourceARNNotValidException, ResourceTypeNotSupportedException, ResourceNotFoundException.
    """
    resource = _RESOURCE.fullmatch(arn)
    if resource is None or resource["type"] not in {"channel", *_OTHER_TYPES}:
        raise Refused("ResourceARNNotValidException", f"{arn} is not the ARN of a channel.")
    if resource["type"] != "channel":
        message = f"Resource policies are for channels here; {arn} is of the type {resource['type']}."
        raise Refused("ResourceTypeNotSupportedException", message)
    channel = named_channel(configuration, caller.region, arn)
    if channel is None or channel.account_id != caller.account_id:
        raise Refused("ResourceNotFoundException", f"Unknown channel: {arn} for the user: {caller.account_id}")
    return channel


def policy_of(configuration: Configuration, channel: Channel) -> ResourcePolicy:
    """The channel's policy.

    Raises:
        Refused: ResourcePolicyNotFoundException.
    """
    policy = configuration.resource_policies.get(channel.arn)
    if policy is None:
        raise Refused("ResourcePolicyNotFoundException", f"{channel.arn} has no resource policy.")
    return policy


def new_policy(channel: Channel, text: str) -> ResourcePolicy:
    """The policy that a PutResourcePolicy request gives a channel.

    A policy that could never be judged is refused: it would let nobody in without a word.

    Raises:
        Refused: ResourcePolicyNotValidException.
    """
    try:
        statements = parse_policy(text).statements
    except InvalidPolicy as error:
        raise Refused("ResourcePolicyNotValidException", str(error)) from error
    if len(statements) > MAX_STATEMENTS:
        raise _not_valid(f"The policy has {len(statements)} statements; at most {MAX_STATEMENTS} are allowed.")
    for statement in statements:
        _check_statement(statement, channel)
    return ResourcePolicy(id=channel.arn, account_id=channel.account_id, policy=text)


def may_put_events(configuration: Configuration, channel: Channel, sender: EventSender, now: int) -> bool:
    """Whether the caller may put events into a channel.

    The owner may unless the channel's policy denies it, others if the policy allows it. `now` is in epoch seconds.
    """
    kept = configuration.resource_policies.get(channel.arn)
    policy = Policy(()) if kept is None else _parsed(kept.policy)
    decision = policy.decides(_request(channel, sender, now))
    if sender.caller.account_id == channel.account_id:
        return decision is not Decision.DENIED
    return decision is Decision.ALLOWED


def _check_statement(statement: Statement, channel: Channel) -> None:
    principals = statement.principals
    if len(principals.values) > MAX_PRINCIPALS:
        raise _not_valid(f"A statement has {len(principals.values)} principals; at most {MAX_PRINCIPALS} are allowed.")
    for principal in principals.values:
        if principal != "*" and not principal.startswith("AWS:"):
            raise _not_valid(f"The principal {principal[:200]} is no account, user or role.")
    if statement.allows and principals.negated:
        raise _not_valid("A statement with NotPrincipal can only deny.")
    actions = {action.lower() for action in statement.actions.values}
    if statement.actions.negated or actions != {PUT_AUDIT_EVENTS.lower()}:
        raise _not_valid(f"Action must be {PUT_AUDIT_EVENTS}.")
    if statement.resources.negated or set(statement.resources.values) != {channel.arn}:
        raise _not_valid(f"Resource must be the channel's ARN, {channel.arn}.")
    for condition in statement.conditions:
        _check_condition(condition)


def _check_condition(condition: Condition) -> None:
    if not is_known_operator(condition.operator):
        raise _not_valid(f"There is no condition operator {condition.operator[:100]!r}.")
    if condition.key not in _KNOWN_KEYS:
        raise _not_valid(
            f"The condition key {condition.key[:100]!r} is not known here; known are {', '.join(sorted(_CONTEXT))}."
        )
    if condition.has_variables and any(map(has_variable, condition.values)):
        raise _not_valid("Policy variables are not supported.")


def _request(channel: Channel, sender: EventSender, now: int) -> PolicyRequest:
    return PolicyRequest(
        principal=Principal(account_id=sender.caller.account_id, arn=sender.arn),
        action=PUT_AUDIT_EVENTS,
        resource=channel.arn,
        context={key: value_of(sender, now) for key, value_of in _CONTEXT.items()},
    )


def _not_valid(message: str) -> Refused:
    return Refused("ResourcePolicyNotValidException", message)

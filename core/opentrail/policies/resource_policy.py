"""IAM's resource policies, as channels, buckets, topics and keys have them: read, and asked about a request.

What cannot be judged here (an unknown condition operator, a condition key of which nothing is known, a policy
variable) never lets an Allow apply and always lets a Deny apply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn

from opentrail.policies.conditions import Condition
from opentrail.policies.statement import ACCOUNT, IDENTITY, UNIQUE_ID, Element, PolicyRequest, Principal, Statement

__all__ = ["Decision", "InvalidPolicy", "Policy", "PolicyRequest", "Principal", "parse_policy"]

MAX_POLICY_CHARACTERS = 65_536
"""Twice what any service takes: a key's policy has at most 32 KB, a bucket's 20 KB, a channel's 8,192 characters."""

_VERSIONS = ("2008-10-17", "2012-10-17")
_IN_POLICY = frozenset({"Version", "Id", "Statement"})
_IN_STATEMENT = frozenset(
    {
        *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource"),
        "Condition",
    }
)
_PRINCIPAL_TYPES = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})


class InvalidPolicy(ValueError):
    """The text is no resource policy. The message is a sentence that says why."""


class Decision(StrEnum):
    """What a policy says about a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NOT_MENTIONED = "not mentioned"
    """No statement applies: whether the request may be made is for others to say, the resource's owner for example."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy that was read."""

    statements: tuple[Statement, ...]

    def decides(self, request: PolicyRequest) -> Decision:
        """What the policy says about a request. A Deny that applies wins over every Allow."""
        context = {key.lower(): value for key, value in request.context.items()}
        decision = Decision.NOT_MENTIONED
        for statement in self.statements:
            about_it = statement.judge(request, context)
            if about_it is False:
                continue
            if not statement.allows:
                return Decision.DENIED
            if about_it:
                decision = Decision.ALLOWED
        return decision


def parse_policy(text: str) -> Policy:
    """The policy of a JSON text, as strictly read as IAM reads it. Raises InvalidPolicy."""
    if len(text) > MAX_POLICY_CHARACTERS:
        raise InvalidPolicy(f"The policy has {len(text)} characters; at most {MAX_POLICY_CHARACTERS} are read.")
    try:
        policy = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except InvalidPolicy:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidPolicy(f"The policy is not valid JSON: {str(error)[:200]}.") from None
    if not isinstance(policy, dict):
        raise InvalidPolicy("The policy is not a JSON object.")
    _refuse_unknown(policy, _IN_POLICY, "The policy")
    version = policy.get("Version", _VERSIONS[0])
    if version not in _VERSIONS:
        raise InvalidPolicy(f"Version is one of {', '.join(_VERSIONS)}.")
    if not isinstance(policy.get("Id", ""), str):
        raise InvalidPolicy("Id is not a string.")
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise InvalidPolicy("Statement is not an object or a list of at least one.")
    return Policy(tuple(_statement(statement, version) for statement in statements))


def _statement(statement: Any, version: str) -> Statement:
    if not isinstance(statement, dict):
        raise InvalidPolicy("A statement is not a JSON object.")
    _refuse_unknown(statement, _IN_STATEMENT, "A statement")
    if not isinstance(statement.get("Sid", ""), str):
        raise InvalidPolicy("Sid is not a string.")
    effect = statement.get("Effect")
    if effect not in {"Allow", "Deny"}:
        raise InvalidPolicy("Effect is neither Allow nor Deny.")
    has_variables = version == _VERSIONS[1]
    return Statement(
        allows=effect == "Allow",
        principals=_principals(statement),
        actions=_actions(statement),
        resources=_resources(statement),
        conditions=_conditions(statement.get("Condition", {}), has_variables=has_variables),
        has_variables=has_variables,
    )


def _principals(statement: Mapping[str, Any]) -> Element:
    value, negated = _one_of(statement, "Principal")
    if value == "*":
        return Element(("*",), negated)
    if not isinstance(value, dict) or not value:
        raise InvalidPolicy('Principal is neither "*" nor an object that names at least one.')
    _refuse_unknown(value, _PRINCIPAL_TYPES, "Principal")
    return Element(tuple(_principal(kind, one) for kind in value for one in _texts(value[kind], kind)), negated)


def _principal(kind: str, value: str) -> str:
    if kind != "AWS":
        return f"{kind}:{value}"
    if value == "*":
        return value
    if not any(form.fullmatch(value) for form in (ACCOUNT, IDENTITY, UNIQUE_ID)):
        raise InvalidPolicy(f"The principal {value[:200]!r} is neither an account nor the ARN of one identity.")
    return f"{kind}:{value}"


def _actions(statement: Mapping[str, Any]) -> Element:
    value, negated = _one_of(statement, "Action")
    actions = _texts(value, "Action")
    for action in actions:
        service, colon, name = action.partition(":")
        if action != "*" and not (service and colon and name):
            raise InvalidPolicy(f"The action {action[:200]!r} has not the form service:action.")
    return Element(actions, negated)


def _resources(statement: Mapping[str, Any]) -> Element:
    value, negated = _one_of(statement, "Resource")
    resources = _texts(value, "Resource")
    for resource in resources:
        if resource != "*" and not resource.startswith("arn:"):
            raise InvalidPolicy(f"The resource {resource[:200]!r} is neither an ARN nor a star.")
    return Element(resources, negated)


def _conditions(block: Any, *, has_variables: bool) -> tuple[Condition, ...]:
    if not isinstance(block, dict) or not all(isinstance(by_key, dict) for by_key in block.values()):
        raise InvalidPolicy("Condition is not an object of operators, each an object of keys.")
    return tuple(
        Condition(operator, key.lower(), _texts(values, f"The condition on {key[:100]}", scalars=True), has_variables)
        for operator, by_key in block.items()
        for key, values in by_key.items()
    )


def _one_of(statement: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    """The value of an element or of its negated form, and whether it is the negated one."""
    if (name in statement) == (f"Not{name}" in statement):
        raise InvalidPolicy(f"A statement has exactly one of {name} and Not{name}.")
    negated = name not in statement
    return statement[f"Not{name}" if negated else name], negated


def _texts(value: Any, place: str, *, scalars: bool = False) -> tuple[str, ...]:
    """A text or a list of at least one; with `scalars`, numbers and booleans too, as JSON writes them."""
    values: Sequence[Any] = value if isinstance(value, list) else [value]
    types = (str, int, float) if scalars else (str,)
    if not values or not all(isinstance(one, types) for one in values):
        raise InvalidPolicy(f"{place} is not a string or a list of at least one.")
    return tuple(one if isinstance(one, str) else json.dumps(one) for one in values)


def _refuse_unknown(members: Mapping[str, Any], known: frozenset[str], place: str) -> None:
    unknown = sorted(members.keys() - known)
    if unknown:
        raise InvalidPolicy(f"{place} has the unknown element {unknown[0][:100]!r}.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. A repeated key is refused: what others take the policy for must be what it means here."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidPolicy("The policy has a key twice in one object.")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

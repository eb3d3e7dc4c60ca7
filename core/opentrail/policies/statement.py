"""A statement of an IAM resource policy: who may or may not do what with which resource, and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from opentrail.policies.conditions import Condition
from opentrail.policies.patterns import Verdict, all_of, any_of, has_variable, matches, opposite

ACCOUNT = re.compile(r"(?P<id>[0-9]{12})|arn:aws[a-z-]*:iam::(?P<root>[0-9]{12}):root")
"""An account as principal: its id, or the ARN of its root."""
IDENTITY = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::(?P<account>[0-9]{12}):(?P<kind>[a-z-]+)/(?P<path>[^*?]+)")
"""One user, role or session as principal."""
UNIQUE_ID = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,124}")
"""What AWS puts in place of a principal that was deleted: it stands for nobody any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who makes a request: an AWS service, or somebody of an account."""

    service: str | None = None
    """For example `cloudtrail.amazonaws.com`."""
    account_id: str | None = None
    arn: str | None = None
    """Of the user, the role's session or the account's root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRequest:
    """A request that a policy is asked about."""

    principal: Principal
    action: str
    """For example `s3:PutObject`."""
    resource: str
    """The resource's ARN."""
    context: Mapping[str, str | None] = field(default_factory=dict)
    """Values of condition keys. None: the request is known to have no such key, as `Null` and `…IfExists` ask.

    A key that is not in it is one of which nothing is known: a condition on it cannot be judged.
    """


@dataclass(frozen=True, slots=True)
class Element:
    """The values of Action, Principal or Resource, or with `negated` of NotAction, NotPrincipal or NotResource."""

    values: tuple[str, ...]
    negated: bool = False

    def judge(self, fits: Verdict) -> Verdict:
        """The verdict about the element, from whether one of its values fits."""
        return opposite(fits) if self.negated else fits


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement that was read."""

    allows: bool
    """By its Effect; else it denies."""
    principals: Element
    """Values are `*`, or have their type before them: `AWS:111122223333`, `Service:cloudtrail.amazonaws.com`."""
    actions: Element
    resources: Element
    conditions: tuple[Condition, ...] = ()
    has_variables: bool = True
    """Whether `${…}` in a resource is a variable: in policies of version 2012-10-17."""

    def judge(self, request: PolicyRequest, context: Mapping[str, str | None]) -> Verdict:
        """Whether the statement is about a request; `context` is the request's, its keys in lower case."""
        action = request.action.lower()
        by_element = (
            self.actions.judge(any(matches(pattern.lower(), action) for pattern in self.actions.values)),
            self.principals.judge(any_of(_is_principal(one, request.principal) for one in self.principals.values)),
            self.resources.judge(any_of(self._is_resource(one, request.resource) for one in self.resources.values)),
        )
        if False in by_element:
            return False
        return all_of((*by_element, *(condition.judge(context) for condition in self.conditions)))

    def _is_resource(self, pattern: str, resource: str) -> Verdict:
        if self.has_variables and has_variable(pattern):
            return None
        return matches(pattern, resource)


def _is_principal(wanted: str, principal: Principal) -> Verdict:
    if wanted == "*":
        return True
    kind, _, value = wanted.partition(":")
    if kind == "Service":
        # Whether a service may be named by a star is not documented.
        return None if "*" in value else value == principal.service
    if kind != "AWS" or principal.account_id is None:
        return False  # federated and canonical users do not exist here
    account = ACCOUNT.fullmatch(value)
    if account is not None:
        return principal.account_id in {account["id"], account["root"]}
    identity = IDENTITY.fullmatch(value)
    if identity is None or identity["account"] != principal.account_id:
        return False
    if principal.arn is None:
        return None
    return value == principal.arn or (identity["kind"] == "role" and _is_session(identity["path"], principal.arn))


def _is_session(role_path: str, arn: str) -> bool:
    """Whether an ARN is of a session of a role. A role's name is its own in its account, whatever its path."""
    session = IDENTITY.fullmatch(arn)
    return (
        session is not None
        and session["kind"] == "assumed-role"
        and session["path"].partition("/")[0] == role_path.rpartition("/")[2]
    )

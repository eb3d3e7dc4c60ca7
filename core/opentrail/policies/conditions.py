"""Conditions of IAM policies, judged by what is known of a request.

An operator that is not known here, a key of which nothing is known, a policy variable and a value that is not of the
operator's type leave the verdict open.
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from opentrail.policies.patterns import Verdict, all_of, any_of, has_variable, matches, opposite

Test = Callable[[str, str], Verdict]
"""From one value of the policy and the request's value to whether they fit."""

_FOR_ALL, _FOR_ANY, _IF_EXISTS = "ForAllValues:", "ForAnyValue:", "IfExists"
_ARN_PARTS = 6
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?")


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key."""

    operator: str
    """With its qualifiers, as in `ForAnyValue:StringLikeIfExists`."""
    key: str
    """In lower case: the case of keys means nothing."""
    values: tuple[str, ...]
    """One of them must fit; with a negated operator, none may."""
    has_variables: bool = True
    """Whether `${…}` in a value is a variable: in policies of version 2012-10-17."""

    def judge(self, context: Mapping[str, str | None]) -> Verdict:
        """Whether the condition holds. Keys in `context` are in lower case; what is not in it is not known."""
        if self.key not in context:
            return None
        actual = context[self.key]
        if self.operator == "Null":
            return any_of(_is_null(value, actual) for value in self.values)
        known = _test_of(self.operator)
        if known is None:
            return None
        test, negated = known
        if actual is None:
            if self.operator.startswith(_FOR_ALL) or self.operator.endswith(_IF_EXISTS):
                return True
            return negated and not self.operator.startswith(_FOR_ANY)
        # A request has one value for a key, so that one, any and all of them are the same.
        fits = any_of(
            None if self.has_variables and has_variable(value) else test(value, actual) for value in self.values
        )
        return opposite(fits) if negated else fits


def is_known_operator(name: str) -> bool:
    """Whether conditions with an operator, qualifiers included, can be judged at all."""
    return name == "Null" or _test_of(name) is not None


def _test_of(name: str) -> tuple[Test, bool] | None:
    """The test of an operator, and whether it is negated."""
    for quantifier in (_FOR_ALL, _FOR_ANY):
        if name.startswith(quantifier):
            name = name.removeprefix(quantifier)
            break
    return _TESTS.get(name.removesuffix(_IF_EXISTS))


def _is_null(value: str, actual: str | None) -> Verdict:
    wanted = _boolean(value)
    return None if wanted is None else wanted == (actual is None)


def _equals_ignoring_case(value: str, actual: str) -> Verdict:
    return value.lower() == actual.lower()


def _arn(value: str, actual: str) -> Verdict:
    """Part by part, so that a star does not reach over a colon, but in the last part."""
    wanted, found = (text.split(":", _ARN_PARTS - 1) for text in (value, actual))
    if len(wanted) != _ARN_PARTS or len(found) != _ARN_PARTS:
        return None
    return all_of(map(matches, wanted, found))


def _bool(value: str, actual: str) -> Verdict:
    return _compare(operator.eq, _boolean(actual), _boolean(value))


def _ip_address(value: str, actual: str) -> Verdict:
    try:
        return ipaddress.ip_address(actual) in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _number(text: str) -> Decimal | None:
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _time(text: str) -> Decimal | None:
    """Epoch seconds, from a number of them or an ISO 8601 date with or without a time; UTC where it names no zone."""
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return Decimal((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def _compare(relation: Callable[[Any, Any], bool], actual: Any, value: Any) -> Verdict:
    return None if actual is None or value is None else relation(actual, value)


def _related(read: Callable[[str], Any], relation: Callable[[Any, Any], bool]) -> Test:
    return lambda value, actual: _compare(relation, read(actual), read(value))


_TESTS: Mapping[str, tuple[Test, bool]] = {
    "StringEquals": (operator.eq, False),
    "StringNotEquals": (operator.eq, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (matches, False),
    "StringNotLike": (matches, True),
    "ArnEquals": (_arn, False),
    "ArnLike": (_arn, False),
    "ArnNotEquals": (_arn, True),
    "ArnNotLike": (_arn, True),
    "Bool": (_bool, False),
    "IpAddress": (_ip_address, False),
    "NotIpAddress": (_ip_address, True),
    **{
        f"{kind}{name}": (_related(read, relation), negated)
        for kind, read in (("Numeric", _number), ("Date", _time))
        for name, relation, negated in (
            ("Equals", operator.eq, False),
            ("NotEquals", operator.eq, True),
            ("LessThan", operator.lt, False),
            ("LessThanEquals", operator.le, False),
            ("GreaterThan", operator.gt, False),
            ("GreaterThanEquals", operator.ge, False),
        )
    },
}
"""Each operator's test, and whether it is negated."""

"""Resource policies, judged by an evaluator that shares nothing with the ones in `core`.

It works with sets of what may be: an atom that cannot be judged may be true and may be false. An Allow applies if it
must, a Deny if it may.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from itertools import product

from opentrail.policies.resource_policy import Decision

KINDS = ("String", "Numeric", "Date", "Bool", "IpAddress", "NotIpAddress", "Arn", "Null", "Binary")
"""What the names of condition operators begin with; Binary is one that is not known."""

YES, NO, OPEN = frozenset({True}), frozenset({False}), frozenset({True, False})


@cache
def glob(pattern, text):
    """By the definition, one character at a time."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return glob(pattern[1:], text) or (bool(text) and glob(pattern, text[1:]))
    return bool(text) and pattern[0] in {"?", text[0]} and glob(pattern[1:], text[1:])


def said(value):
    return YES if value else NO


def inverted(outcomes):
    return frozenset(not one for one in outcomes)


def some_of(sets):
    return frozenset(any(world) for world in product(*sets))


def every_of(sets):
    return frozenset(all(world) for world in product(*sets))


def fraction(text):
    return Fraction(text) if re.fullmatch(r"[+-]?\d+(\.\d+)?", text) else None


def seconds(text):
    if fraction(text) is not None:
        return fraction(text)
    for form in ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"):
        try:
            time = datetime.strptime(text, form)
        except ValueError:
            continue
        return Fraction((time.replace(tzinfo=UTC) if form == "%Y-%m-%d" else time).timestamp())
    return None


def bits(text):
    if re.fullmatch(r"\d+(\.\d+){3}", text):
        return "".join(f"{int(part):08b}" for part in text.split("."))
    # The samples of IPv6 have one `::` and nothing else that is special.
    if "::" in text:
        before, after = (list(filter(None, side.split(":"))) for side in text.split("::"))
        groups = before + ["0"] * (8 - len(before) - len(after)) + after
        return "".join(f"{int(group, 16):016b}" for group in groups)
    return None


def address_fits(network, address):
    base, _, length = network.partition("/")
    if bits(base) is None or bits(address) is None:
        return OPEN
    most = int(length) if length else len(bits(base))
    return said(len(bits(base)) == len(bits(address)) and bits(base)[:most] == bits(address)[:most])


def arn_fits(pattern, arn):
    if pattern.count(":") < 5 or arn.count(":") < 5:
        return OPEN
    return said(all(glob(p, a) for p, a in zip(pattern.split(":", 5), arn.split(":", 5), strict=True)))


def ordered(read, relation, actual, value):
    left, right = read(actual), read(value)
    if left is None or right is None:
        return OPEN
    return said(
        {
            "Equals": left == right,
            "LessThan": left < right,
            "LessThanEquals": left <= right,
            "GreaterThan": left > right,
            "GreaterThanEquals": left >= right,
        }[relation]
    )


def value_fits(kind, relation, actual, value, version):
    if version == "2012-10-17" and "${" in value:
        return OPEN
    match kind, relation:
        case "String", "Equals":
            return said(actual == value)
        case "String", "EqualsIgnoreCase":
            return said(actual.upper() == value.upper())
        case "String", "Like":
            return said(glob(value, actual))
        case "Numeric", _:
            return ordered(fraction, relation, actual, value)
        case "Date", _:
            return ordered(seconds, relation, actual, value)
        case "Bool", _:
            words = {actual.lower(), value.lower()}
            return said(len(words) == 1) if words <= {"true", "false"} else OPEN
        case "IpAddress" | "NotIpAddress", _:
            return address_fits(value, actual)
        case "Arn", _:
            return arn_fits(value, actual)
    raise AssertionError


def condition_outcomes(operator, key, values, context, version):
    if key not in context:
        return OPEN
    actual = context[key]
    quantifier, _, name = operator.rpartition(":")
    kind = next(kind for kind in KINDS if name.startswith(kind))
    suffix = name[len(kind) :]
    if_exists = suffix.endswith("IfExists")
    relation = suffix[: -len("IfExists")] if if_exists else suffix
    if kind == "Null" and not quantifier and not if_exists:
        return some_of([{"true": said(actual is None), "false": said(actual is not None)}.get(v, OPEN) for v in values])
    if kind in {"Null", "Binary"} or relation == "Matches":
        return OPEN
    negative = relation.startswith("Not") or kind == "NotIpAddress"
    if actual is None:
        if if_exists or quantifier == "ForAllValues":
            return YES
        return said(negative and quantifier != "ForAnyValue")
    relation = relation.removeprefix("Not")
    fitting = some_of([value_fits(kind, relation, actual, value, version) for value in values])
    return inverted(fitting) if negative else fitting


def principal_outcomes(principals, who):
    if principals == "*":
        return YES
    outcomes = []
    for kind, values in principals.items():
        for value in values:
            if value == "*":
                outcomes.append(YES if kind == "AWS" else OPEN if kind == "Service" else NO)
            elif kind == "Service":
                outcomes.append(said(who.service == value))
            elif kind != "AWS" or who.account_id is None:
                outcomes.append(NO)
            elif re.fullmatch(r"\d{12}", value) or value.endswith(":root"):
                outcomes.append(said(who.account_id in value))
            elif who.arn is None:
                outcomes.append(OPEN if f":{who.account_id}:" in value else NO)
            elif ":role/" in value:
                role = f":assumed-role/{value.split('/')[-1]}/"
                outcomes.append(said(role in who.arn and f":{who.account_id}:" in value))
            else:
                outcomes.append(said(who.arn == value))
    return some_of(outcomes)


def statement_outcomes(statement, request, version):
    parts = []
    for name, outcomes_of in (
        ("Action", lambda values: some_of([said(glob(v.lower(), request.action.lower())) for v in values])),
        (
            "Resource",
            lambda values: some_of(
                [OPEN if version == "2012-10-17" and "${" in v else said(glob(v, request.resource)) for v in values]
            ),
        ),
        ("Principal", lambda values: principal_outcomes(values, request.principal)),
    ):
        if name in statement:
            parts.append(outcomes_of(statement[name]))
        else:
            parts.append(inverted(outcomes_of(statement[f"Not{name}"])))
    context = {key.lower(): value for key, value in request.context.items()}
    parts += [
        condition_outcomes(operator, key.lower(), values, context, version)
        for operator, by_key in statement.get("Condition", {}).items()
        for key, values in by_key.items()
    ]
    return every_of(parts)


def decision_of(policy, request):
    applying = [(one["Effect"], statement_outcomes(one, request, policy["Version"])) for one in policy["Statement"]]
    if any(effect == "Deny" and True in outcomes for effect, outcomes in applying):
        return Decision.DENIED
    if any(effect == "Allow" and False not in outcomes for effect, outcomes in applying):
        return Decision.ALLOWED
    return Decision.NOT_MENTIONED

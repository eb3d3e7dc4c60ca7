"""Which event selectors CloudTrail takes for a trail (reference: CloudTrail §5.5, §5.7, §6).

Wording is CloudTrail's where it is known; other messages are our own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from opentrail.trails.refused import Refused
from opentrail.trails.selectors import (
    S3_OBJECT,
    AdvancedEventSelector,
    BasicEventSelector,
    DataResource,
    FieldSelector,
    is_every_resource,
)

MAX_BASIC_SELECTORS = 5
MAX_DATA_RESOURCES = 250
"""Over all basic selectors of a trail; values that mean every resource do not count."""
MAX_ADVANCED_VALUES = 500
"""Over all conditions of all advanced selectors of a trail."""

EXCLUDABLE_SOURCES = frozenset({"kms.amazonaws.com", "rdsdata.amazonaws.com"})

_PARTITION = r"arn:aws[a-z-]*"
_BASIC_VALUES = {
    S3_OBJECT: re.compile(rf"{_PARTITION}:s3(:::|:::[A-Za-z0-9._-]+/.*)?", re.DOTALL),
    "AWS::Lambda::Function": re.compile(
        rf"{_PARTITION}:lambda(:[a-z0-9-]+:[0-9]{{12}}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9$_-]+)?)?"
    ),
    "AWS::DynamoDB::Table": re.compile(rf"{_PARTITION}:dynamodb(:[a-z0-9-]+:[0-9]{{12}}:table/[A-Za-z0-9_.-]+)?"),
}
_ARN = re.compile(rf"{_PARTITION}:[a-z0-9-]+:[a-z0-9-]*:[0-9]*:.+", re.DOTALL)
_ARNS_OF_TYPE = {
    S3_OBJECT: re.compile(rf"{_PARTITION}:s3:::[A-Za-z0-9._-]+/.+", re.DOTALL),
    "AWS::Lambda::Function": re.compile(rf"{_PARTITION}:lambda:[a-z0-9-]+:[0-9]{{12}}:function:.+"),
    "AWS::DynamoDB::Table": re.compile(rf"{_PARTITION}:dynamodb:[a-z0-9-]+:[0-9]{{12}}:table/.+"),
}


class InvalidEventSelectors(Refused, ValueError):
    """A trail cannot have the event selectors."""

    def __init__(self, message: str) -> None:
        super().__init__("InvalidEventSelectorsException", message)


class _Category(NamedTuple):
    """The fields that an advanced selector for a category of events must and may name (§6.3, trails)."""

    required: frozenset[str]
    optional: frozenset[str]


_CATEGORIES = {
    "Management": _Category(frozenset({"eventCategory"}), frozenset({"readOnly", "eventSource"})),
    "Data": _Category(
        frozenset({"eventCategory", "resources.type"}),
        frozenset(
            {
                "readOnly",
                "eventName",
                "eventSource",
                "eventType",
                "resources.ARN",
                "sessionCredentialFromConsole",
                "userIdentity.arn",
            }
        ),
    ),
    "NetworkActivity": _Category(
        frozenset({"eventCategory", "eventSource"}),
        frozenset({"eventName", "errorCode", "vpcEndpointId", "userIdentity.arn"}),
    ),
}


class _FieldRule(NamedTuple):
    """Operators and values that a field takes. No values: any."""

    operators: frozenset[str]
    values: frozenset[str] = frozenset()
    single: bool = False


_EQUALS = frozenset({"Equals"})
_ALL = frozenset({"Equals", "StartsWith", "EndsWith", "NotEquals", "NotStartsWith", "NotEndsWith"})
_FIELDS = {
    "eventCategory": _FieldRule(_EQUALS, frozenset(_CATEGORIES), single=True),
    "resources.type": _FieldRule(_EQUALS, single=True),
    "readOnly": _FieldRule(_EQUALS, frozenset({"true", "false"})),
    "errorCode": _FieldRule(_EQUALS, frozenset({"VpceAccessDenied"})),
    "sessionCredentialFromConsole": _FieldRule(frozenset({"Equals", "NotEquals"}), frozenset({"true"})),
}
_SOURCES = {
    "Management": _FieldRule(frozenset({"NotEquals"}), EXCLUDABLE_SOURCES),
    "NetworkActivity": _FieldRule(_EQUALS, single=True),
}


def check_basic(selectors: Sequence[BasicEventSelector]) -> None:
    """Raises InvalidEventSelectors unless a trail may have these basic selectors."""
    if not 1 <= len(selectors) <= MAX_BASIC_SELECTORS:
        raise InvalidEventSelectors(
            f"Specify a valid number of selectors (1 to {MAX_BASIC_SELECTORS}) for your trail; got {len(selectors)}."
        )
    for selector in selectors:
        if not selector.include_management_events and not selector.data_resources:
            raise InvalidEventSelectors(
                "Invalid combination of parameters in EventSelectors. "
                "When includeManagementEvents is false, DataResources must not be empty."
            )
        _check_exclusions(selector)
    resources = list(chain.from_iterable(selector.data_resources for selector in selectors))
    for resource in resources:
        _check_data_resource(resource)
    values = chain.from_iterable(resource.values for resource in resources)
    if sum(not is_every_resource(value) for value in values) > MAX_DATA_RESOURCES:
        raise InvalidEventSelectors(
            f"Specify a valid number of DataResources.Values (0 to {MAX_DATA_RESOURCES}) for all your selectors"
        )


def check_advanced(selectors: Sequence[AdvancedEventSelector]) -> None:
    """Raises InvalidEventSelectors unless a trail may have these advanced selectors."""
    if not selectors:
        raise InvalidEventSelectors("Specify at least one advanced event selector.")
    values = sum(
        len(of_operator)
        for selector in selectors
        for field_selector in selector.field_selectors
        for of_operator in field_selector.operators.values()
    )
    if values > MAX_ADVANCED_VALUES:
        raise InvalidEventSelectors(
            f"Specify at most {MAX_ADVANCED_VALUES} values for all conditions of your advanced event selectors; "
            f"got {values}."
        )
    for selector in selectors:
        _check_advanced_selector(selector)


def _check_exclusions(selector: BasicEventSelector) -> None:
    excluded = selector.exclude_management_event_sources
    for source in excluded:
        if source not in EXCLUDABLE_SOURCES:
            raise InvalidEventSelectors(f"Value {source} for ExcludeManagementEventSources is invalid.")
    if excluded and not selector.include_management_events:
        raise InvalidEventSelectors(
            "Invalid combination of parameters in EventSelectors. "
            "When includeManagementEvents is false, ExcludeManagementEventSources must be empty."
        )


def _check_data_resource(resource: DataResource) -> None:
    form = _BASIC_VALUES.get(resource.type)
    if form is None:
        raise InvalidEventSelectors(f"Value {resource.type} for DataResources.Type is invalid.")
    for value in resource.values:
        if not form.fullmatch(value):
            raise InvalidEventSelectors(f"Value {value} for DataResources.Values is invalid.")


def _check_advanced_selector(selector: AdvancedEventSelector) -> None:
    fields = {field_selector.field: field_selector for field_selector in selector.field_selectors}
    if not fields:
        raise InvalidEventSelectors("An advanced event selector has at least one field selector.")
    if len(fields) != len(selector.field_selectors):
        # One field twice could mean both or either; CloudTrail's rule is not documented.
        raise InvalidEventSelectors("A field can be used only once in an advanced event selector.")
    if "eventCategory" not in fields:
        raise InvalidEventSelectors("An advanced event selector needs the field eventCategory.")
    _check_field(fields["eventCategory"], _FIELDS["eventCategory"])
    category = fields["eventCategory"].equals[0]
    required, optional = _CATEGORIES[category]
    for name in sorted(required - fields.keys()):
        raise InvalidEventSelectors(f"An advanced event selector for {category} events needs the field {name}.")
    for name, field_selector in fields.items():
        if name not in required and name not in optional:
            raise InvalidEventSelectors(f"Field {name} is not supported for {category} events.")
        rule = _SOURCES.get(category) if name == "eventSource" else _FIELDS.get(name)
        _check_field(field_selector, rule or _FieldRule(_ALL))
    if "resources.ARN" in fields:
        _check_arns(fields["resources.type"].equals[0], fields["resources.ARN"])


def _check_field(selector: FieldSelector, rule: _FieldRule) -> None:
    operators = selector.operators
    if not operators:
        raise InvalidEventSelectors(f"Field {selector.field} needs an operator with at least one value.")
    for operator, values in operators.items():
        if operator not in rule.operators:
            raise InvalidEventSelectors(f"Operator {operator} is not supported for field {selector.field}.")
        if rule.single and len(values) != 1:
            raise InvalidEventSelectors(f"Field {selector.field} takes exactly one value.")
        for value in values:
            if rule.values and value not in rule.values:
                raise InvalidEventSelectors(f"Value {value} for field {selector.field} is invalid.")


def _check_arns(resource_type: str, selector: FieldSelector) -> None:
    form = _ARNS_OF_TYPE.get(resource_type, _ARN)
    for value in (*selector.equals, *selector.not_equals):
        if not form.fullmatch(value):
            raise InvalidEventSelectors(f"Value {value} for field resources.ARN is no ARN of {resource_type}.")

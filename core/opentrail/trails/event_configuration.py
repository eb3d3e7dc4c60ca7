"""PutEventConfiguration, GetEventConfiguration of a trail (reference: CloudTrail §1.5, §5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from opentrail.trails.refused import Refused
from opentrail.trails.selectors import as_api
from opentrail.trails.trail import EventConfiguration, Trail

_OF_STORES = ("MaxEventSize", "ContextKeySelectors")
"""Settings of event data stores: a trail's events have no context, and one size."""


def with_event_configuration(trail: Trail, members: Mapping[str, Any]) -> Trail:
    """The trail with the request's aggregations in place of those that it had; an empty list removes them.

    Raises:
        Refused: InvalidParameterCombinationException, InvalidParameterException.
    """
    for name in _OF_STORES:
        if members.get(name):
            message = f"{name} is a setting of event data stores and cannot be given with TrailName."
            raise Refused("InvalidParameterCombinationException", message)
    given = members.get("AggregationConfigurations")
    if given is None:
        raise _invalid("Specify AggregationConfigurations.")
    try:
        configuration = msgspec.convert({"aggregation_configurations": given}, EventConfiguration)
    except msgspec.ValidationError as error:
        raise _invalid(f"AggregationConfigurations is not valid: {error}") from error
    for aggregation in configuration.aggregation_configurations:
        if len(set(aggregation.templates)) != len(aggregation.templates):
            raise _invalid("A template is given twice in AggregationConfigurations.")
    return replace(trail, event_configuration=configuration if given else None)


def event_configuration_of(trail: Trail) -> dict[str, Any]:
    """The members that GetEventConfiguration shows of a trail."""
    configuration = trail.event_configuration or EventConfiguration()
    return {"AggregationConfigurations": as_api(configuration.aggregation_configurations)}


def _invalid(message: str) -> Refused:
    return Refused("InvalidParameterException", message)

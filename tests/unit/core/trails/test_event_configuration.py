from __future__ import annotations

import pytest

from opentrail.trails.event_configuration import event_configuration_of, with_event_configuration
from tests.unit.core.trails.trail_samples import refusal, trail

ACTIVITY = {"Templates": ["API_ACTIVITY", "USER_ACTIONS"], "EventCategory": "Data"}


def put(**members):
    return with_event_configuration(trail(), {"TrailName": "audit", **members})


def test_aggregations_come_back_as_they_were_put_and_go_with_an_empty_list():
    assert event_configuration_of(trail()) == {"AggregationConfigurations": []}
    changed = put(AggregationConfigurations=[ACTIVITY])
    assert event_configuration_of(changed) == {"AggregationConfigurations": [ACTIVITY]}
    assert with_event_configuration(changed, {"AggregationConfigurations": []}) == trail()


@pytest.mark.parametrize(
    "setting", [{"MaxEventSize": "Large"}, {"ContextKeySelectors": [{"Type": "TagContext", "Equals": ["team"]}]}]
)
def test_settings_of_event_data_stores_are_refused(setting):
    for more in ({}, {"AggregationConfigurations": [ACTIVITY]}):
        code, message = refusal(put, **setting, **more)
        assert code == "InvalidParameterCombination"
        assert next(iter(setting)) in message


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"AggregationConfigurations": [ACTIVITY, ACTIVITY]},
        {"AggregationConfigurations": [{**ACTIVITY, "EventCategory": "Management"}]},
        {"AggregationConfigurations": [{**ACTIVITY, "Templates": []}]},
        {"AggregationConfigurations": [{**ACTIVITY, "Templates": ["OTHER"]}]},
        {"AggregationConfigurations": [{**ACTIVITY, "Templates": ["API_ACTIVITY", "API_ACTIVITY"]}]},
        {"AggregationConfigurations": [{"EventCategory": "Data"}]},
    ],
)
def test_what_is_refused(members):
    assert refusal(put, **members)[0] == "InvalidParameter"

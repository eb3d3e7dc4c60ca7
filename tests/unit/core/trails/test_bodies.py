from __future__ import annotations

import pytest

from opentrail.trails.channel import Channel, Destination, ResourcePolicy
from opentrail.trails.configuration import (
    Change,
    Configuration,
    Kind,
    channel_body,
    channel_from_body,
    resource_policy_body,
    resource_policy_from_body,
    trail_body,
    trail_from_body,
)
from opentrail.trails.trail import AggregationConfiguration, EventConfiguration, InsightSelector, Trail
from tests.unit.core.trails.trail_samples import MEMBER, organization_trail, trail

WHOLE = organization_trail(
    stopped_logging_at=9_000,
    insight_selectors=(
        InsightSelector("ApiCallRateInsight"),
        InsightSelector("ApiErrorRateInsight", ("Management", "Data")),
    ),
    event_configuration=EventConfiguration((AggregationConfiguration(("API_ACTIVITY",), "Data"),)),
    tags={"team": "audit", "empty": None, "": "ü"},
)
CHANNEL = Channel(
    id="8d3b5a0e-5b4c-4a4e-9a0f-0a4f1d0a7c11",
    account_id=MEMBER,
    region="us-east-1",
    name="partner",
    source="Custom",
    destinations=(Destination("EVENT_DATA_STORE", "arn:d"),),
    tags={"team": None},
)
POLICY = ResourcePolicy(id=CHANNEL.arn, account_id=MEMBER, policy='{"Version":"2012-10-17"}')


def test_all_that_a_trail_has_comes_back():
    assert trail_from_body(WHOLE.incarnation, trail_body(WHOLE)) == WHOLE


def test_channels_and_policies_come_back():
    assert channel_from_body(CHANNEL.id, channel_body(CHANNEL)) == CHANNEL
    assert resource_policy_from_body(POLICY.id, resource_policy_body(POLICY)) == POLICY


def test_a_trail_that_an_older_release_wrote_is_read():
    body = {
        "name": "audit",
        "account_id": "111122223333",
        "home_region": "us-east-1",
        "s3_bucket_name": "audit-logs",
        "is_logging": True,
        "logging_session": 2,
        "started_logging_at": 17,
        "event_selectors": {"basic": [{"ReadWriteType": "WriteOnly"}], "advanced": []},
        "a_member_of_a_newer_release": 1,
    }
    read = trail_from_body("i", body)
    assert (read.logging_session, read.stopped_logging_at) == (2, 0)
    assert (read.tags, read.insight_selectors, read.event_configuration) == ({}, (), None)
    assert read.has_custom_event_selectors


@pytest.mark.parametrize(
    "members",
    [
        {"insight_selectors": [{"InsightType": "Other"}]},
        {"event_selectors": {"basic": [{}], "advanced": [{}]}},
        {"tags": {"a": 1}},
        {"event_configuration": {"aggregation_configurations": [{}]}},
    ],
)
def test_a_body_that_cannot_be_read_is_a_value_error(members):
    with pytest.raises(ValueError, match="not a trail"):
        trail_from_body("i", {**trail_body(trail()), **members})


def test_a_configuration_knows_channels_and_policies_until_they_are_deleted():
    before = Configuration().after(
        Change(1, 1, Kind.CHANNEL, CHANNEL.id, channel_body(CHANNEL)),
        Change(2, 2, Kind.RESOURCE_POLICY, POLICY.id, resource_policy_body(POLICY)),
    )
    assert before.channels == {CHANNEL.id: CHANNEL}
    assert before.resource_policies == {CHANNEL.arn: POLICY}
    after = before.after(
        Change(3, 3, Kind.CHANNEL, CHANNEL.id, None), Change(4, 4, Kind.RESOURCE_POLICY, POLICY.id, None)
    )
    assert (after.channels, after.resource_policies) == ({}, {})
    assert before.channels


def test_trails_with_tags_can_be_kept_in_sets():
    assert len({WHOLE, trail(), Trail(**{name: getattr(WHOLE, name) for name in Trail.__dataclass_fields__})}) == 2

"""Terraform's `aws_cloudtrail`: created, read without drift, updated, deleted (reference: CloudTrail §5.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from opentrail_control_plane.rates import LIMITS
from tests.conformance.terraform_provider import DEFAULTS, MAX_ATTEMPTS, Provider, Resource
from tests.conformance.trail_api import ADMINISTRATOR, HOME, MANAGEMENT, TrailApi, trail_api, trail_arn

NAME = "terraformed"
ARN = trail_arn(NAME)
COMPUTED = {"arn": ARN, "home_region": HOME}

EVENTS = {
    "read_write_type": "WriteOnly",
    "include_management_events": True,
    "exclude_management_event_sources": ["kms.amazonaws.com", "rdsdata.amazonaws.com"],
    "data_resource": [
        {"type": "AWS::S3::Object", "values": ["arn:aws:s3:::records/", "arn:aws:s3:::more/prefix"]},
        {"type": "AWS::Lambda::Function", "values": ["arn:aws:lambda"]},
    ],
}
ONLY_DATA = {
    "read_write_type": "All",
    "include_management_events": False,
    "data_resource": [{"type": "AWS::DynamoDB::Table", "values": ["arn:aws:dynamodb"]}],
}
ADVANCED = [
    {"name": "management", "field_selector": [{"field": "eventCategory", "equals": ["Management"]}]},
    {
        "name": "deletions",
        "field_selector": [
            {"field": "eventCategory", "equals": ["Data"]},
            {"field": "resources.type", "equals": ["AWS::S3::Object"]},
            {"field": "eventName", "starts_with": ["Delete"], "not_equals": ["DeleteObjectTagging"]},
            {"field": "readOnly", "equals": ["false"]},
        ],
    },
]
INSIGHTS = [{"insight_type": "ApiCallRateInsight"}, {"insight_type": "ApiErrorRateInsight"}]


@dataclass
class World:
    """Terraform with one resource, and what its configurations can name."""

    api: TrailApi
    terraform: Provider
    least: Resource
    """The least configuration."""
    targets: Resource
    """A key, a topic, a log group and a role."""

    def holds(self, **wanted: Any) -> None:
        """Applies; what is then read is what was wanted, and stays so without another change."""
        configuration = {**self.least, **wanted}
        state = self.terraform.apply(configuration)
        assert state == {**DEFAULTS, **configuration, **COMPUTED}
        assert self.terraform.refresh() == state
        self.terraform.apply(configuration)
        assert not {call for call in self.terraform.calls if not call.startswith(("Describe", "List", "Get"))}


@pytest.fixture(scope="module")
def api(moto_endpoint: str) -> Iterator[TrailApi]:
    with trail_api(moto_endpoint) as served:
        yield served


@pytest.fixture
def world(api: TrailApi) -> Iterator[World]:
    world = made_world(api)
    yield world
    if api.boto3().describe_trails(trailNameList=[ARN])["trailList"]:
        api.boto3().delete_trail(Name=ARN)


def made_world(api: TrailApi, attempts: int = 1) -> World:
    bucket = api.new_bucket(ARN, prefixes=("", "audit/", "elsewhere/"))
    key, _ = api.new_key()
    targets = {
        "kms_key_id": key,
        "sns_topic_name": api.new_topic(ARN).arn.rpartition(":")[2],
        "cloud_watch_logs_group_arn": f"arn:aws:logs:{HOME}:{MANAGEMENT}:log-group:trails:*",
        "cloud_watch_logs_role_arn": f"arn:aws:iam::{MANAGEMENT}:role/to-logs",
    }
    client = api.boto3(attempts=attempts)
    return World(api, Provider(client), {"name": NAME, "s3_bucket_name": bucket}, targets)


def test_the_least_trail(world: World) -> None:
    world.holds()
    world.terraform.destroy()
    assert world.terraform.calls == ["DeleteTrail"]


def test_a_trail_with_everything(world: World) -> None:
    world.holds(
        **world.targets,
        s3_key_prefix="audit",
        enable_log_file_validation=True,
        is_multi_region_trail=True,
        is_organization_trail=True,
        event_selector=[EVENTS, ONLY_DATA],
        insight_selector=INSIGHTS,
        tags={"team": "audit", "cost": "7"},
    )


def test_the_calls_of_a_creation_and_of_a_read(world: World) -> None:
    configuration = {**world.least, "advanced_event_selector": ADVANCED, "insight_selector": INSIGHTS}
    world.terraform.apply(configuration)
    read = ["DescribeTrails", "ListTags", "GetTrailStatus", "GetEventSelectors", "GetInsightSelectors"]
    assert world.terraform.calls == ["CreateTrail", "StartLogging", "PutEventSelectors", "PutInsightSelectors", *read]
    world.terraform.refresh()
    assert world.terraform.calls == read


def test_a_trail_without_selectors_of_its_own_is_read_without_asking_for_them(world: World) -> None:
    world.terraform.apply(world.least)
    world.terraform.refresh()
    assert world.terraform.calls == ["DescribeTrails", "ListTags", "GetTrailStatus"]


@pytest.mark.parametrize(
    "change",
    [
        {"s3_key_prefix": "elsewhere"},
        {"enable_log_file_validation": True},
        {"is_multi_region_trail": True},
        {"is_multi_region_trail": True, "is_organization_trail": True},
        {"include_global_service_events": False},
        {"enable_logging": False},
        {"event_selector": [EVENTS]},
        {"advanced_event_selector": ADVANCED},
        {"insight_selector": INSIGHTS[:1]},
        {"tags": {"team": "audit"}},
    ],
    ids=" ".join,
)
def test_a_setting_is_changed_and_changed_back(world: World, change: dict[str, Any]) -> None:
    world.holds()
    world.holds(**change)
    world.holds()


@pytest.mark.parametrize(
    "pair", [["kms_key_id"], ["sns_topic_name"], ["cloud_watch_logs_group_arn", "cloud_watch_logs_role_arn"]]
)
def test_what_a_trail_writes_to_is_set_and_cleared_by_an_empty_text(world: World, pair: list[str]) -> None:
    world.holds()
    world.holds(**{name: world.targets[name] for name in pair})
    world.holds()


def test_another_bucket(world: World) -> None:
    world.holds(s3_key_prefix="audit")
    world.least["s3_bucket_name"] = world.api.new_bucket(ARN, prefixes=("audit/",))
    world.holds(s3_key_prefix="audit")


def test_selectors_replace_each_other_and_are_removed(world: World) -> None:
    world.holds(event_selector=[EVENTS, ONLY_DATA], insight_selector=INSIGHTS)
    world.holds(advanced_event_selector=ADVANCED, insight_selector=INSIGHTS[1:])
    world.holds(event_selector=[ONLY_DATA | {"include_management_events": True}])
    world.holds()
    assert world.api.boto3().get_event_selectors(TrailName=ARN)["EventSelectors"] == [
        {
            "ReadWriteType": "All",
            "IncludeManagementEvents": True,
            "DataResources": [],
            "ExcludeManagementEventSources": [],
        }
    ]


def test_the_default_written_out_is_no_drift_either(world: World) -> None:
    """HasCustomEventSelectors is false for it: the provider keeps what it knows."""
    world.holds(event_selector=[{"read_write_type": "All", "include_management_events": True}])


def test_tags_come_and_go(world: World) -> None:
    world.holds(tags={"team": "audit", "cost": "7"})
    world.holds(tags={"team": "security", "owner": "x"})
    world.holds()


def test_what_somebody_else_changed_is_drift_and_is_put_right(world: World) -> None:
    world.holds(event_selector=[EVENTS])
    somebody = world.api.boto3()
    somebody.stop_logging(Name=NAME)
    somebody.put_event_selectors(TrailName=NAME, EventSelectors=[{"ReadWriteType": "ReadOnly"}])
    somebody.add_tags(ResourceId=ARN, TagsList=[{"Key": "surprise", "Value": "x"}])
    found = world.terraform.refresh()
    assert found is not None
    assert (found["enable_logging"], found["tags"]) == (False, {"surprise": "x"})
    assert found["event_selector"][0]["read_write_type"] == "ReadOnly"
    world.holds(event_selector=[EVENTS])


def test_a_trail_that_somebody_deleted_is_gone_and_is_made_again(world: World) -> None:
    world.holds()
    world.api.boto3().delete_trail(Name=NAME)
    assert world.terraform.refresh() is None
    world.holds()
    world.api.boto3().delete_trail(Name=NAME)
    world.terraform.destroy()


def test_a_delegated_administrator_applies_the_organizations_trail(world: World) -> None:
    """Its ARN has the management account; all calls after the first use it."""
    world.terraform.client = world.api.boto3(ADMINISTRATOR)
    organization = {"is_organization_trail": True, "is_multi_region_trail": True}
    world.holds(**organization, event_selector=[EVENTS], tags={"team": "audit"})
    world.holds(**organization, enable_logging=False)
    world.terraform.destroy()
    assert world.terraform.calls == ["DeleteTrail"]


def test_what_is_refused_changes_nothing(world: World) -> None:
    world.holds(event_selector=[EVENTS])
    with pytest.raises(ClientError) as refusal:
        world.terraform.apply({**world.least, "event_selector": [EVENTS], "s3_bucket_name": "not-there"})
    assert refusal.value.response["Error"]["Code"] == "S3BucketDoesNotExistException"
    world.holds(event_selector=[EVENTS])


def test_under_the_limits_of_rates_the_providers_own_tries_get_it_through(moto_endpoint: str) -> None:
    """Four writes of a creation in a row, of which one a second is let through."""
    with trail_api(moto_endpoint, LIMITS) as limited:
        world = made_world(limited, attempts=MAX_ATTEMPTS)
        world.holds(event_selector=[EVENTS], insight_selector=INSIGHTS)
        world.terraform.destroy()
        assert world.terraform.retries > 0

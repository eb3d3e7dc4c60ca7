from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.events.batch import SelectorClass
from opentrail.trails.event_selectors import Decision, EventSelectors
from opentrail.trails.routing import is_global_service_event, trail_decision
from opentrail.trails.trail import Trail

TRAIL = Trail(incarnation="i", name="t", account_id="111122223333", home_region="us-east-1", s3_bucket_name="b")
IAM = SelectorClass("Management", "iam.amazonaws.com", "CreateUser", "AwsApiCall", False, ())
OWN_WRITE = SelectorClass(
    "Data", "s3.amazonaws.com", "PutObject", "AwsApiCall", False, ("AWS::S3::Object",), written_by_cloudtrail=True
)
ALL_OBJECTS = EventSelectors.from_api([{"DataResources": [{"Type": "AWS::S3::Object", "Values": ["arn:aws:s3"]}]}])


@pytest.mark.parametrize("source", ["iam", "sts", "cloudfront", "organizations"])
def test_events_of_global_services_are_those_of_the_leading_region(source):
    source += ".amazonaws.com"
    assert is_global_service_event(source, "us-east-1")
    assert is_global_service_event(source, "us-gov-west-1")
    assert not is_global_service_event(source, "eu-west-1")
    assert not is_global_service_event("ec2.amazonaws.com", "us-east-1")


def test_a_trail_without_global_service_events_drops_them_where_they_are_recorded():
    without = replace(TRAIL, include_global_service_events=False)
    assert trail_decision(TRAIL, "us-east-1", IAM) is Decision.YES
    assert trail_decision(without, "us-east-1", IAM) is Decision.NO
    assert trail_decision(without, "eu-west-1", IAM) is Decision.YES
    assert trail_decision(without, "us-east-1", IAM._replace(event_source="ec2.amazonaws.com")) is Decision.YES


def test_a_trail_without_recursive_logging_drops_cloudtrails_own_writes():
    trail = replace(TRAIL, event_selectors=ALL_OBJECTS)
    assert trail_decision(trail, "us-east-1", OWN_WRITE) is Decision.YES
    trail = replace(trail, recursive_logging=False)
    assert trail_decision(trail, "us-east-1", OWN_WRITE) is Decision.NO
    assert trail_decision(trail, "us-east-1", OWN_WRITE._replace(written_by_cloudtrail=False)) is Decision.YES


def test_the_selectors_decide_about_the_rest():
    assert trail_decision(TRAIL, "us-east-1", OWN_WRITE) is Decision.NO

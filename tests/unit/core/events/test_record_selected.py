"""What selectors see of a record."""

from __future__ import annotations

import json

import pytest

from opentrail.events.batch import EventAttributes, SelectorClass
from tests.unit.core.events.record_samples import ACCOUNT, FULL, accepted, checked, text, without


class TestSelected:
    def test_a_data_event_brings_its_resources_and_user(self):
        result = accepted(
            eventSource="s3.amazonaws.com",
            eventName="ListObjects",
            readOnly=True,
            managementEvent=False,
            eventCategory="Data",
            resources=[
                {"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::b/pre"},
                {"accountId": ACCOUNT, "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b"},
                {"ARN": "arn:x"},
                {"type": "AWS::S3::Object", "ARN": None},
            ],
        )
        assert result.selector_class == SelectorClass(
            "Data", "s3.amazonaws.com", "ListObjects", "AwsApiCall", True, ("AWS::S3::Bucket", "AWS::S3::Object")
        )
        resources = (
            ("AWS::S3::Object", "arn:aws:s3:::b/pre"),
            ("AWS::S3::Bucket", "arn:aws:s3:::b"),
            (None, "arn:x"),
            ("AWS::S3::Object", None),
        )
        assert result.attributes == EventAttributes(resources, "arn:aws:iam::111122223333:user/alice")

    def test_a_network_event_keeps_its_error_and_endpoint(self):
        network = {"errorCode": "VpceAccessDenied", "vpcEndpointId": "vpce-1"}
        result = accepted(eventType="AwsVpceEvent", eventCategory="NetworkActivity", **network)
        assert result.selector_class[-2:] == ("VpceAccessDenied", "vpce-1")
        assert result.attributes == EventAttributes((), "arn:aws:iam::111122223333:user/alice")
        assert accepted(**network).selector_class[-2:] == (None, None)

    @pytest.mark.parametrize("category", ["NetworkActivity", "Insight"])
    def test_management_event_is_filled_only_for_the_categories_that_have_it(self, category):
        record = {**without("managementEvent"), "eventCategory": category}
        assert checked(text(record)).raw == text(record)
        record["eventCategory"] = "Data"
        assert json.loads(checked(text(record)).raw)["managementEvent"] is False

    def test_an_insight_needs_no_user_source_and_name(self):
        record = {
            "eventVersion": "1.08",
            "eventTime": FULL["eventTime"],
            "awsRegion": "us-east-1",
            "eventID": FULL["eventID"],
            "eventType": "AwsCloudTrailInsight",
            "recipientAccountId": ACCOUNT,
            "sharedEventID": FULL["eventID"],
            "insightDetails": {"state": "Start"},
            "eventCategory": "Insight",
        }
        result = checked(text(record))
        assert result.raw == text(record)
        assert result.selector_class == SelectorClass("Insight", "", "", "AwsCloudTrailInsight", None, ())

    @pytest.mark.parametrize(
        ("source", "name", "invoked_by", "own"),
        [
            ("s3.amazonaws.com", "PutObject", "cloudtrail.amazonaws.com", True),
            ("logs.amazonaws.com", "PutLogEvents", "cloudtrail.amazonaws.com", True),
            ("s3.amazonaws.com", "GetBucketAcl", "cloudtrail.amazonaws.com", False),
            ("s3.amazonaws.com", "PutObject", "config.amazonaws.com", False),
            ("s3.amazonaws.com", "PutObject", None, False),
        ],
    )
    def test_cloudtrails_own_writes(self, source, name, invoked_by, own):
        identity = {"type": "AWSService", "invokedBy": invoked_by}
        result = accepted(eventSource=source, eventName=name, userIdentity=identity)
        assert result.selector_class.written_by_cloudtrail is own

    @pytest.mark.parametrize(("value", "console"), [("true", True), (True, True), ("false", False), (None, False)])
    def test_sessions_from_the_console(self, value, console):
        result = accepted(sessionCredentialFromConsole=value)
        assert result.selector_class.session_credential_from_console is console

    def test_read_only_may_be_null(self):
        assert accepted(readOnly=None).selector_class.read_only is None
        assert checked(text(without("readOnly"))).selector_class.read_only is None

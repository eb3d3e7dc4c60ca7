"""Selector classes, events and selectors in few words."""

from __future__ import annotations

from opentrail.events.batch import EventAttributes, SelectorClass
from opentrail.trails.event_selectors import Decision, EventSelectors

NO, YES, PER_EVENT = Decision.NO, Decision.YES, Decision.PER_EVENT
MANAGEMENT = SelectorClass("Management", "ec2.amazonaws.com", "RunInstances", "AwsApiCall", False, ())


S3_DATA = SelectorClass(
    "Data", "s3.amazonaws.com", "GetObject", "AwsApiCall", True, ("AWS::S3::Bucket", "AWS::S3::Object")
)
LAMBDA_DATA = SelectorClass("Data", "lambda.amazonaws.com", "Invoke", "AwsApiCall", False, ("AWS::Lambda::Function",))
NETWORK = SelectorClass(
    "NetworkActivity",
    "kms.amazonaws.com",
    "CreateKey",
    "AwsVpceEvent",
    False,
    (),
    error_code="VpceAccessDenied",
    vpc_endpoint_id="vpce-1",
)
INSIGHT = SelectorClass("Insight", "", "", "AwsCloudTrailInsight", None, ())


def event(*arns: str | None, type_: str = "AWS::S3::Object", identity: str | None = None) -> EventAttributes:
    return EventAttributes(tuple((type_, arn) for arn in arns), identity)


def field(name: str, **operators: list[str]) -> dict:
    return {"Field": name, **operators}


def advanced(*fields: dict) -> EventSelectors:
    return EventSelectors.from_api(None, [{"FieldSelectors": list(fields)}])


def data(*fields: dict, resource_type: str = "AWS::S3::Object") -> EventSelectors:
    return advanced(field("eventCategory", Equals=["Data"]), field("resources.type", Equals=[resource_type]), *fields)


def basic(**members) -> EventSelectors:
    return EventSelectors.from_api([members], None)


def objects(*values: str, **members) -> EventSelectors:
    return basic(DataResources=[{"Type": "AWS::S3::Object", "Values": list(values)}], **members)

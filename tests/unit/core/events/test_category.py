from __future__ import annotations

import pytest

from opentrail.events.category import CATEGORIES, EventCategory, category_of

MANAGEMENT, DATA = EventCategory.MANAGEMENT, EventCategory.DATA


@pytest.mark.parametrize(
    ("event_type", "management_event", "source", "name", "types", "category"),
    [
        ("AwsApiCall", True, "s3", "GetObject", ["AWS::S3::Object"], MANAGEMENT),
        ("AwsApiCall", False, "ec2", "RunInstances", [], DATA),
        ("AwsApiCall", None, "ec2", "RunInstances", [], MANAGEMENT),
        ("AwsApiCall", None, "s3", "GetObject", [], DATA),
        ("AwsApiCall", None, "s3", "CreateBucket", ["AWS::S3::Bucket"], MANAGEMENT),
        ("AwsApiCall", None, "s3", "WriteGetObjectResponse", ["AWS::S3::Object"], DATA),
        ("AwsApiCall", None, "dynamodb", "PutItem", ["AWS::DynamoDB::Table"], DATA),
        ("AwsApiCall", None, "dynamodb", "CreateTable", ["AWS::DynamoDB::Table"], MANAGEMENT),
        ("AwsApiCall", None, "lambda", "Invoke", [], DATA),
        ("AwsApiCall", None, "lambda", "CreateFunction20150331", ["AWS::Lambda::Function"], MANAGEMENT),
        ("AwsApiCall", None, "kms", "Decrypt", ["AWS::KMS::Key"], MANAGEMENT),
        ("AwsApiCall", None, "other", "Invoke", [], MANAGEMENT),
        ("AwsServiceEvent", None, "s3", "GetObject", ["AWS::S3::Object"], MANAGEMENT),
        ("AwsConsoleSignIn", None, "signin", "ConsoleLogin", [], MANAGEMENT),
        ("AwsVpceEvent", None, "kms", "CreateKey", [], EventCategory.NETWORK_ACTIVITY),
        ("AwsVpceEvents", True, "kms", "CreateKey", [], EventCategory.NETWORK_ACTIVITY),
        ("AwsCloudTrailInsight", None, "", "", [], EventCategory.INSIGHT),
    ],
)
def test_the_category_of_a_record_that_does_not_tell(event_type, management_event, source, name, types, category):
    derived = category_of(
        event_type=event_type,
        management_event=management_event,
        event_source=f"{source}.amazonaws.com",
        event_name=name,
        resource_types=types,
    )
    assert derived is category


def test_categories_are_found_by_their_text():
    assert "Management" in CATEGORIES
    assert "MANAGEMENT" not in CATEGORIES

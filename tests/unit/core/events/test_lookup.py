"""What event history takes out of a record: the attributes it is found by, and the members of the API's Event."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from msgspec import Raw

from opentrail.events.lookup import (
    INSIGHT_KEYS,
    LookupKey,
    UnreadableRecord,
    api_event,
    lookup_attributes,
    lookup_fields,
)
from opentrail.events.lookup_resources import MAX_RESOURCES, LookupResource
from opentrail.events.lookup_values import MAX_ELEMENTS, elements_of
from tests.unit.core.events.record_samples import FULL, NOW, text

ID = FULL["eventID"]


def fields(**members):
    return lookup_fields(text({"eventID": ID, **members}))


def attributes(**members):
    return lookup_attributes(fields(**members))


def resources(source, parameters=None, **members):
    found = fields(eventSource=f"{source}.amazonaws.com", requestParameters=parameters, **members)
    return [tuple(resource) for resource in found.resources]


# --- Attributes


def test_a_record_has_each_of_the_eight_attributes():
    identity = {"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIAEXAMPLE"}
    listed = [{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::logs"}, {"type": "AWS::S3::Bucket", "ARN": "x"}]
    found = lookup_attributes(lookup_fields(text({**FULL, "userIdentity": identity, "resources": listed})))
    assert found == [
        ("EventId", ID),
        ("EventName", "RunInstances"),
        ("EventSource", "ec2.amazonaws.com"),
        ("ReadOnly", "false"),
        ("AccessKeyId", "AKIAEXAMPLE"),
        ("Username", "alice"),
        ("ResourceName", "arn:aws:s3:::logs"),
        ("ResourceName", "x"),
        ("ResourceType", "AWS::S3::Bucket"),
    ]
    assert {key for key, _ in found} == set(LookupKey)


@pytest.mark.parametrize(("read_only", "expected"), [(True, "true"), (False, "false"), ("true", None), (None, None)])
def test_read_only_is_a_text_and_only_a_boolean_is_one(read_only, expected):
    assert fields(readOnly=read_only).read_only == expected


def test_what_a_record_lacks_or_leaves_empty_is_no_attribute():
    assert attributes() == [("EventId", ID)]
    assert attributes(eventName="", eventSource=None, userIdentity={"accessKeyId": "", "userName": ""}) == [
        ("EventId", ID)
    ]


def test_an_insights_event_names_its_api_in_its_details():
    record = {
        "eventID": ID,
        "eventType": "AwsCloudTrailInsight",
        "eventCategory": "Insight",
        "insightDetails": {"state": "Start", "eventSource": "ssm.amazonaws.com", "eventName": "PutParameter"},
    }
    found = lookup_attributes(lookup_fields(text(record)))
    assert found == [("EventId", ID), ("EventName", "PutParameter"), ("EventSource", "ssm.amazonaws.com")]
    assert {key for key, _ in found} == INSIGHT_KEYS
    assert fields(insightDetails=["eventName"]).event_name is None


# --- Who


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"type": "Root", "accountId": "111122223333"}, "root"),
        ({"type": "Root", "userName": "alias", "invokedBy": "s3.amazonaws.com"}, "root"),
        ({"type": "IAMUser", "userName": "alice", "principalId": "AIDA"}, "alice"),
        ({"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/path/alice"}, "alice"),
        ({"type": "IAMUser", "arn": "arn:aws:iam::111122223333:robot"}, None),
        ({"type": "AssumedRole", "principalId": "AROA:session", "arn": "arn:…:assumed-role/r/session"}, "session"),
        ({"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/role/i-0abc"}, "i-0abc"),
        ({"type": "AssumedRole", "principalId": "AROA"}, None),
        ({"type": "FederatedUser", "principalId": "111122223333:bob"}, "bob"),
        ({"type": "SAMLUser", "userName": "carol@example.com"}, "carol@example.com"),
        ({"type": "AWSService", "invokedBy": "lambda.amazonaws.com"}, "lambda.amazonaws.com"),
        ({"accountId": "111122223333", "invokedBy": "health.amazonaws.com"}, "health.amazonaws.com"),
        ({"type": "AWSAccount", "principalId": "AIDA", "accountId": "444455556666"}, None),
        ({"type": ["Root"], "userName": {"a": 1}, "principalId": 5, "arn": None}, None),
        (None, None),
        ("root", None),
        ([], None),
    ],
)
def test_the_username_is_who_called(identity, expected):
    assert fields(userIdentity=identity).username == expected


def test_a_long_identity_is_read_too():
    identity = {"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIA", "more": "x" * 10_000}
    found = fields(userIdentity=identity)
    assert (found.username, found.access_key_id) == ("alice", "AKIA")


# --- Resources


@pytest.mark.parametrize(
    ("source", "parameters", "expected"),
    [
        ("s3", {"bucketName": "logs", "Host": "x"}, [("AWS::S3::Bucket", "logs")]),
        ("lambda", {"functionName": "f"}, [("AWS::Lambda::Function", "f")]),
        ("iam", {"userName": "alice", "policyArn": "p"}, [("AWS::IAM::User", "alice"), ("AWS::IAM::Policy", "p")]),
        ("sts", {"roleArn": "arn:r", "roleSessionName": "s"}, [("AWS::IAM::Role", "arn:r")]),
        ("dynamodb", {"tableName": "orders"}, [("AWS::DynamoDB::Table", "orders")]),
        ("kms", {"keyId": "alias/a"}, [("AWS::KMS::Key", "alias/a")]),
        ("cloudtrail", {"trailNameList": ["a", "b"]}, [("AWS::CloudTrail::Trail", n) for n in "ab"]),
        (
            "cloudtrail",
            {"name": "t", "s3BucketName": "b"},
            [("AWS::CloudTrail::Trail", "t"), ("AWS::S3::Bucket", "b")],
        ),
        (
            "ec2",
            {"instancesSet": {"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]}},
            [("AWS::EC2::Instance", "i-1"), ("AWS::EC2::Instance", "i-2")],
        ),
        ("ec2", {"resourcesSet": {"items": [{"resourceId": "vpc-1"}]}}, [(None, "vpc-1")]),
        ("new-service", {"kmsKeyId": "k", "bucketName": "not known here"}, [("AWS::KMS::Key", "k")]),
        ("ec2", {"instancesSet": {"items": [["i-1"], 5, {"instanceId": 5}, None]}}, []),
        ("ec2", {"instancesSet": "i-1", "vpcId": ["vpc-1", ["vpc-2"], {}]}, [("AWS::EC2::VPC", "vpc-1")]),
        ("s3", ["bucketName"], []),
    ],
)
def test_well_known_names_in_what_was_called_with_are_resources(source, parameters, expected):
    assert resources(source, parameters) == expected


def test_what_a_service_made_is_a_resource_too():
    made = {"accessKey": {"accessKeyId": "AKIANEW", "userName": "bob"}}
    assert resources("iam", {"userName": "bob"}, responseElements=made) == [
        ("AWS::IAM::User", "bob"),
        ("AWS::IAM::AccessKey", "AKIANEW"),
    ]
    assert resources("s3", None, responseElements={"bucketName": "b"}) == []


def test_resources_that_the_record_names_come_first_and_each_once():
    listed = [
        {"type": "AWS::S3::Bucket", "ARN": "logs"},
        {"ARNPrefix": "arn:aws:s3:::logs/a"},
        {"type": "AWS::S3::Object"},
        {"type": 5, "ARN": None, "accountId": "1"},
        "x",
    ]
    assert resources("s3", {"bucketName": "logs"}, resources=listed) == [
        ("AWS::S3::Bucket", "logs"),
        (None, "arn:aws:s3:::logs/a"),
        ("AWS::S3::Object", None),
    ]


def test_the_number_of_resources_and_attributes_is_bounded():
    listed = [{"type": f"AWS::X::{n}", "ARN": f"arn:{n}"} for n in range(5_000)]
    names = [f"trail-{n}" for n in range(5_000)]
    found = fields(eventSource="cloudtrail.amazonaws.com", resources=listed, requestParameters={"trailNameList": names})
    assert len(found.resources) == MAX_RESOURCES
    assert found.resources[0] == LookupResource("AWS::X::0", "arn:0")
    assert len(lookup_attributes(found)) == 2 + 2 * MAX_RESOURCES


def test_of_a_long_array_the_first_elements_are_looked_at():
    elements = elements_of(Raw(text(list(range(5_000)))))
    assert [int(bytes(element)) for element in elements] == list(range(MAX_ELEMENTS))


def test_values_that_cannot_be_asked_for_are_left_out():
    assert fields(eventName="é" * 2_000).event_name == "é" * 2_000
    assert fields(eventName="é" * 2_001).event_name is None
    assert fields(eventName="x" * 3_000_000).event_name is None
    assert lookup_fields(b'{"eventID":"1","eventName":"' + b"\\ud83d\\ude00" * 2_000 + b'"}').event_name == "😀" * 2_000
    assert resources("s3", {"bucketName": "b" * 2_001}) == []


# --- Records that are not as they should be


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"null",
        b"[]",
        b'"eventID"',
        b'{"eventID":"1"',
        b'{"eventID":"1"}}',
        b"{}",
        b'{"eventID":""}',
        b'{"eventID":7}',
        b'{"eventID":null}',
        b'{"eventID":"1","x":"\xff"}',
        b'\xff{"eventID":"1"}',
        b'{"eventID":"1","x":"\\ud800"}',
        b'{"eventID":"1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"eventID":"%s"}' % (b"x" * 2_001),
    ],
)
def test_what_cannot_be_read_is_one_error(record):
    with pytest.raises(UnreadableRecord):
        lookup_fields(record)
    with pytest.raises(UnreadableRecord):
        api_event(record, NOW)


@pytest.mark.parametrize("member", [*FULL, "resources", "responseElements", "insightDetails", "accessKeyId"])
@pytest.mark.parametrize("value", [None, True, -1.5e300, 10**40, "", [], {}, [[[]]], {"a": [{}]}, "x" * 100_000])
def test_a_wrong_type_costs_no_other_member(member, value):
    if member == "eventID":
        return
    before, after = lookup_fields(text(FULL)), lookup_fields(text({**FULL, member: value}))
    assert after.event_id == ID
    changed = {name for name, one, other in zip(before._fields, before, after, strict=True) if one != other}
    assert len(changed) <= 1 or member == "eventSource"


# --- The API's Event


def test_the_members_of_an_event():
    record = text({**FULL, "userIdentity": {"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIA"}})
    assert api_event(record, NOW) == {
        "EventId": ID,
        "EventName": "RunInstances",
        "ReadOnly": "false",
        "AccessKeyId": "AKIA",
        "EventTime": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
        "EventSource": "ec2.amazonaws.com",
        "Username": "alice",
        "Resources": [],
        "CloudTrailEvent": record.decode(),
    }


def test_resources_of_an_event_may_have_no_type():
    listed = [{"type": "AWS::S3::Bucket", "ARN": "arn:b"}, {"ARN": "arn:c"}]
    assert api_event(text({**FULL, "resources": listed}), NOW)["Resources"] == [
        {"ResourceType": "AWS::S3::Bucket", "ResourceName": "arn:b"},
        {"ResourceType": None, "ResourceName": "arn:c"},
    ]


def test_the_record_is_shown_as_it_is_but_for_its_event_context():
    record = text({**FULL, "unknown": {"Größe": [1.0, 1e3, "\\"]}}, indent=1)
    assert api_event(record, NOW)["CloudTrailEvent"] == record.decode()
    with_context = text({**FULL, "eventContext": {"requestContext": {"a": "b"}}, "more": '"eventContext"'})
    shown = api_event(with_context, NOW)["CloudTrailEvent"]
    assert json.loads(shown) == {**FULL, "more": '"eventContext"'}
    spaced = b" \n" + with_context + b"\t"
    assert api_event(spaced, NOW)["CloudTrailEvent"] == shown

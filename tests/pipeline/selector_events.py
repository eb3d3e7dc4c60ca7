"""Events that differ in what event selectors look at: each class of them in every account and region."""

from __future__ import annotations

from typing import Any

from tests.pipeline.pipeline import EVENT

KMS, RDS_DATA = "kms.amazonaws.com", "rdsdata.amazonaws.com"
ENDPOINTS = ("vpce-0a1b2c3d", "vpce-0e1f2a3b")
OBJECTS = ("logs/a", "logs/pre", "logs/prefix/b.csv", "logs/private/c", "logs-archive/pre/a", "other/a")
FUNCTIONS = ("helloworld", "helloworld2", "goodbye")
TABLES = ("Orders", "Orders2", "Customers")

Record = dict[str, Any]


def function_arn(account: str, region: str, name: str) -> str:
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


def table_arn(account: str, region: str, name: str) -> str:
    return f"arn:aws:dynamodb:{region}:{account}:table/{name}"


def user_arn(account: str, name: str) -> str:
    return f"arn:aws:iam::{account}:user/{name}"


def events_of_every_class(account: str, region: str) -> list[Record]:
    """Management, data and network activity events. They name no time, no id and no account as recipient."""
    return [
        *management_events(account),
        *object_events(account),
        *function_events(account, region),
        *table_events(account, region),
        *network_events(account),
    ]


def management_events(account: str) -> list[Record]:
    """Reads and writes, of the two sources that may be excluded too, and events that no API call made."""
    calls = [
        ("ec2.amazonaws.com", "RunInstances", False),
        ("ec2.amazonaws.com", "DescribeInstances", True),
        ("iam.amazonaws.com", "CreateUser", False),
        ("iam.amazonaws.com", "GetUser", True),
        (KMS, "CreateKey", False),
        (KMS, "Encrypt", True),
        (KMS, "GenerateDataKey", True),
        (RDS_DATA, "ExecuteStatement", False),
        (RDS_DATA, "BeginTransaction", False),
    ]
    records = [
        _event(account, source, name, read_only, user="alice" if number % 2 else "bob")
        for number, (source, name, read_only) in enumerate(calls)
    ]
    bucket = [{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::logs"}]  # a bucket's calls are management events (§6.2)
    return [
        *records,
        _event(account, "s3.amazonaws.com", "PutBucketPolicy", False, resources=bucket),
        _event(account, "signin.amazonaws.com", "ConsoleLogin", False, eventType="AwsConsoleSignIn"),
        _event(account, KMS, "RotateKey", False, eventType="AwsServiceEvent"),
    ]


def object_events(account: str) -> list[Record]:
    """Each object read and written; one call on several objects, one from the console."""
    records = []
    for number, name in enumerate(OBJECTS):
        for api, read_only in (("GetObject", True), ("PutObject", False)):
            user = "alice" if number % 2 else "bob"
            records.append(_data(account, "s3.amazonaws.com", api, read_only, _object(name), user=user))
    several = [*_object("other/b")[:1], *_object("logs/private/d")]
    return [
        *records,
        _data(account, "s3.amazonaws.com", "DeleteObjects", False, several),
        _data(
            account, "s3.amazonaws.com", "GetObjectAcl", True, _object("logs/a"), sessionCredentialFromConsole="true"
        ),
    ]


def function_events(account: str, region: str) -> list[Record]:
    return [
        _data(
            account,
            "lambda.amazonaws.com",
            "Invoke",
            False,
            [{"type": "AWS::Lambda::Function", "ARN": function_arn(account, region, name), "accountId": account}],
            user=user,
        )
        for name in FUNCTIONS
        for user in ("alice", "bob")
    ]


def table_events(account: str, region: str) -> list[Record]:
    """Each table read and written; a read of a stream names the stream and its table."""
    source = "dynamodb.amazonaws.com"
    records = []
    for name in TABLES:
        table = {"type": "AWS::DynamoDB::Table", "ARN": table_arn(account, region, name), "accountId": account}
        stream = {**table, "type": "AWS::DynamoDB::Stream", "ARN": f"{table['ARN']}/stream/2026-01-15T10:00:00.000"}
        records += [
            _data(account, source, "GetItem", True, [table]),
            _data(account, source, "PutItem", False, [table], user="bob"),
            _data(account, source, "GetRecords", True, [stream, table]),
        ]
    return records


def network_events(account: str) -> list[Record]:
    """Calls over two endpoints, allowed and denied."""
    denied = {"errorCode": "VpceAccessDenied", "errorMessage": "The request was denied due to a VPC endpoint policy"}
    return [
        _event(
            account,
            source,
            name,
            read_only,
            user=user,
            eventType="AwsVpceEvent",
            eventCategory="NetworkActivity",
            vpcEndpointId=endpoint,
            **outcome,
        )
        for source, name, read_only in ((KMS, "Encrypt", True), ("ec2.amazonaws.com", "RunInstances", False))
        for endpoint, user in zip(ENDPOINTS, ("alice", "bob"), strict=True)
        for outcome in ({}, denied)
    ]


def _object(name: str) -> list[Record]:
    """What S3 names for a call on an object: the object, and the bucket with its account."""
    return [
        {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{name}"},
        {"type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{name.partition('/')[0]}", "accountId": "111122223333"},
    ]


def _data(
    account: str,
    source: str,
    name: str,
    read_only: bool,
    resources: list[Record],
    **members: Any,
) -> Record:
    return _event(account, source, name, read_only, eventCategory="Data", resources=resources, **members)


def _event(account: str, source: str, name: str, read_only: bool, *, user: str = "alice", **members: Any) -> Record:
    record = {
        **EVENT,
        "userIdentity": {
            "type": "IAMUser",
            "principalId": f"AIDA{user.upper()}",
            "arn": user_arn(account, user),
            "accountId": account,
            "userName": user,
        },
        "eventSource": source,
        "eventName": name,
        "readOnly": read_only,
        **members,
    }
    del record["eventTime"]
    if record["eventCategory"] == "NetworkActivity":
        del record["managementEvent"]
    else:
        record["managementEvent"] = record["eventCategory"] == "Management"
    return record

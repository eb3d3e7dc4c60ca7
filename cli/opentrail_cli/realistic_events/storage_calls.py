"""What calls about buckets, tables, functions, keys, secrets and databases carry.

Each function takes (random, organization, caller, region) and returns members of `Call`. Read-only
calls have no response elements (CloudTrail: null for actions that change nothing).
"""

from __future__ import annotations

from random import Random
from typing import Any

from opentrail_cli.realistic_events.organization import FUNCTIONS, Fill, Organization
from opentrail_cli.realistic_events.record import Caller, make_id, make_uuid

_BUCKETS = ("example-invoices", "example-orders-archive", "example-web-assets", "example-customers")
_OBJECTS = (
    "2026/Rechnungen/März/Übersicht.pdf",
    "請求書/2026年/第{n}号.pdf",
    "orders/eu/part-{n:05}.parquet",
    "orders/us/part-{n:05}.parquet",
    "customers/Łódź/Kowalski-{n}.json",
    "assets/js/app.{n}.js",
    "exports/año-2026/clientes-{n}.csv",
    "backup/db/{n}.dump.zst",
)
_TABLES = ("orders", "baskets", "sessions")
_SECRETS = ("orders/database", "payments/provider-key", "reporting/warehouse")


def bucket(about: str) -> Fill:
    """A bucket's property is read or set."""

    def fill(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
        name = random.choice(_BUCKETS)
        resource = {"accountId": caller.account_id, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{name}"}
        return {
            "parameters": {"bucketName": name, "Host": f"{name}.s3.{region}.amazonaws.com", about: ""},
            "additional": _s3_details(random),
            "resources": [resource],
        }

    return fill


def get_object(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """An object is read or deleted: a data event; the object's entry names no account (CloudTrail: resources)."""
    name = random.choice(_BUCKETS)
    key = random.choice(_OBJECTS).format(n=random.randrange(20000))
    resources = [
        {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{name}/{key}"},
        {"accountId": caller.account_id, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{name}"},
    ]
    return {
        "parameters": {"bucketName": name, "Host": f"{name}.s3.{region}.amazonaws.com", "key": key},
        "additional": {**_s3_details(random), "bytesTransferredOut": random.randrange(400, 900000)},
        "resources": resources,
        "category": "Data",
    }


def put_object(random: Random, organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """An object is written, encrypted."""
    members = get_object(random, organization, caller, region)
    members["response"] = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": _key_arn(random, organization, caller, region),
    }
    return members


def list_objects(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A bucket's objects are listed: a data event on the bucket's objects as a prefix."""
    name = random.choice(_BUCKETS)
    resources = [
        {"type": "AWS::S3::Object", "ARNPrefix": f"arn:aws:s3:::{name}/"},
        {"accountId": caller.account_id, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{name}"},
    ]
    parameters = {"list-type": "2", "bucketName": name, "prefix": "", "Host": f"{name}.s3.{region}.amazonaws.com"}
    return {"parameters": parameters, "additional": _s3_details(random), "resources": resources, "category": "Data"}


def invoke(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A function runs: a data event."""
    arn = f"arn:aws:lambda:{region}:{caller.account_id}:function:{random.choice(FUNCTIONS)}"
    return {
        "parameters": {"functionName": arn, "invocationType": "Event"},
        "additional": {"functionVersion": f"{arn}:$LATEST"},
        "resources": [{"accountId": caller.account_id, "type": "AWS::Lambda::Function", "ARN": arn}],
        "category": "Data",
    }


def item(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A table's item is read or written: a data event."""
    table = random.choice(_TABLES)
    arn = f"arn:aws:dynamodb:{region}:{caller.account_id}:table/{table}"
    return {
        "parameters": {"tableName": table, "key": {"id": make_id(random, "", 12)}, "consistentRead": False},
        "resources": [{"accountId": caller.account_id, "type": "AWS::DynamoDB::Table", "ARN": arn}],
        "category": "Data",
    }


def kms_for_s3(random: Random, organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A data key of an object."""
    key = random.choice(_OBJECTS).format(n=random.randrange(20000))
    return _kms(random, organization, caller, region, {"aws:s3:arn": f"arn:aws:s3:::{random.choice(_BUCKETS)}/{key}"})


def kms_for_secret(random: Random, organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A data key of a secret."""
    return _kms(random, organization, caller, region, {"SecretARN": _secret_arn(random, caller, region)})


def secret(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A secret is read or looked at."""
    return {"parameters": {"secretId": _secret_arn(random, caller, region), "versionStage": "AWSCURRENT"}}


def rotate_secret(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A service rotates a secret: an event of the service's own, without a request."""
    details = {"rotationToken": make_uuid(random), "secretId": _secret_arn(random, caller, region)}
    return {"event_type": "AwsServiceEvent", "extra": {"serviceEventDetails": details}}


def db_instances(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """A database is looked at."""
    return {"parameters": {"dBInstanceIdentifier": random.choice(("orders", "warehouse"))}}


def db_snapshot(random: Random, organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """The backup takes a snapshot."""
    snapshot = f"orders-{make_id(random, '', 8)}"
    response = {
        "dBSnapshotIdentifier": snapshot,
        "dBInstanceIdentifier": "orders",
        "engine": "postgres",
        "status": "creating",
        "allocatedStorage": 200,
        "encrypted": True,
        "kmsKeyId": _key_arn(random, organization, caller, region),
        "dBSnapshotArn": f"arn:aws:rds:{region}:{caller.account_id}:snapshot:{snapshot}",
    }
    return {"parameters": {"dBSnapshotIdentifier": snapshot, "dBInstanceIdentifier": "orders"}, "response": response}


def _s3_details(random: Random) -> dict[str, Any]:
    return {
        "SignatureVersion": "SigV4",
        "CipherSuite": "TLS_AES_128_GCM_SHA256",
        "bytesTransferredIn": 0,
        "AuthenticationMethod": "AuthHeader",
        "x-amz-id-2": make_id(random, "", 76, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"),
    }


def _kms(
    random: Random, organization: Organization, caller: Caller, region: str, context: dict[str, str]
) -> dict[str, Any]:
    arn = _key_arn(random, organization, caller, region)
    return {
        "parameters": {"encryptionContext": context, "encryptionAlgorithm": "SYMMETRIC_DEFAULT", "keyId": arn},
        "resources": [{"accountId": caller.account_id, "type": "AWS::KMS::Key", "ARN": arn}],
    }


def _key_arn(random: Random, organization: Organization, caller: Caller, region: str) -> str:
    return f"arn:aws:kms:{region}:{caller.account_id}:key/{random.choice(organization.keys)}"


def _secret_arn(random: Random, caller: Caller, region: str) -> str:
    return f"arn:aws:secretsmanager:{region}:{caller.account_id}:secret:{random.choice(_SECRETS)}-Ab12Cd"

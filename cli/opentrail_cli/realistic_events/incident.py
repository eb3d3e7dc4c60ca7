"""The incident: a leaked access key, from its first use by a stranger to the responders' last check.

It lies in the middle of the time, takes about forty minutes, and is told by its records alone:
GetCallerIdentity from an address never seen before, enumeration that is mostly denied, a user and a key
of the intruder's own, an attempt to stop the trail, secrets read, a bucket copied out, then the response.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

from opentrail_cli.realistic_events.organization import HOME_REGION, PRODUCTION, Organization, role_session
from opentrail_cli.realistic_events.record import (
    Call,
    Caller,
    GeneratedEvent,
    make_event,
    make_id,
    make_unique_id,
)

INTRUDER_ADDRESS = "192.0.2.199"
LEAKED_USER = "reporting"
INTRUDERS_USER = "support-svc"
STOLEN_BUCKET = "example-customers"

_LENGTH = 40 * 60
_INTRUDER_AGENT = (
    "aws-cli/1.33.2 md/Botocore#1.34.120 ua/2.0 os/linux#6.6.15-amd64 md/arch#x86_64 lang/python#3.11.8 "
    "cfg/retry-mode#legacy"
)
_DESK = "aws-cli/2.22.4 md/awscrt#0.23.4 ua/2.0 os/macos#24.1.0 md/arch#arm64 lang/python#3.12.7"
_ENUMERATION = (
    ("iam", "ListUsers"), ("iam", "ListRoles"), ("iam", "ListAttachedUserPolicies"),
    ("iam", "GetAccountAuthorizationDetails"),
    ("organizations", "DescribeOrganization"), ("organizations", "ListAccounts"), ("ec2", "DescribeInstances"),
    ("ec2", "DescribeRegions"), ("rds", "DescribeDBInstances"), ("lambda", "ListFunctions20150331"),
    ("kms", "ListKeys"),
    ("secretsmanager", "ListSecrets"), ("ssm", "DescribeParameters"), ("s3", "ListBuckets"),
    ("guardduty", "ListDetectors"),
    ("cloudtrail", "DescribeTrails"), ("sts", "GetSessionToken"), ("ses", "GetAccount"), ("ec2", "DescribeSnapshots"),
    ("dynamodb", "ListTables"), ("ecr", "DescribeRepositories"), ("iam", "ListGroups"),
)  # fmt: skip
_ALLOWED = frozenset({"ListUsers", "ListSecrets", "ListBuckets", "DescribeRegions", "DescribeTrails"})
_TRAIL_ARN = f"arn:aws:cloudtrail:{HOME_REGION}:{PRODUCTION}:trail/everything"


class _Step(NamedTuple):
    after: int
    """Seconds since the step before it."""
    caller: Caller
    call: Call


def incident_events(random: Random, organization: Organization, start: int, seconds: int) -> list[GeneratedEvent]:
    """The incident's records; squeezed into the middle half where `seconds` is shorter than it would take."""
    scale = min(1.0, seconds / 2 / _LENGTH)
    offset, records = 0.0, []
    begin = start + (seconds - _LENGTH * scale) / 2
    for step in _story(random, organization, int(begin)):
        offset += step.after * scale
        records.append(make_event(random, step.caller, step.call, int(begin + offset)))
    return records


def _story(random: Random, organization: Organization, begin: int) -> Iterator[_Step]:
    victim = next(user for user in organization.iam_users if user.identity["userName"] == LEAKED_USER)
    intruder = replace(victim, source_ip=INTRUDER_ADDRESS, user_agent=_INTRUDER_AGENT)
    session = role_session(
        random, begin, PRODUCTION, "incident-responder", "aiko.tanaka", "2001:db8:4a:1::7f", _DESK, mfa=True
    )
    yield _Step(0, intruder, _call("sts", "GetCallerIdentity", read_only=True))
    yield from _enumeration(random, intruder)
    yield from _foothold(random, intruder)
    yield from _theft(random, intruder)
    yield from _response(random, session, victim)


def _enumeration(random: Random, intruder: Caller) -> Iterator[_Step]:
    arn = intruder.identity["arn"]
    for source, name in _ENUMERATION:
        action = f"{source}:{name.removesuffix('20150331')}"
        refusal = (
            f"User: {arn} is not authorized to perform: {action} "
            f"because no identity-based policy allows the {action} action"
        )
        error = None if name in _ALLOWED else ("AccessDenied", refusal)
        yield _Step(random.randrange(2, 12), intruder, _call(source, name, read_only=True, error=error))


def _foothold(random: Random, intruder: Caller) -> Iterator[_Step]:
    key = {"accessKeyId": make_unique_id(random, "AKIA"), "status": "Active", "userName": LEAKED_USER}
    arn = f"arn:aws:iam::{PRODUCTION}:user/{INTRUDERS_USER}"
    user = {"userName": INTRUDERS_USER, "userId": make_unique_id(random, "AIDA"), "arn": arn, "path": "/"}
    policy = "arn:aws:iam::aws:policy/AdministratorAccess"
    yield _Step(
        140,
        intruder,
        _call("iam", "CreateAccessKey", parameters={"userName": LEAKED_USER}, response={"accessKey": key}),
    )
    yield _Step(
        35, intruder, _call("iam", "CreateUser", parameters={"userName": INTRUDERS_USER}, response={"user": user})
    )
    denied = ("AccessDenied", f"User: {intruder.identity['arn']} is not authorized to perform: iam:AttachUserPolicy")
    attach = {"userName": INTRUDERS_USER, "policyArn": policy}
    yield _Step(20, intruder, _call("iam", "AttachUserPolicy", parameters=attach, error=denied))
    denied = ("AccessDenied", f"User: {intruder.identity['arn']} is not authorized to perform: cloudtrail:StopLogging")
    for wait in (48, 6):
        yield _Step(wait, intruder, _call("cloudtrail", "StopLogging", parameters={"name": _TRAIL_ARN}, error=denied))


def _theft(random: Random, intruder: Caller) -> Iterator[_Step]:
    for secret in ("orders/database", "payments/provider-key", "reporting/warehouse"):
        arn = f"arn:aws:secretsmanager:{HOME_REGION}:{PRODUCTION}:secret:{secret}-Ab12Cd"
        yield _Step(
            9, intruder, _call("secretsmanager", "GetSecretValue", read_only=True, parameters={"secretId": arn})
        )
    bucket = {"accountId": PRODUCTION, "type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{STOLEN_BUCKET}"}
    listing = {"bucketName": STOLEN_BUCKET, "list-type": "2"}
    prefix = {"type": "AWS::S3::Object", "ARNPrefix": f"arn:aws:s3:::{STOLEN_BUCKET}/"}
    yield _Step(
        90,
        intruder,
        _call("s3", "ListObjects", read_only=True, parameters=listing, resources=[prefix, bucket], category="Data"),
    )
    for number in range(60):
        key = f"customers/Łódź/Kowalski-{number}.json" if number % 3 else f"exports/año-2026/clientes-{number}.csv"
        taken = {"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{STOLEN_BUCKET}/{key}"}
        yield _Step(
            random.randrange(1, 4),
            intruder,
            _call(
                "s3",
                "GetObject",
                read_only=True,
                parameters={"bucketName": STOLEN_BUCKET, "key": key},
                additional={"bytesTransferredOut": random.randrange(100000, 4000000), "SignatureVersion": "SigV4"},
                resources=[taken, bucket],
                category="Data",
            ),
        )


def _response(random: Random, responder: Caller, victim: Caller) -> Iterator[_Step]:
    finding = {"detectorId": make_id(random, "", 32), "findingIds": [make_id(random, "", 32)]}
    yield _Step(600, responder, _call("guardduty", "GetFindings", read_only=True, parameters=finding))
    lookup = {"lookupAttributes": [{"attributeKey": "AccessKeyId", "attributeValue": victim.identity["accessKeyId"]}]}
    yield _Step(75, responder, _call("cloudtrail", "LookupEvents", read_only=True, parameters=lookup))
    disable = {"userName": LEAKED_USER, "accessKeyId": victim.identity["accessKeyId"], "status": "Inactive"}
    yield _Step(60, responder, _call("iam", "UpdateAccessKey", parameters=disable))
    document = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}'
    deny = {"userName": LEAKED_USER, "policyName": "quarantine", "policyDocument": document}
    yield _Step(25, responder, _call("iam", "PutUserPolicy", parameters=deny))
    yield _Step(40, responder, _call("iam", "DeleteUser", parameters={"userName": INTRUDERS_USER}))
    for secret in ("orders/database", "payments/provider-key", "reporting/warehouse"):
        yield _Step(30, responder, _call("secretsmanager", "RotateSecret", parameters={"secretId": secret}))
    denied = ("AccessDenied", f"User: {victim.identity['arn']} is not authorized to perform: sts:GetCallerIdentity")
    returned = replace(victim, source_ip=INTRUDER_ADDRESS, user_agent=_INTRUDER_AGENT)
    yield _Step(300, returned, _call("s3", "ListBuckets", read_only=True, error=denied))
    yield _Step(60, responder, _call("cloudtrail", "GetTrailStatus", read_only=True, parameters={"name": _TRAIL_ARN}))


def _call(source: str, name: str, *, read_only: bool = False, **members: Any) -> Call:
    return Call(source=source, name=name, region=HOME_REGION, read_only=read_only, **members)

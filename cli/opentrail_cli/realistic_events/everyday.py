"""What happens on any day: mostly reading, by machines more than by people, and some of it refused."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

from opentrail_cli.realistic_events import calls, signing_in, storage_calls
from opentrail_cli.realistic_events.organization import HOME_REGION, REGIONS, Organization
from opentrail_cli.realistic_events.record import Call, Caller, GeneratedEvent, make_event

_GLOBAL_SOURCES = frozenset({"iam", "organizations", "cloudfront"})
"""Recorded in us-east-1 wherever the caller is (CloudTrail: global services)."""

_SPECIAL_SHARE = 0.035
_REGION_SHARES = (0.7, 0.3)
_THROTTLED = ("ThrottlingException", "Rate exceeded")


class _Activity(NamedTuple):
    weight: int
    who: str
    """Which of the organization's groups does it."""
    source: str
    name: str
    read_only: bool
    fill: Callable[[Random, Organization, Caller, str], dict[str, Any]]
    errors: tuple[tuple[str, str], ...] = ()
    failing: float = 0.0


_DENIED_EC2 = ("Client.UnauthorizedOperation", "You are not authorized to perform this operation.")
_DENIED = ("AccessDenied", "Access Denied")
_NO_POLICY = ("NoSuchBucketPolicy", "The bucket policy does not exist")
_NO_LIFECYCLE = ("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist")
_NO_CORS = ("NoSuchCORSConfiguration", "The CORS configuration does not exist")
_NO_ENTITY = ("NoSuchEntityException", "The role with name legacy-batch cannot be found.")
_NO_PARAMETER = ("ParameterNotFound", "Parameter /orders/feature/new-basket not found.")
_NO_SECRET = ("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
_NO_KEY = ("NoSuchKey", "The specified key does not exist.")
_CONDITION = ("ConditionalCheckFailedException", "The conditional request failed")
_BAD_ROUTE = ("Client.InvalidRouteTableID.NotFound", "The routeTable ID 'rtb-0a1b2c3d4e5f67890' does not exist")

_ACTIVITIES = (
    _Activity(70, "people", "ec2", "DescribeInstances", True, calls.describe("instancesSet"), (_DENIED_EC2,), 0.2),
    _Activity(
        55, "deployers", "ec2", "DescribeRouteTables", True, calls.describe("routeTableIdSet"), (_BAD_ROUTE,), 0.1
    ),
    _Activity(40, "deployers", "ec2", "DescribeVpcs", True, calls.describe("vpcSet")),
    _Activity(40, "deployers", "ec2", "DescribeSubnets", True, calls.describe("subnetSet")),
    _Activity(45, "deployers", "ec2", "DescribeSecurityGroups", True, calls.describe("securityGroupSet")),
    _Activity(25, "iam_users", "ec2", "DescribeVolumes", True, calls.describe("volumeSet"), (_DENIED_EC2,), 0.2),
    _Activity(12, "deployers", "ec2", "RunInstances", False, calls.run_instances),
    _Activity(12, "deployers", "ec2", "CreateTags", False, calls.create_tags),
    _Activity(8, "people", "ec2", "AuthorizeSecurityGroupIngress", False, calls.open_port, (_DENIED_EC2,), 0.3),
    _Activity(60, "instances", "ssm", "UpdateInstanceInformation", False, calls.instance_information),
    _Activity(85, "functions", "ssm", "GetParameter", True, calls.get_parameter, (_THROTTLED, _NO_PARAMETER), 0.35),
    _Activity(45, "deployers", "ssm", "DescribeParameters", True, calls.page, (_THROTTLED,), 0.3),
    _Activity(14, "deployers", "ssm", "PutParameter", False, calls.put_parameter),
    _Activity(40, "iam_users", "iam", "GetUser", True, calls.get_user),
    _Activity(38, "deployers", "iam", "GetRole", True, calls.get_role, (_NO_ENTITY,), 0.12),
    _Activity(35, "deployers", "iam", "ListAttachedRolePolicies", True, calls.get_role),
    _Activity(20, "iam_users", "iam", "ListUsers", True, calls.page),
    _Activity(10, "deployers", "iam", "AttachRolePolicy", False, calls.attach_policy),
    _Activity(6, "people", "iam", "CreatePolicyVersion", False, calls.create_policy_version, (_DENIED,), 0.3),
    _Activity(40, "iam_users", "s3", "GetBucketAcl", True, storage_calls.bucket("acl"), (_DENIED,), 0.08),
    _Activity(28, "iam_users", "s3", "GetBucketPolicy", True, storage_calls.bucket("policy"), (_NO_POLICY,), 0.35),
    _Activity(
        22, "deployers", "s3", "GetBucketLifecycle", True, storage_calls.bucket("lifecycle"), (_NO_LIFECYCLE,), 0.4
    ),
    _Activity(18, "deployers", "s3", "GetBucketCors", True, storage_calls.bucket("cors"), (_NO_CORS,), 0.5),
    _Activity(30, "people", "s3", "ListBuckets", True, calls.nothing),
    _Activity(3, "deployers", "s3", "PutBucketPolicy", False, storage_calls.bucket("policy")),
    _Activity(150, "functions", "s3", "GetObject", True, storage_calls.get_object, (_NO_KEY, _DENIED), 0.12),
    _Activity(60, "functions", "s3", "PutObject", False, storage_calls.put_object),
    _Activity(20, "iam_users", "s3", "ListObjects", True, storage_calls.list_objects),
    _Activity(6, "people", "s3", "DeleteObject", False, storage_calls.get_object),
    _Activity(60, "services", "lambda", "Invoke", False, storage_calls.invoke),
    _Activity(80, "functions", "dynamodb", "GetItem", True, storage_calls.item),
    _Activity(45, "functions", "dynamodb", "PutItem", False, storage_calls.item, (_CONDITION,), 0.08),
    _Activity(30, "instances", "dynamodb", "Query", True, storage_calls.item),
    _Activity(150, "functions", "kms", "Decrypt", True, storage_calls.kms_for_s3),
    _Activity(50, "instances", "kms", "Decrypt", True, storage_calls.kms_for_secret),
    _Activity(30, "functions", "kms", "GenerateDataKey", True, storage_calls.kms_for_s3),
    _Activity(
        75, "instances", "secretsmanager", "GetSecretValue", True, storage_calls.secret, (_NO_SECRET, _DENIED), 0.05
    ),
    _Activity(30, "deployers", "secretsmanager", "DescribeSecret", True, storage_calls.secret),
    _Activity(6, "services", "secretsmanager", "RotateSecret", False, storage_calls.rotate_secret),
    _Activity(60, "iam_users", "rds", "DescribeDBInstances", True, storage_calls.db_instances),
    _Activity(25, "deployers", "rds", "DescribeDBEngineVersions", True, calls.page),
    _Activity(8, "iam_users", "rds", "CreateDBSnapshot", False, storage_calls.db_snapshot),
    _Activity(70, "services", "sts", "AssumeRole", True, calls.assume_service_role),
    _Activity(45, "iam_users", "sts", "GetCallerIdentity", True, calls.nothing),
    _Activity(35, "people", "cloudwatch", "DescribeAlarms", True, calls.page),
    _Activity(25, "people", "logs", "FilterLogEvents", True, calls.filter_logs, (_THROTTLED,), 0.3),
    _Activity(20, "instances", "logs", "CreateLogStream", False, calls.log_stream),
    _Activity(18, "people", "cloudtrail", "LookupEvents", True, calls.page),
    _Activity(12, "iam_users", "cloudtrail", "DescribeTrails", True, calls.page),
    _Activity(15, "people", "health", "DescribeEventAggregates", True, calls.page),
    _Activity(18, "services", "autoscaling", "DescribeAutoScalingGroups", True, calls.page),
    _Activity(8, "deployers", "lambda", "UpdateFunctionCode20150331v2", False, calls.update_function),
    _Activity(14, "identity_center_users", "sso", "ListApplications", True, calls.page),
    _Activity(8, "iam_users", "organizations", "ListAccounts", True, calls.page, (_DENIED,), 0.4),
)
_WEIGHTS = [activity.weight for activity in _ACTIVITIES]


def everyday_event(random: Random, organization: Organization, time: int) -> list[GeneratedEvent]:
    """One thing that happened at `time`: one record, or two when it crosses accounts."""
    if random.random() < _SPECIAL_SHARE:
        return signing_in.sign_in(random, organization, time)
    activity = random.choices(_ACTIVITIES, _WEIGHTS)[0]
    caller: Caller = random.choice(getattr(organization, activity.who))
    region = HOME_REGION if activity.source in _GLOBAL_SOURCES else random.choices(REGIONS, _REGION_SHARES)[0]
    members = activity.fill(random, organization, caller, region)
    if activity.errors and random.random() < activity.failing:
        members["error"] = random.choice(activity.errors)
    call = Call(source=activity.source, name=activity.name, region=region, read_only=activity.read_only, **members)
    return [make_event(random, caller, call, time)]

"""What calls about machines, identities and settings carry: request parameters and response elements.

Each function takes (random, organization, caller, region) and returns members of `Call`. Read-only
calls have no response elements (CloudTrail: null for actions that change nothing).
"""

from __future__ import annotations

from random import Random
from typing import Any

from opentrail_cli.realistic_events.organization import FUNCTIONS, Fill, Organization
from opentrail_cli.realistic_events.record import Caller, make_id, make_unique_id, make_uuid

_PARAMETERS = ("/orders/database/host", "/orders/feature/new-basket", "/web/banner", "/payments/timeout")


def nothing(_random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """A call without parameters."""
    return {}


def page(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """A listing."""
    return {"parameters": {"maxResults": random.choice((10, 50, 100)), "nextToken": "HIDDEN_DUE_TO_SECURITY_REASONS"}}


def describe(items: str) -> Fill:
    """An EC2 listing of a kind of thing, all of them or some by id."""

    def fill(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
        kind = items.removesuffix("Set").removesuffix("Id").lower()
        wanted = [{f"{kind}Id": make_id(random, f"{kind[:3]}-0", 16)} for _ in range(random.choice((0, 1, 1, 3)))]
        return {"parameters": {items: {"items": wanted} if wanted else {}, "filterSet": {}}}

    return fill


def run_instances(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A new instance: one of the long records."""
    subnet, image = make_id(random, "subnet-0", 16), make_id(random, "ami-0", 16)
    instance = {
        "instanceId": make_id(random, "i-0", 16),
        "imageId": image,
        "currentState": {"code": 0, "name": "pending"},
        "instanceType": "m7g.large",
        "placement": {"availabilityZone": f"{region}a", "tenancy": "default"},
        "privateIpAddress": f"10.0.4.{random.randrange(4, 250)}",
        "ipv6Addresses": [f"2001:db8:40:{random.randrange(16):x}::{random.randrange(1, 65535):x}"],
        "subnetId": subnet,
        "hypervisor": "nitro",
        "tagSet": {"items": [{"key": "Name", "value": "orders"}, {"key": "Team", "value": "Bestellungen für Köln"}]},
        "metadataOptions": {"state": "pending", "httpTokens": "required", "httpPutResponseHopLimit": 1},
        "ebsOptimized": True,
        "clientToken": make_uuid(random),
    }
    parameters = {
        "instancesSet": {"items": [{"imageId": image, "minCount": 1, "maxCount": 1}]},
        "instanceType": "m7g.large",
        "subnetId": subnet,
        "disableApiTermination": False,
    }
    response = {
        "requestId": make_uuid(random),
        "reservationId": make_id(random, "r-0", 16),
        "ownerId": caller.account_id,
        "groupSet": {},
        "instancesSet": {"items": [instance]},
    }
    return {"parameters": parameters, "response": response}


def create_tags(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """Tags on an instance, in the words of those who use it."""
    value = random.choice(("Zahlungsverkehr", "büro-zürich", "注文サービス", "facturación", "web"))
    parameters = {
        "resourcesSet": {"items": [{"resourceId": make_id(random, "i-0", 16)}]},
        "tagSet": {"items": [{"key": "Team", "value": value}]},
    }
    return {"parameters": parameters, "response": {"requestId": make_uuid(random), "_return": True}}


def open_port(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """A rule in a security group, for IPv4 and IPv6."""
    permission = {
        "ipProtocol": "tcp",
        "fromPort": 443,
        "toPort": 443,
        "ipRanges": {"items": [{"cidrIp": "198.51.100.0/24", "description": "Büro"}]},
        "ipv6Ranges": {"items": [{"cidrIpv6": "2001:db8:4a::/48"}]},
    }
    parameters = {"groupId": make_id(random, "sg-0", 16), "ipPermissions": {"items": [permission]}}
    return {"parameters": parameters, "response": {"requestId": make_uuid(random), "_return": True}}


def instance_information(random: Random, _organization: Organization, caller: Caller, _region: str) -> dict[str, Any]:
    """The agent's sign of life."""
    parameters = {
        "instanceId": caller.identity["arn"].rsplit("/", 1)[1],
        "agentVersion": "3.3.987.0",
        "agentStatus": "Active",
        "platformType": "Linux",
        "platformName": "Amazon Linux",
        "platformVersion": "2023",
        "iPAddress": caller.source_ip,
        "computerName": f"ip-{caller.source_ip.replace('.', '-')}.ec2.internal",
        "agentName": "amazon-ssm-agent",
        "availabilityZone": random.choice(("use1-az2", "use1-az4")),
    }
    return {"parameters": parameters}


def get_parameter(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """A configuration value."""
    return {"parameters": {"name": random.choice(_PARAMETERS), "withDecryption": random.random() < 0.5}}


def put_parameter(random: Random, organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """A configuration value is set; CloudTrail hides it."""
    parameters = {
        "name": random.choice(_PARAMETERS),
        "value": "HIDDEN_DUE_TO_SECURITY_REASONS",
        "type": "SecureString",
        "keyId": random.choice(organization.keys),
        "overwrite": True,
    }
    return {"parameters": parameters, "response": {"version": random.randrange(2, 90), "tier": "Standard"}}


def get_user(_random: Random, _organization: Organization, caller: Caller, _region: str) -> dict[str, Any]:
    """A user looks at itself."""
    return {"parameters": {"userName": caller.identity["userName"]}}


def get_role(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """A role is looked at."""
    return {"parameters": {"roleName": random.choice(("web-instance", "orders-instance", "invoice-function"))}}


def attach_policy(random: Random, organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A role gets a policy."""
    parameters = get_role(random, organization, caller, region)["parameters"]
    return {"parameters": {**parameters, "policyArn": f"arn:aws:iam::{caller.account_id}:policy/orders-read"}}


def create_policy_version(random: Random, _organization: Organization, caller: Caller, _region: str) -> dict[str, Any]:
    """A policy is changed."""
    document = (
        '{"Version":"2012-10-17","Statement":[{"Sid":"Lesen","Effect":"Allow","Action":["s3:GetObject",'
        '"s3:ListBucket"],"Resource":["arn:aws:s3:::example-invoices","arn:aws:s3:::example-invoices/*"]}]}'
    )
    arn = f"arn:aws:iam::{caller.account_id}:policy/orders-read"
    version = {"versionId": f"v{random.randrange(2, 30)}", "isDefaultVersion": True}
    return {
        "parameters": {"policyArn": arn, "policyDocument": document, "setAsDefault": True},
        "response": {"policyVersion": version},
    }


def assume_service_role(random: Random, organization: Organization, caller: Caller, _region: str) -> dict[str, Any]:
    """A service takes on its role. AssumeRole is read-only and yet has a response."""
    role, session = random.choice(("web-instance", "invoice-function")), make_id(random, "i-0", 16)
    arn = f"arn:aws:iam::{caller.account_id}:role/{role}"
    credentials = {
        "accessKeyId": make_unique_id(random, "ASIA"),
        "sessionToken": "HIDDEN_DUE_TO_SECURITY_REASONS",
        "expiration": organization.credentials_expire,
    }
    user = {
        "assumedRoleId": f"{make_unique_id(random, 'AROA')}:{session}",
        "arn": f"arn:aws:sts::{caller.account_id}:assumed-role/{role}/{session}",
    }
    return {
        "parameters": {"roleArn": arn, "roleSessionName": session, "durationSeconds": 3600},
        "response": {"credentials": credentials, "assumedRoleUser": user},
        "resources": [{"accountId": caller.account_id, "type": "AWS::IAM::Role", "ARN": arn}],
        "extra": {"sharedEventID": make_uuid(random)},
    }


def filter_logs(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """Someone searches the logs."""
    group = f"/aws/lambda/{random.choice(FUNCTIONS)}"
    return {"parameters": {"logGroupName": group, "filterPattern": random.choice(("ERROR", "Zeitüberschreitung"))}}


def log_stream(random: Random, _organization: Organization, _caller: Caller, _region: str) -> dict[str, Any]:
    """An instance starts a log."""
    return {"parameters": {"logGroupName": "/orders/web", "logStreamName": make_id(random, "web/", 12)}}


def update_function(random: Random, _organization: Organization, caller: Caller, region: str) -> dict[str, Any]:
    """A new version of a function."""
    name = random.choice(FUNCTIONS)
    response = {
        "functionName": name,
        "functionArn": f"arn:aws:lambda:{region}:{caller.account_id}:function:{name}",
        "runtime": "python3.12",
        "codeSize": random.randrange(20000, 9000000),
        "state": "Active",
        "lastUpdateStatus": "InProgress",
    }
    return {"parameters": {"functionName": name, "publish": True, "dryRun": False}, "response": response}

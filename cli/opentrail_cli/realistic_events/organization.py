"""The made-up organization: its accounts, people, roles, services and what they own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

from opentrail_cli.realistic_events.record import Caller, Json, make_id, make_unique_id, timestamp

ORGANIZATION_ID = "o-exampleorgid"
MANAGEMENT = "111122223333"
PRODUCTION = "444455556666"
DEVELOPMENT = "777788889999"
SECURITY = "123456789012"
ACCOUNTS = {MANAGEMENT: "management", PRODUCTION: "production", DEVELOPMENT: "development", SECURITY: "security"}
HOME_REGION = "us-east-1"
REGIONS = (HOME_REGION, "eu-central-1")

_CLI = (
    "aws-cli/2.22.4 md/awscrt#0.23.4 ua/2.0 os/linux#6.8.0-49-generic md/arch#x86_64 lang/python#3.12.7 "
    "cfg/retry-mode#standard md/installer#exe"
)
_BOTO3 = (
    "Boto3/1.35.68 md/Botocore#1.35.68 ua/2.0 os/linux#5.10.228 md/arch#aarch64 lang/python#3.12.3 Botocore/1.35.68"
)
_TERRAFORM = (
    "APN/1.0 HashiCorp/1.0 Terraform/1.9.8 (+https://www.terraform.io) terraform-provider-aws/5.77.0 "
    "aws-sdk-go-v2/1.32.5 os/linux lang/go#1.23.2 md/GOOS#linux"
)
_JAVA = (
    "aws-sdk-java/2.29.20 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.115 lang/java#21.0.5 "
    "md/OpenJDK_64-Bit_Server_VM#21.0.5+11-LTS"
)
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
_AGENT = "aws-sdk-go/1.55.5 (go1.22.7; linux; amd64) amazon-ssm-agent/3.3.987.0"

FUNCTIONS = ("render-invoice", "order-events", "resize-image")
_PEOPLE = {
    "zoe.lindgren": "198.51.100.23",
    "mateusz.wojcik": "198.51.100.24",
    "aiko.tanaka": "2001:db8:4a:1::7f",
    "samuel.okafor": "203.0.113.61",
    "ines.castro": "2001:db8:88:20:5c1e:9aff:fe0b:310d",
}
"""Those who sign in, and the address that they usually come from; two of them over IPv6 (RFC 3849)."""


@dataclass(frozen=True, slots=True)
class Organization:
    """Who there is, by the way they come in."""

    people: Sequence[Caller]
    """Role sessions through the identity center, some of them in the console."""
    identity_center_users: Sequence[Caller]
    iam_users: Sequence[Caller]
    deployers: Sequence[Caller]
    """Continuous integration and the deploy role."""
    instances: Sequence[Caller]
    functions: Sequence[Caller]
    services: Sequence[Caller]
    keys: Sequence[str]
    """KMS key ids."""
    credentials_expire: str
    """When credentials that are given out during this time end, as STS writes it."""


Fill = Callable[[Random, Organization, Caller, str], dict[str, Any]]
"""Makes members of `Call` from (random, organization, caller, region)."""


def make_organization(random: Random, start: int) -> Organization:
    """Draws the ids of everybody; the sessions began some time before `start` (epoch seconds)."""
    since = start - random.randrange(600, 3600)
    working_accounts = (PRODUCTION, PRODUCTION, DEVELOPMENT, DEVELOPMENT, SECURITY, MANAGEMENT)
    return Organization(
        people=[_person(random, since, name, account) for name in _PEOPLE for account in working_accounts],
        identity_center_users=[_identity_center_user(random, name) for name in _PEOPLE],
        iam_users=[
            iam_user(random, PRODUCTION, "reporting", "198.51.100.40", _BOTO3),
            iam_user(random, PRODUCTION, "backup", "198.51.100.41", _CLI),
            iam_user(random, DEVELOPMENT, "samuel.okafor", "203.0.113.61", _CLI),
            iam_user(random, DEVELOPMENT, "load-test", "203.0.113.77", _BOTO3),
            iam_user(random, SECURITY, "posture-scanner", "198.51.100.90", _BOTO3),
            iam_user(random, SECURITY, "posture-scanner", "2001:db8:51::90", _BOTO3),
        ],
        deployers=[
            role_session(random, since, account, role, session, address, agent)
            for account in (PRODUCTION, DEVELOPMENT)
            for role, session, address, agent in (
                ("deploy", "terraform-apply-4711", "203.0.113.12", _TERRAFORM),
                ("ci", "GitHubActions", "203.0.113.13", _CLI),
            )
        ],
        instances=[
            role_session(random, since, account, role, make_id(random, "i-0", 16), f"10.{n}.2.{17 + n}", agent)
            for n, (account, role, agent) in enumerate(
                (
                    (PRODUCTION, "web-instance", _AGENT),
                    (PRODUCTION, "orders-instance", _JAVA),
                    (PRODUCTION, "orders-instance", _JAVA),
                    (DEVELOPMENT, "web-instance", _AGENT),
                )
            )
        ],
        functions=[
            role_session(random, since, PRODUCTION, "invoice-function", "render-invoice", "2001:db8:1f:a::3", _BOTO3),
            role_session(random, since, PRODUCTION, "order-events-function", "order-events", "192.0.2.88", _BOTO3),
            role_session(random, since, DEVELOPMENT, "order-events-function", "order-events", "192.0.2.89", _BOTO3),
        ],
        services=[
            _service(account, service)
            for account in ACCOUNTS
            for service in ("ec2", "lambda", "ssm", "config", "autoscaling", "guardduty")
        ],
        keys=[make_id(random, "1234abcd-12ab-34cd-56ef-", 12) for _ in range(3)],
        credentials_expire=datetime.fromtimestamp(start + 6 * 3600, UTC).strftime("%b %d, %Y, %I:%M:%S %p"),
    )


def iam_user(random: Random, account: str, name: str, address: str, agent: str) -> Caller:
    """An IAM user with a long-lived access key."""
    identity = {
        "type": "IAMUser",
        "principalId": make_unique_id(random, "AIDA"),
        "arn": f"arn:aws:iam::{account}:user/{name}",
        "accountId": account,
        "accessKeyId": make_unique_id(random, "AKIA"),
        "userName": name,
    }
    return Caller(identity, account, address, agent)


def role_session(
    random: Random,
    since: int,
    account: str,
    role: str,
    session: str,
    address: str,
    agent: str,
    path: str = "",
    mfa: bool = False,
) -> Caller:
    """A session of a role: temporary credentials, given at `since` (epoch seconds)."""
    role_id = make_unique_id(random, "AROA")
    context: dict[str, Json | str] = {
        "sessionIssuer": {
            "type": "Role",
            "principalId": role_id,
            "arn": f"arn:aws:iam::{account}:role/{path}{role}",
            "accountId": account,
            "userName": role,
        },
        "attributes": {"creationDate": timestamp(since), "mfaAuthenticated": "true" if mfa else "false"},
    }
    if session.startswith("i-"):
        context["ec2RoleDelivery"] = "2.0"
    identity = {
        "type": "AssumedRole",
        "principalId": f"{role_id}:{session}",
        "arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        "accountId": account,
        "accessKeyId": make_unique_id(random, "ASIA"),
        "sessionContext": context,
    }
    return Caller(identity, account, address, agent)


def _person(random: Random, since: int, name: str, account: str) -> Caller:
    role = "AWSReservedSSO_PowerUserAccess_" + make_id(random, "", 16)
    console = random.random() < 0.5
    agent = _BROWSER if console else _CLI
    path = f"aws-reserved/sso.amazonaws.com/{REGIONS[1]}/"
    session = role_session(random, since, account, role, f"{name}@example.com", _PEOPLE[name], agent, path)
    return Caller(session.identity, account, session.source_ip, agent, from_console=console)


def _identity_center_user(random: Random, name: str) -> Caller:
    store = f"arn:aws:identitystore::{MANAGEMENT}:identitystore/d-1234567890"
    identity = {
        "type": "IdentityCenterUser",
        "accountId": MANAGEMENT,
        "onBehalfOf": {"userId": make_id(random, "906702ba-", 12), "identityStoreArn": store},
        "credentialId": make_id(random, "", 64),
    }
    return Caller(identity, MANAGEMENT, _PEOPLE[name], _BROWSER)


def _service(account: str, service: str) -> Caller:
    principal = f"{service}.amazonaws.com"
    return Caller({"type": "AWSService", "invokedBy": principal}, account, principal, principal)


def root(account: str) -> Caller:
    """The account's root, in the console with a second factor."""
    identity = {
        "type": "Root",
        "principalId": account,
        "arn": f"arn:aws:iam::{account}:root",
        "accountId": account,
        "accessKeyId": "",
    }
    return Caller(identity, account, _PEOPLE["ines.castro"], _BROWSER, from_console=True)

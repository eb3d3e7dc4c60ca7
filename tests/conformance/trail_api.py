"""Our API on loopback, with buckets, keys and topics in moto: asked by unmodified boto3, or by the AWS CLI."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from opentrail.trails.configuration import Account, Kind, Organization, account_body, organization_body
from opentrail_backends.key_management.aws_kms_storage import AwsStorageKeys
from opentrail_backends.notifications import open_notifications
from opentrail_backends.object_store import Credentials, open_object_store
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, NewChange, StateStore
from opentrail_control_plane.allowed_buckets import AllowedBuckets
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.rates import NO_LIMITS, Limit
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from opentrail_control_plane.targets import Targets
from tests.servers import topics
from tests.servers.aws_cli import AwsCli
from tests.servers.topics import Topic, Topics
from tests.trail_policies import bucket_statements, policy, topic_statement

MANAGEMENT = topics.ACCOUNT
"""Whose everything is in moto."""
ADMINISTRATOR, MEMBER, STRANGER = "222233334444", "333344445555", "999988887777"
HOME, ELSEWHERE = "us-east-1", "eu-central-1"
REGIONS = (HOME, ELSEWHERE, "ap-southeast-2")
ORGANIZATION = Organization(
    "o-exampleorgid", MANAGEMENT, frozenset({MANAGEMENT, ADMINISTRATOR, MEMBER}), frozenset({ADMINISTRATOR})
)

_MOTO = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
_REFUSAL = re.compile(r"An error occurred \((\w+)\) when calling the \w+ operation: (.*)", re.DOTALL)


class Refusal(Exception):
    """What a client was told."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Client(Protocol):
    """Calls an operation of CloudTrail as an account from a region. Raises Refusal."""

    def __call__(self, operation: str, account: str = MANAGEMENT, region: str = HOME, **members: Any) -> Any: ...


@dataclass
class TrailApi:
    """The API, and what trails can name."""

    endpoint: str
    state: StateStore
    moto: str
    topics: Topics
    _clients: dict[tuple[str, str, int], Any] = field(default_factory=dict)

    def boto3(self, account: str = MANAGEMENT, region: str = HOME, attempts: int = 1) -> Any:
        """A boto3 client that tries a call so often."""
        if (account, region, attempts) not in self._clients:
            self._clients[account, region, attempts] = boto3.client(
                "cloudtrail",
                region_name=region,
                endpoint_url=self.endpoint,
                aws_access_key_id=f"AKIA{account}",
                aws_secret_access_key=f"secret-of-{account}",
                config=Config(retries={"total_max_attempts": attempts, "mode": "standard"}),
            )
        return self._clients[account, region, attempts]

    def environment(self, account: str, region: str) -> dict[str, str]:
        """What the AWS CLI needs to be an account in a region."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": f"AKIA{account}",
            "AWS_SECRET_ACCESS_KEY": f"secret-of-{account}",
            "AWS_DEFAULT_REGION": region,
        }

    def new_bucket(self, *trail_arns: str, prefixes: tuple[str, ...] = ("",)) -> str:
        """A bucket that lets these trails in, under these prefixes, also as trails of the organization."""
        name = f"trail-logs-{uuid.uuid4().hex[:16]}"
        s3 = boto3.client("s3", endpoint_url=self.moto, region_name=HOME, **_MOTO)
        s3.create_bucket(Bucket=name)
        statements = [
            statement
            for arn in trail_arns
            for prefix in prefixes
            for statement in bucket_statements(name, arn, prefix=prefix, organization_id=ORGANIZATION.id)
        ]
        s3.put_bucket_policy(Bucket=name, Policy=policy(*statements))
        return name

    def new_key(self) -> tuple[str, str]:
        """A key's ARN and its alias."""
        kms = boto3.client("kms", endpoint_url=self.moto, region_name=HOME, **_MOTO)
        arn, alias = kms.create_key()["KeyMetadata"]["Arn"], f"alias/trails-{uuid.uuid4().hex}"
        kms.create_alias(AliasName=alias, TargetKeyId=arn)
        return arn, alias

    def new_topic(self, *trail_arns: str) -> Topic:
        """A topic that lets these trails publish."""
        topic = self.topics.make(HOME)
        topic.set_policy(policy(*(topic_statement(topic.arn, arn) for arn in trail_arns)))
        return topic


@dataclass(frozen=True)
class Boto3:
    """boto3."""

    api: TrailApi

    def __call__(self, operation: str, account: str = MANAGEMENT, region: str = HOME, **members: Any) -> Any:
        try:
            answer = getattr(self.api.boto3(account, region), xform_name(operation))(**members)
        except ClientError as error:
            raise Refusal(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
        del answer["ResponseMetadata"]
        return answer


@dataclass(frozen=True)
class Cli:
    """One release of the AWS CLI."""

    api: TrailApi
    release: AwsCli

    def __call__(self, operation: str, account: str = MANAGEMENT, region: str = HOME, **members: Any) -> Any:
        flags = [word for name, value in members.items() for word in _flag(name, value)]
        command = ["cloudtrail", xform_name(operation, "-"), *flags, "--output", "json"]
        done = self.release.run(*command, env=self.api.environment(account, region))
        refusal = _REFUSAL.search(done.stderr.strip())
        if refusal is not None:
            assert done.returncode != 0
            raise Refusal(refusal[1], refusal[2])
        assert done.returncode == 0, (command, done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else {}


def _flag(name: str, value: Any) -> list[str]:
    flag = xform_name(name, "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", value if isinstance(value, str) else json.dumps(value)]


@dataclass(frozen=True)
class Life:
    """A client that leads a trail of some kind through its life."""

    call: Client
    api: TrailApi
    kind: dict[str, bool]
    """Members of CreateTrail."""

    @property
    def is_multi_region(self) -> bool:
        return "IsMultiRegionTrail" in self.kind

    @property
    def is_the_organizations(self) -> bool:
        return "IsOrganizationTrail" in self.kind

    def refused(self, operation: str, account: str = MANAGEMENT, region: str = HOME, **members: Any) -> str:
        """The code with which a call is refused."""
        with pytest.raises(Refusal) as refusal:
            self.call(operation, account, region, **members)
        return refusal.value.code

    def described(self, account: str = MANAGEMENT, region: str = HOME, **members: Any) -> list[dict[str, Any]]:
        """The trails that DescribeTrails shows."""
        found: list[dict[str, Any]] = self.call("DescribeTrails", account, region, **members)["trailList"]
        return found


@contextmanager
def trail_api(moto: str, limits: Mapping[str, Limit] = NO_LIMITS) -> Iterator[TrailApi]:
    """Serves the API to the accounts of an organization and to one of none, by default without limits of rates."""
    with pytest.MonkeyPatch.context() as environment:
        for name in _MOTO:
            environment.setenv(name.upper(), "test")
        state = open_state_store("sqlite://", secret_key=bytes(32))
        state.migrate()
        _put_accounts(state)
        store = open_object_store(
            f"s3://?endpoint={moto}&region={HOME}&sse=none", credentials=Credentials("test", "test")
        )
        notifications = open_notifications(f"sns://?endpoint={moto}")
        targets = Targets(store, AwsStorageKeys(moto), notifications, AllowedBuckets())
        ports = Ports(targets=targets, intake=None, regions=REGIONS, token_key=os.urandom(32))
        server = ControlPlaneServer(ControlPlaneSettings(), state, time.time, ports=ports, limits=limits)
        try:
            yield TrailApi(f"http://127.0.0.1:{server.start()}", state, moto, Topics(moto))
        finally:
            server.stop(5)
            notifications.close()
            store.close()
            state.close()


def _put_accounts(state: StateStore) -> None:
    accounts = [Account(id_, f"account-{id_[:4]}") for id_ in (MANAGEMENT, ADMINISTRATOR, MEMBER, STRANGER)]
    state.configuration.apply(
        [
            *(NewChange(Kind.ACCOUNT, account.id, account_body(account)) for account in accounts),
            NewChange(Kind.ORGANIZATION, ORGANIZATION.id, organization_body(ORGANIZATION)),
        ]
    )
    for account in accounts:
        state.configuration.put_access_key(AccessKey(f"AKIA{account.id}", f"secret-of-{account.id}", account.id))


def trail_arn(name: str, account: str = MANAGEMENT, region: str = HOME) -> str:
    """The ARN that a trail has."""
    return f"arn:aws:cloudtrail:{region}:{account}:trail/{name}"

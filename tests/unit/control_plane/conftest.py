from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from opentrail.trails.configuration import (
    Kind,
    Organization,
    organization_body,
    trail_body,
)
from opentrail.trails.trail import Trail
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, NewChange, StateStore
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.protocol import Answer
from opentrail_control_plane.rates import NO_LIMITS
from opentrail_control_plane.signature_v4 import Request

MANAGEMENT, MEMBER, STRANGER = "111122223333", "444455556666", "777788889999"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGIONS = ("us-east-1", "eu-central-1", "ap-south-1")
PORTS = Ports(targets=None, intake=None, regions=REGIONS, token_key=bytes(32))
TARGET = {
    "cloudtrail": "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.",
    "organizations": "AWSOrganizationsV20161128.",
}


def make_trail(name: str, account_id: str = MANAGEMENT, **members: Any) -> Trail:
    defaults = {"home_region": "us-east-1", "s3_bucket_name": "example-trail-logs", "log_file_validation_enabled": True}
    return Trail(incarnation=f"{name}-{account_id}", name=name, account_id=account_id, **(defaults | members))


ORGANIZATION = Organization("o-exampleorgid", MANAGEMENT, frozenset({MANAGEMENT, MEMBER}))
TRAILS = (
    make_trail("home-only", s3_key_prefix="audit"),
    make_trail("everywhere", is_multi_region_trail=True, sns_topic_arn="arn:aws:sns:us-east-1:111122223333:told"),
    make_trail("for-all", is_multi_region_trail=True, organization_id=ORGANIZATION.id),
    make_trail("in-europe", home_region="eu-central-1"),
    make_trail("members-own", MEMBER),
    make_trail("strangers", STRANGER),
)


@pytest.fixture
def state() -> Iterator[StateStore]:
    store = open_state_store("sqlite://", secret_key=bytes(32), clock=lambda: 1_767_225_600_000)
    store.migrate()
    for account_id in (MANAGEMENT, MEMBER, STRANGER):
        store.configuration.put_access_key(AccessKey(key_id(account_id), SECRET, account_id))
    store.configuration.apply(
        [
            NewChange(Kind.ORGANIZATION, ORGANIZATION.id, organization_body(ORGANIZATION)),
            *(NewChange(Kind.TRAIL, trail.incarnation, trail_body(trail)) for trail in TRAILS),
        ]
    )
    yield store
    store.close()


def key_id(account_id: str) -> str:
    return f"AKIA{account_id}"


def signed_request(
    body: bytes,
    *,
    headers: dict[str, str],
    account_id: str = MANAGEMENT,
    secret: str = SECRET,
    region: str = "us-east-1",
    service: str = "cloudtrail",
    token: str | None = None,
    access_key_id: str | None = None,
    path: str = "/",
    query: str = "",
    ahead: float = 0.0,
) -> Request:
    """A request that botocore's own signer signed, at its own time or `ahead` seconds of it."""
    url = f"http://127.0.0.1:8080{path}{'?' if query else ''}{query}"
    request = AWSRequest("POST", url, data=body, headers={**headers, "Host": "127.0.0.1:8080"})
    credentials = Credentials(access_key_id or key_id(account_id), secret, token)
    now = datetime.now(UTC) + timedelta(seconds=ahead)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now) if ahead else nullcontext():
        SigV4Auth(credentials, service, region).add_auth(request)
    sent = {name.lower(): value for name, value in request.headers.items()}
    return Request("POST", path, query, sent, body, source_address="192.0.2.7")


class Api:
    """Calls the control plane as a client of an account in a region does, without a socket."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self.control_plane = control_plane

    def raw(self, operation: str, body: bytes, *, service: str = "cloudtrail", **signing: Any) -> Answer:
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET[service] + operation}
        return self.control_plane.answer(signed_request(body, headers=headers, service=service, **signing))

    def __call__(self, operation: str, members: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        answer = self.raw(operation, json.dumps(members or {}).encode(), **options)
        assert answer.status == 200, answer.body
        result: dict[str, Any] = json.loads(answer.body)
        return result

    def refused(self, operation: str, members: dict[str, Any] | None = None, **options: Any) -> tuple[int, str, str]:
        answer = self.raw(operation, json.dumps(members or {}).encode(), **options)
        error = json.loads(answer.body)
        return answer.status, error["__type"], error["message"]


@pytest.fixture
def clock() -> SimpleNamespace:
    """The control plane's clock; real time, moved by `offset` seconds."""
    return SimpleNamespace(offset=0.0)


@pytest.fixture
def api(state: StateStore, clock: SimpleNamespace) -> Api:
    import time

    return Api(ControlPlane(state, lambda: time.time() + clock.offset, PORTS, limits=NO_LIMITS))


@pytest.fixture
def change(state: StateStore) -> Callable[..., None]:
    """Changes a trail."""

    def apply(trail: Trail, **members: Any) -> None:
        changed = replace(trail, **members)
        state.configuration.apply([NewChange(Kind.TRAIL, changed.incarnation, trail_body(changed))])

    return apply

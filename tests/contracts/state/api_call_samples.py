"""Calls of the API for the contract suite."""

from __future__ import annotations

from collections.abc import Sequence

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import NewCall, NewChange, PendingCall
from tests.contracts.state.samples import ACCOUNT, REGION

OTHER = "444455556666"
ELSEWHERE = "eu-west-1"
DAY = 86_400
LEASE = 30_000
TRAIL = NewChange(Kind.TRAIL, "trail-1", {"name": "audit"})


def call(name: str, account_id: str = ACCOUNT, region: str = REGION) -> NewCall:
    return NewCall(account_id, region, f'{{"eventID":"{name}"}}'.encode())


def names(calls: Sequence[PendingCall]) -> list[str]:
    return [pending.record.decode().split('"')[3] for pending in calls]


def by_name(calls: Sequence[PendingCall]) -> dict[str, PendingCall]:
    return dict(zip(names(calls), calls, strict=True))

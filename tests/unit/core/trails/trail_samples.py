"""An organization, its accounts, and trails in few words."""

from __future__ import annotations

import pytest

from opentrail.trails.caller import Caller
from opentrail.trails.configuration import Configuration, Organization
from opentrail.trails.refused import Refused
from opentrail.trails.trail import Trail

MANAGEMENT, ADMINISTRATOR, MEMBER, STRANGER = "111122223333", "222233334444", "333344445555", "999988887777"
HOME, ELSEWHERE = "us-east-1", "eu-west-1"
REGIONS = (HOME, ELSEWHERE, "ap-south-1")
ORGANIZATION = Organization(
    "o-exampleorgid",
    MANAGEMENT,
    frozenset({MANAGEMENT, ADMINISTRATOR, MEMBER}),
    frozenset({ADMINISTRATOR}),
)
LOG_GROUP = f"arn:aws:logs:{HOME}:{MANAGEMENT}:log-group:audit/trails:*"
ROLE = f"arn:aws:iam::{MANAGEMENT}:role/service-role/cloudtrail-to-logs"


def trail(name: str = "audit", account_id: str = MANAGEMENT, home_region: str = HOME, **fields) -> Trail:
    return Trail(
        incarnation=f"{account_id}/{home_region}/{name}",
        name=name,
        account_id=account_id,
        home_region=home_region,
        **{"s3_bucket_name": "audit-logs", **fields},
    )


def organization_trail(name: str = "for-all", **fields) -> Trail:
    return trail(name, organization_id=ORGANIZATION.id, **fields)


def trails(count: int, *, named: str = "trail", **fields) -> list[Trail]:
    return [trail(f"{named}-{number}", **fields) for number in range(count)]


def configuration(*of_trails: Trail, organization: Organization | None = ORGANIZATION) -> Configuration:
    return Configuration(
        trails={one.incarnation: one for one in of_trails},
        organizations={} if organization is None else {organization.id: organization},
    )


def caller(account_id: str = MANAGEMENT, region: str = HOME) -> Caller:
    return Caller(account_id, region)


def refusal(function, *args, **kwargs) -> tuple[str, str]:
    """The code, without `Exception`, and the message with which a rule says no."""
    with pytest.raises(Refused) as refused:
        function(*args, **kwargs)
    assert str(refused.value) == refused.value.message
    assert refused.value.code.endswith("Exception")
    return refused.value.code.removesuffix("Exception"), refused.value.message

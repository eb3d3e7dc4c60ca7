from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail.trails.organization_requests import deregistered_administrator, registered_administrator
from tests.unit.core.trails.trail_samples import (
    ADMINISTRATOR,
    MANAGEMENT,
    MEMBER,
    ORGANIZATION,
    STRANGER,
    caller,
    configuration,
    refusal,
)

CONFIGURATION = configuration()
ACCOUNTS = [f"{number:012}" for number in range(5)]


def of_many(administrators: int):
    members = ORGANIZATION.member_account_ids.union(ACCOUNTS)
    chosen = frozenset(ACCOUNTS[:administrators])
    return replace(ORGANIZATION, member_account_ids=members, delegated_administrators=chosen)


def test_a_member_becomes_a_delegated_administrator_and_stops_being_one():
    registered = registered_administrator(CONFIGURATION, caller(), MEMBER)
    assert registered == replace(ORGANIZATION, delegated_administrators=frozenset({ADMINISTRATOR, MEMBER}))
    after = configuration(organization=registered)
    assert deregistered_administrator(after, caller(), MEMBER) == ORGANIZATION


@pytest.mark.parametrize("there_are", [1, 2, 3])
def test_three_delegated_administrators_and_no_more(there_are):
    organization = of_many(there_are)
    arguments = (configuration(organization=organization), caller(), ACCOUNTS[4])
    if there_are < 3:
        assert len(registered_administrator(*arguments).delegated_administrators) == there_are + 1
    else:
        assert refusal(registered_administrator, *arguments)[0] == "DelegatedAdminAccountLimitExceeded"
        told = refusal(registered_administrator, *arguments[:2], ACCOUNTS[0])
        assert told[0] == "AccountRegistered"


@pytest.mark.parametrize(
    ("asking", "account_id", "code"),
    [
        (MANAGEMENT, ADMINISTRATOR, "AccountRegistered"),
        (MANAGEMENT, MANAGEMENT, "CannotDelegateManagementAccount"),
        (MANAGEMENT, STRANGER, "AccountNotFound"),
        (MANAGEMENT, "1234567890123", "InvalidParameter"),
        (ADMINISTRATOR, MEMBER, "NotOrganizationManagementAccount"),
        (MEMBER, MEMBER, "NotOrganizationManagementAccount"),
        (STRANGER, MEMBER, "OrganizationsNotInUse"),
    ],
)
def test_who_cannot_be_registered_and_by_whom(asking, account_id, code):
    assert refusal(registered_administrator, CONFIGURATION, caller(asking), account_id)[0] == code


@pytest.mark.parametrize(
    ("asking", "account_id", "code"),
    [
        (MANAGEMENT, MEMBER, "AccountNotRegistered"),
        (MANAGEMENT, MANAGEMENT, "AccountNotRegistered"),
        (MANAGEMENT, STRANGER, "AccountNotFound"),
        (MANAGEMENT, "x", "InvalidParameter"),
        (ADMINISTRATOR, ADMINISTRATOR, "NotOrganizationManagementAccount"),
        (STRANGER, ADMINISTRATOR, "OrganizationsNotInUse"),
    ],
)
def test_who_cannot_be_deregistered_and_by_whom(asking, account_id, code):
    assert refusal(deregistered_administrator, CONFIGURATION, caller(asking), account_id)[0] == code

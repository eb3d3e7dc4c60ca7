"""Organizations, its members and delegated administrators, as clients ask for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opentrail.trails.configuration import Account, Kind, Organization, account_body, organization_body
from opentrail_backends.state.port import NewChange, StateStore
from tests.unit.control_plane.conftest import MANAGEMENT, MEMBER, ORGANIZATION, STRANGER, Api

THIRD, FOURTH, FIFTH = "300000000003", "400000000004", "500000000005"
ARN_OF = f"arn:aws:organizations::{MANAGEMENT}:account/{ORGANIZATION.id}/"


def ask(api: Api, operation: str, members: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    return api(operation, members, service="organizations", **options)


def refused(api: Api, operation: str, members: dict[str, Any] | None = None, **options: Any) -> tuple[int, str, str]:
    return api.refused(operation, members, service="organizations", **options)


def with_members(state: StateStore, *account_ids: str) -> Organization:
    organization = replace(ORGANIZATION, member_account_ids=frozenset({MANAGEMENT, MEMBER, *account_ids}))
    state.configuration.apply([NewChange(Kind.ORGANIZATION, organization.id, organization_body(organization))])
    return organization


def listed(api: Api, size: int | None = None, **options: Any) -> list[list[dict[str, Any]]]:
    """The pages of ListAccounts."""
    pages, members = [], {} if size is None else {"MaxResults": size}
    while True:
        answer = ask(api, "ListAccounts", members, **options)
        pages.append(answer["Accounts"])
        if "NextToken" not in answer:
            return pages
        members = {**members, "NextToken": answer["NextToken"]}


# --- Organizations --------------------------------------------------------------------------------


@pytest.mark.parametrize("account", [MANAGEMENT, MEMBER])
def test_each_member_learns_its_organization(api: Api, account: str) -> None:
    assert ask(api, "DescribeOrganization", account_id=account)["Organization"] == {
        "Id": ORGANIZATION.id,
        "Arn": f"arn:aws:organizations::{MANAGEMENT}:organization/{ORGANIZATION.id}",
        "FeatureSet": "ALL",
        "MasterAccountArn": ARN_OF + MANAGEMENT,
        "MasterAccountId": MANAGEMENT,
        "AvailablePolicyTypes": [],
    }


def test_who_manages_the_organization_lists_and_describes_its_accounts(api: Api, state: StateStore) -> None:
    account = Account(MEMBER, name="Payments")
    state.configuration.apply([NewChange(Kind.ACCOUNT, MEMBER, account_body(account))])
    management = {"Id": MANAGEMENT, "Arn": ARN_OF + MANAGEMENT, "Status": "ACTIVE", "State": "ACTIVE"}
    member = {"Id": MEMBER, "Arn": ARN_OF + MEMBER, "Name": "Payments", "Status": "ACTIVE", "State": "ACTIVE"}
    assert listed(api) == [[management, member]]
    assert ask(api, "DescribeAccount", {"AccountId": MEMBER}) == {"Account": member}
    api("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": MEMBER})
    assert listed(api, account_id=MEMBER) == [[management, member]]


def test_accounts_come_in_pages_in_the_order_of_their_ids(api: Api, state: StateStore) -> None:
    with_members(state, *(f"{number:012}" for number in range(1, 40)))
    every = [account["Id"] for page in listed(api) for account in page]
    assert every == sorted(every)
    assert len(every) == 41
    assert [len(page) for page in listed(api)] == [20, 20, 1]
    assert [len(page) for page in listed(api, 7)] == [7] * 5 + [6]
    with_members(state, *(f"{number:012}" for number in range(1, 39)))
    assert [len(page) for page in listed(api)] == [20, 20]


def test_a_token_is_good_for_its_caller_only(api: Api, state: StateStore) -> None:
    with_members(state, THIRD)
    api("RegisterOrganizationDelegatedAdmin", {"MemberAccountId": MEMBER})
    token = ask(api, "ListAccounts", {"MaxResults": 1})["NextToken"]
    for members, account in (({"NextToken": token}, MEMBER), ({"NextToken": token[:-2]}, MANAGEMENT)):
        assert refused(api, "ListAccounts", members, account_id=account)[:2] == (400, "InvalidInputException")
    assert len(ask(api, "ListAccounts", {"NextToken": token})["Accounts"]) == 2


@pytest.mark.parametrize(("operation", "members"), [("ListAccounts", {}), ("DescribeAccount", {"AccountId": MEMBER})])
def test_others_may_not_list_accounts(api: Api, operation: str, members: dict[str, Any]) -> None:
    assert refused(api, operation, members, account_id=MEMBER)[:2] == (400, "AccessDeniedException")
    stranger = refused(api, operation, members, account_id=STRANGER)
    assert stranger[:2] == (400, "AWSOrganizationsNotInUseException")


def test_an_account_of_another_organization_or_none_is_not_found(api: Api) -> None:
    for account_id in (STRANGER, "000000000000"):
        refusal = refused(api, "DescribeAccount", {"AccountId": account_id})
        assert refusal[:2] == (400, "AccountNotFoundException")


# --- delegated administrators ---------------------------------------------------------------------


def register(account_id: str) -> tuple[str, dict[str, Any]]:
    return "RegisterOrganizationDelegatedAdmin", {"MemberAccountId": account_id}


def deregister(account_id: str) -> tuple[str, dict[str, Any]]:
    return "DeregisterOrganizationDelegatedAdmin", {"DelegatedAdminAccountId": account_id}


def test_a_delegated_administrator_is_registered_and_deregistered(api: Api) -> None:
    assert api(*register(MEMBER)) == {}
    assert api.refused(*register(MEMBER))[:2] == (400, "AccountRegisteredException")
    assert api(*deregister(MEMBER)) == {}
    assert api.refused(*deregister(MEMBER))[:2] == (400, "AccountNotRegisteredException")


@pytest.mark.parametrize("act", [register, deregister])
@pytest.mark.parametrize(
    ("caller", "account_id", "code"),
    [
        (MANAGEMENT, STRANGER, "AccountNotFoundException"),
        (MANAGEMENT, "1" * 13, "InvalidParameterException"),
        (MEMBER, MEMBER, "NotOrganizationManagementAccountException"),
        (STRANGER, MEMBER, "OrganizationsNotInUseException"),
    ],
)
def test_who_cannot_be_registered_by_whom(api: Api, act: Any, caller: str, account_id: str, code: str) -> None:
    assert api.refused(*act(account_id), account_id=caller)[:2] == (400, code)


def test_the_management_account_needs_no_delegation(api: Api) -> None:
    assert api.refused(*register(MANAGEMENT))[:2] == (400, "CannotDelegateManagementAccountException")


def test_a_delegated_administrator_cannot_register_another(api: Api, state: StateStore) -> None:
    with_members(state, THIRD)
    api(*register(MEMBER))
    for request in (register(THIRD), deregister(MEMBER)):
        assert api.refused(*request, account_id=MEMBER)[1] == "NotOrganizationManagementAccountException"


def test_an_organization_has_at_most_three(api: Api, state: StateStore) -> None:
    with_members(state, THIRD, FOURTH, FIFTH)
    for account_id in (MEMBER, THIRD, FOURTH):
        api(*register(account_id))
    assert api.refused(*register(FIFTH))[:2] == (400, "DelegatedAdminAccountLimitExceededException")
    api(*deregister(THIRD))
    api(*register(FIFTH))


# --- members that join and leave ------------------------------------------------------------------


def test_a_member_that_joins_sees_the_trail_and_one_that_leaves_does_not(api: Api, state: StateStore) -> None:
    def seen() -> list[str]:
        return [trail["Name"] for trail in api("DescribeTrails", account_id=STRANGER)["trailList"]]

    assert seen() == ["strangers"]
    joined = with_members(state, STRANGER)
    assert seen() == ["for-all", "strangers"]
    left = replace(joined, member_account_ids=joined.member_account_ids - {STRANGER})
    state.configuration.apply([NewChange(Kind.ORGANIZATION, left.id, organization_body(left))])
    assert seen() == ["strangers"]

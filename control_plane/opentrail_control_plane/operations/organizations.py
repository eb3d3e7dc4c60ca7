"""AWS Organizations, as far as the AWS CLI, Terraform and the SIEMs ask it."""

from __future__ import annotations

from typing import Any

from opentrail.trails.configuration import Organization
from opentrail_control_plane import paging
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.operations.context import Context, Reply

MAX_ACCOUNTS = 20
"""Accounts on one page of ListAccounts, Organizations' own limit."""


def describe_organization(context: Context, _members: dict[str, Any]) -> Reply:
    """DescribeOrganization: the organization that the caller's account is a member of.

    Raises ApiError: AWSOrganizationsNotInUseException.
    """
    organization = _own_organization(context)
    master = organization.management_account_id
    return Reply(
        {
            "Organization": {
                "Id": organization.id,
                "Arn": f"arn:aws:organizations::{master}:organization/{organization.id}",
                "FeatureSet": "ALL",
                "MasterAccountArn": _account_arn(organization, master),
                "MasterAccountId": master,
                "AvailablePolicyTypes": [],
            }
        }
    )


def list_accounts(context: Context, members: dict[str, Any]) -> Reply:
    """ListAccounts: the members by id, a page at a time; only for who manages the organization.

    Raises ApiError: AWSOrganizationsNotInUseException, AccessDeniedException, InvalidInputException.
    """
    organization = _managed_organization(context)
    query = {"operation": "ListAccounts", "account": context.account_id, "organization": organization.id}
    behind = ""
    if members.get("NextToken"):
        place = paging.opened(context.ports.token_key, query, members["NextToken"])
        if place is None:
            raise ApiError("InvalidInputException", "You provided a value that does not match the required pattern.")
        (behind,) = place
    limit = members.get("MaxResults", MAX_ACCOUNTS)
    left = [account_id for account_id in sorted(_member_ids(organization)) if account_id > behind]
    page = left[:limit]
    return Reply(
        {
            "Accounts": [_account(context, organization, account_id) for account_id in page],
            "NextToken": paging.seal(context.ports.token_key, query, [page[-1]]) if len(left) > limit else None,
        }
    )


def describe_account(context: Context, members: dict[str, Any]) -> Reply:
    """DescribeAccount: one member; only for who manages the organization.

    Raises ApiError: AWSOrganizationsNotInUseException, AccessDeniedException, AccountNotFoundException.
    """
    organization = _managed_organization(context)
    account_id = members["AccountId"]
    if account_id not in _member_ids(organization):
        raise ApiError("AccountNotFoundException", "You specified an account that doesn't exist.")
    return Reply({"Account": _account(context, organization, account_id)})


def _own_organization(context: Context) -> Organization:
    organization = context.configuration.organization_of(context.account_id)
    if organization is None:
        raise ApiError("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    return organization


def _managed_organization(context: Context) -> Organization:
    """The caller's organization, for its management account and its delegated administrators."""
    organization = _own_organization(context)
    if context.account_id not in {organization.management_account_id, *organization.delegated_administrators}:
        raise ApiError("AccessDeniedException", "You don't have permissions to access this resource.")
    return organization


def _member_ids(organization: Organization) -> frozenset[str]:
    return organization.member_account_ids | {organization.management_account_id}


def _account(context: Context, organization: Organization, account_id: str) -> dict[str, Any]:
    """Organizations' `Account`. OpenTrail knows neither an e-mail address nor when a member joined: left out."""
    known = context.configuration.accounts.get(account_id)
    return {
        "Id": account_id,
        "Arn": _account_arn(organization, account_id),
        "Name": (known.name if known is not None else "") or None,
        "Status": "ACTIVE",
        "State": "ACTIVE",
    }


def _account_arn(organization: Organization, account_id: str) -> str:
    return f"arn:aws:organizations::{organization.management_account_id}:account/{organization.id}/{account_id}"

"""AWS Organizations, as far as `validate-logs` asks it, and STS's one question."""

from __future__ import annotations

from typing import Any

from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.operations.context import Context


def describe_organization(context: Context, _members: dict[str, Any]) -> dict[str, Any]:
    """DescribeOrganization: the organization that the caller's account is a member of."""
    organization = context.configuration.organization_of(context.account_id)
    if organization is None:
        raise ApiError("AWSOrganizationsNotInUseException", "Your account is not a member of an organization.")
    master = organization.management_account_id
    prefix = f"arn:aws:organizations::{master}"
    return {
        "Organization": {
            "Id": organization.id,
            "Arn": f"{prefix}:organization/{organization.id}",
            "FeatureSet": "ALL",
            "MasterAccountArn": f"{prefix}:account/{organization.id}/{master}",
            "MasterAccountId": master,
            "AvailablePolicyTypes": [],
        }
    }


def get_caller_identity(context: Context) -> dict[str, str]:
    """STS GetCallerIdentity: an access key stands for its account's root."""
    account_id = context.account_id
    return {"Arn": f"arn:aws:iam::{account_id}:root", "UserId": account_id, "Account": account_id}

"""Members that may see to an organization's trails as its management account does."""

from __future__ import annotations

from typing import Any

from opentrail.trails.configuration import Kind, Organization, organization_body
from opentrail.trails.organization_requests import deregistered_administrator, registered_administrator
from opentrail_backends.state.port import NewChange
from opentrail_control_plane.operations.context import Context, Reply


def register_organization_delegated_admin(context: Context, members: dict[str, Any]) -> Reply:
    """RegisterOrganizationDelegatedAdmin. Raises Refused, as `registered_administrator`."""
    return _reply(registered_administrator(context.configuration, context.caller, members["MemberAccountId"]))


def deregister_organization_delegated_admin(context: Context, members: dict[str, Any]) -> Reply:
    """DeregisterOrganizationDelegatedAdmin: trails that the account made stay.

    Raises Refused, as `deregistered_administrator`.
    """
    account_id = members["DelegatedAdminAccountId"]
    return _reply(deregistered_administrator(context.configuration, context.caller, account_id))


def _reply(organization: Organization) -> Reply:
    return Reply({}, [NewChange(Kind.ORGANIZATION, organization.id, organization_body(organization))])

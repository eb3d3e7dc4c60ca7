"""RegisterOrganizationDelegatedAdmin and its counterpart (reference: CloudTrail §5.2, §10)."""

from __future__ import annotations

import re
from dataclasses import replace

from opentrail.trails.caller import Caller
from opentrail.trails.configuration import Configuration, Organization
from opentrail.trails.limits import MAX_DELEGATED_ADMINISTRATORS
from opentrail.trails.refused import Refused

_ACCOUNT_ID = re.compile(r"[0-9]{12}")


def registered_administrator(configuration: Configuration, caller: Caller, member_account_id: str) -> Organization:
    """The organization with a member as one more delegated administrator.

    Raises:
        Refused: OrganizationsNotInUseException, NotOrganizationManagementAccountException, InvalidParameterException,
            AccountNotFoundException, CannotDelegateManagementAccountException, AccountRegisteredException,
            DelegatedAdminAccountLimitExceededException.
    """
    organization = _managed_organization(configuration, caller)
    _check_member(organization, member_account_id)
    if member_account_id == organization.management_account_id:
        message = f"Account {member_account_id} is the management account and cannot be a delegated administrator."
        raise Refused("CannotDelegateManagementAccountException", message)
    administrators = organization.delegated_administrators
    if member_account_id in administrators:
        message = f"Account {member_account_id} is a delegated administrator already."
        raise Refused("AccountRegisteredException", message)
    if len(administrators) >= MAX_DELEGATED_ADMINISTRATORS:
        message = f"Organization {organization.id} has {len(administrators)} delegated administrators already."
        raise Refused("DelegatedAdminAccountLimitExceededException", message)
    return replace(organization, delegated_administrators=administrators | {member_account_id})


def deregistered_administrator(configuration: Configuration, caller: Caller, account_id: str) -> Organization:
    """The organization without a delegated administrator; trails that it made stay.

    Raises:
        Refused: OrganizationsNotInUseException, NotOrganizationManagementAccountException, InvalidParameterException,
            AccountNotFoundException, AccountNotRegisteredException.
    """
    organization = _managed_organization(configuration, caller)
    _check_member(organization, account_id)
    if account_id not in organization.delegated_administrators:
        message = f"Account {account_id} is not a delegated administrator."
        raise Refused("AccountNotRegisteredException", message)
    return replace(organization, delegated_administrators=organization.delegated_administrators - {account_id})


def _managed_organization(configuration: Configuration, caller: Caller) -> Organization:
    """The organization whose management account calls: nobody else makes or unmakes delegated administrators."""
    organization = configuration.organization_of(caller.account_id)
    if organization is None:
        message = f"Account {caller.account_id} is not a member of an organization."
        raise Refused("OrganizationsNotInUseException", message)
    if organization.management_account_id != caller.account_id:
        message = f"Account {caller.account_id} is not the management account of organization {organization.id}."
        raise Refused("NotOrganizationManagementAccountException", message)
    return organization


def _check_member(organization: Organization, account_id: str) -> None:
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise Refused("InvalidParameterException", f"{account_id} is not the id of an account.")
    if account_id not in organization.member_account_ids:
        message = f"Account {account_id} is not a member of organization {organization.id}."
        raise Refused("AccountNotFoundException", message)

"""Which trails an account sees and may change from a region, and by which name (reference: CloudTrail §5.4, §10)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentrail.trails.caller import Caller
from opentrail.trails.configuration import Configuration
from opentrail.trails.names import InvalidName, check_trail_name, parse_trail_arn
from opentrail.trails.refused import Refused
from opentrail.trails.trail import Trail


def seen_by_account(configuration: Configuration, account_id: str) -> Sequence[Trail]:
    """The account's own trails in all regions and the organization's, ordered by ARN."""
    return sorted(configuration.trails_seen_by(account_id), key=lambda trail: trail.arn)


def in_region(trails: Iterable[Trail], region: str) -> list[Trail]:
    """Those at home in a region, and multi-region ones, which are in each."""
    return [trail for trail in trails if trail.is_in(region)]


def is_original(trail: Trail, caller: Caller) -> bool:
    """Whether the trail is no copy here: neither of another region's trail nor of the organization's in a member."""
    return trail.home_region == caller.region and trail.account_id == caller.account_id


def named_trail(configuration: Configuration, caller: Caller, name_or_arn: str) -> Trail | None:
    """The trail that a name or ARN means to the caller; None if there is none that it sees.

    A name means a trail of the caller's account at home in its region. An ARN also means one of another region, and
    one of the organization's: a member has to name those by it.

    Raises:
        Refused: InvalidTrailNameException, CloudTrailARNInvalidException.
    """
    seen = configuration.trails_seen_by(caller.account_id)
    if name_or_arn.startswith("arn:"):
        check_trail_arn(name_or_arn)
        return next((trail for trail in seen if trail.arn == name_or_arn), None)
    check_trail_name(name_or_arn)
    return next((trail for trail in seen if trail.name == name_or_arn and is_original(trail, caller)), None)


def find_trail(configuration: Configuration, caller: Caller, name_or_arn: str) -> Trail:
    """The trail that a name or ARN means to the caller, as `named_trail`.

    Raises:
        Refused: TrailNotFoundException, InvalidTrailNameException, CloudTrailARNInvalidException.
    """
    trail = named_trail(configuration, caller, name_or_arn)
    if trail is None:
        message = f"Unknown trail: {name_or_arn} for the user: {caller.account_id}"
        raise Refused("TrailNotFoundException", message)
    return trail


def writable_trail(configuration: Configuration, caller: Caller, name_or_arn: str) -> Trail:
    """The trail that a name or ARN means, for an operation that changes it.

    An organization's trail is changed by its owner, the management account, and by delegated administrators; every
    trail only from its home region. A member learns first that the trail is not its to change, wherever it calls from.

    Raises:
        Refused: as `find_trail`, and NotOrganizationMasterAccountException, InvalidHomeRegionException.
    """
    trail = find_trail(configuration, caller, name_or_arn)
    if not may_change(configuration, caller.account_id, trail):
        raise Refused(
            "NotOrganizationMasterAccountException",
            f"Trail {trail.arn} belongs to the organization: only its management account and delegated administrators "
            "can change it.",
        )
    if trail.home_region != caller.region:
        raise Refused(
            "InvalidHomeRegionException",
            f"Trail {trail.arn} can be changed only from its home region {trail.home_region}, not from "
            f"{caller.region}.",
        )
    return trail


def asked_trail(members: Mapping[str, Any]) -> str:
    """The `TrailName` of an operation that could also be asked about an event data store.

    Raises:
        Refused: InvalidParameterCombinationException for both, InvalidParameterException for neither,
            UnsupportedOperationException for an event data store.
    """
    trail_name = members.get("TrailName")
    of_stores = [name for name in ("EventDataStore", "InsightsDestination") if members.get(name)]
    if trail_name is not None and of_stores:
        message = f"TrailName and {of_stores[0]} cannot be given together."
        raise Refused("InvalidParameterCombinationException", message)
    if of_stores:
        raise Refused("UnsupportedOperationException", "There are no event data stores here; specify TrailName.")
    if trail_name is None:
        raise Refused("InvalidParameterException", "Specify TrailName.")
    return str(trail_name)


def may_change(configuration: Configuration, account_id: str, trail: Trail) -> bool:
    """Whether the account owns the trail, or is a delegated administrator of the organization whose trail it is."""
    if trail.account_id == account_id:
        return True
    organization = configuration.organizations.get(trail.organization_id or "")
    return organization is not None and account_id in organization.delegated_administrators


def check_trail_arn(arn: str) -> None:
    """Raises Refused (CloudTrailARNInvalidException) unless the text is the ARN of a trail."""
    try:
        parse_trail_arn(arn)
    except InvalidName as error:
        raise Refused("CloudTrailARNInvalidException", error.message) from error

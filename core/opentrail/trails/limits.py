"""How many there may be: trails in a region, tags, delegated administrators (reference: CloudTrail §5.4, §5.7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from opentrail.trails.configuration import Configuration
from opentrail.trails.refused import Refused
from opentrail.trails.trail import Trail

TRAILS_PER_REGION = 5
"""In each region of each account; shadow trails and the organization's trails count."""
MAX_TAGS = 50
"""Of one resource."""
MAX_DELEGATED_ADMINISTRATORS = 3
"""Of one organization."""


class CrowdedRegion(NamedTuple):
    """A region in which an account has more trails than it may."""

    account_id: str
    region: str
    trails: int


def crowded_regions(
    configuration: Configuration, account_ids: Collection[str], regions: Collection[str]
) -> Iterator[CrowdedRegion]:
    """Where these accounts have too many trails, of these regions and those in which they have trails of their own."""
    for account_id in account_ids:
        seen = configuration.trails_seen_by(account_id)
        for region in dict.fromkeys((*regions, *sorted(trail.home_region for trail in seen))):
            count = sum(trail.is_in(region) for trail in seen)
            if count > TRAILS_PER_REGION:
                yield CrowdedRegion(account_id, region, count)


def check_trail_limits(configuration: Configuration, trail: Trail, regions: Collection[str]) -> None:
    """Raises Refused unless each account that the trail is in may have it, in each region that it is in.

    Args:
        configuration: the one that holds the trail already.
        trail: the one that is new, or is in more regions or accounts than before.
        regions: the regions there are.

    Raises:
        Refused: MaximumNumberOfTrailsExceededException; it names the first account and region that are full.
    """
    organization = configuration.organizations.get(trail.organization_id or "")
    members = organization.member_account_ids if organization is not None else frozenset[str]()
    accounts = dict.fromkeys((trail.account_id, *sorted(members)))
    for crowded in crowded_regions(configuration, accounts, (trail.home_region, *sorted(regions))):
        if trail.is_in(crowded.region):
            raise Refused(
                "MaximumNumberOfTrailsExceededException",
                f"User: {crowded.account_id} already has {TRAILS_PER_REGION} trails in {crowded.region}.",
            )

"""Which trails an account sees from a region, and by which name (CloudTrail: shadow trails, organization trails)."""

from __future__ import annotations

from collections.abc import Sequence

from opentrail.trails.configuration import Configuration
from opentrail.trails.names import InvalidName, parse_trail_arn
from opentrail.trails.trail import Trail
from opentrail_control_plane.errors import ApiError, trail_not_found
from opentrail_control_plane.operations.context import Context


def seen_by_account(configuration: Configuration, account_id: str) -> Sequence[Trail]:
    """The account's own trails in all regions and the organization's, ordered by ARN."""
    organization = configuration.organization_of(account_id)
    organization_id = None if organization is None else organization.id
    seen = (
        trail
        for trail in configuration.trails.values()
        if trail.account_id == account_id
        or (trail.organization_id is not None and trail.organization_id == organization_id)
    )
    return sorted(seen, key=lambda trail: trail.arn)


def in_region(trails: Sequence[Trail], region: str) -> list[Trail]:
    """Those at home in a region, and multi-region ones, which are in each."""
    return [trail for trail in trails if trail.home_region == region or trail.is_multi_region_trail]


def is_original(trail: Trail, context: Context) -> bool:
    """Whether the trail is no copy here: neither of another region's trail nor of the organization's in a member."""
    return trail.home_region == context.region and trail.account_id == context.account_id


def named(context: Context, name_or_arn: str) -> Trail | None:
    """The trail that a name or ARN means here.

    A name means a trail of this account at home in this region. An ARN also means one of another region, and
    one of the organization's.
    """
    seen = seen_by_account(context.configuration, context.account_id)
    if name_or_arn.startswith("arn:"):
        try:
            parse_trail_arn(name_or_arn)
        except InvalidName as error:
            raise ApiError("CloudTrailARNInvalidException", str(error)) from error
        return next((trail for trail in seen if trail.arn == name_or_arn), None)
    return next((trail for trail in seen if trail.name == name_or_arn and is_original(trail, context)), None)


def the_trail(context: Context, name_or_arn: str) -> Trail:
    """As `named`. Raises ApiError: TrailNotFoundException, CloudTrailARNInvalidException."""
    trail = named(context, name_or_arn)
    if trail is None:
        raise trail_not_found(name_or_arn, context.account_id)
    return trail

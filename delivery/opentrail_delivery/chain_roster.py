"""Which digest chains there have to be: one for each logging session of a trail, account and region."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator

from opentrail.evidence.digest_chain import first_end
from opentrail.evidence.object_keys import LogFileKey, parse_key
from opentrail.trails.configuration import Configuration
from opentrail.trails.names import parse_trail_arn
from opentrail.trails.trail import Trail
from opentrail_backends.state.port import Chain, Orphans

_CHAINS = uuid.UUID("6a7f1ed0-3c0a-5a38-9f0e-2f0c6f1c5b7d")

ChainKey = tuple[str, int, str, str]
"""(incarnation, logging session, account, region)"""


def chain_key(chain: Chain) -> ChainKey:
    """What a chain belongs to."""
    return (chain.incarnation, chain.logging_session, chain.account_id, chain.region)


def wanted_chains(configuration: Configuration, regions: Collection[str]) -> Iterator[tuple[ChainKey, Trail]]:
    """Every chain that the configuration asks for: of each trail that logs with validation on."""
    for trail in configuration.trails.values():
        if trail.is_logging and trail.log_file_validation_enabled:
            for account_id in accounts_of(trail, configuration):
                for region in regions_of(trail, regions):
                    yield (trail.incarnation, trail.logging_session, account_id, region), trail


def accounts_of(trail: Trail, configuration: Configuration) -> Collection[str]:
    """The accounts whose events a trail takes: its own, or all members of its organization."""
    if trail.organization_id is None:
        return (trail.account_id,)
    organization = configuration.organizations.get(trail.organization_id)
    return sorted(organization.member_account_ids) if organization else ()


def regions_of(trail: Trail, regions: Collection[str]) -> Collection[str]:
    """The regions whose events a trail takes, of those that there are."""
    return (
        sorted(regions) if trail.is_multi_region_trail else [trail.home_region] if trail.home_region in regions else ()
    )


def place_of(trail: Trail, account_id: str, region: str) -> str:
    """What a digest's key holds beside its stamp: under one place `digestEndTime` must rise over all chains."""
    parts = (
        trail.s3_bucket_name,
        trail.s3_key_prefix or "",
        trail.organization_id or "",
        account_id,
        region,
        trail.name,
        trail.home_region,
    )
    return "\n".join(parts)


def new_chain(key: ChainKey, trail: Trail, started_at: int, digest_seconds: int) -> Chain:
    """A chain that starts at `started_at` (seconds); its first digest is due within `digest_seconds`.

    Digests are anchored at the start of logging and spread over the period by what the chain belongs to. Its id has the
    start, too: a chain that begins anew after the ledger forgot it, or lost it, counts its digests from 1 again, and
    signed heads, which stay, must not give two digests of one chain the same number.
    """
    incarnation, session, account_id, region = key
    line = uuid.uuid5(_CHAINS, f"{incarnation}/{session}/{account_id}/{region}")
    return Chain(
        id=str(uuid.uuid5(line, str(started_at))),
        incarnation=incarnation,
        logging_session=session,
        account_id=account_id,
        region=region,
        trail_name=trail.name,
        home_region=trail.home_region,
        bucket=trail.s3_bucket_name,
        key_prefix=trail.s3_key_prefix,
        organization_id=trail.organization_id,
        place=place_of(trail, account_id, region),
        last_end=started_at,
        next_end=first_end(started_at, str(line), digest_seconds),
    )


def chain_of_orphans(orphans: Orphans, now: int, digest_seconds: int) -> Chain:
    """The chain that files need, from what their row says of them: their trail may be long forgotten.

    Raises MalformedKey, InvalidTrailArn: on a row that this release did not write.
    """
    arn = parse_trail_arn(orphans.trail_arn)
    key = parse_key(orphans.object_key)
    assert isinstance(key, LogFileKey)
    trail = Trail(
        incarnation=orphans.incarnation,
        name=arn.name,
        account_id=arn.account_id,
        home_region=arn.home_region,
        s3_bucket_name=orphans.bucket,
        s3_key_prefix=key.prefix,
        organization_id=key.organization_id,
    )
    identity = (orphans.incarnation, orphans.logging_session, orphans.account_id, orphans.region)
    return new_chain(identity, trail, max(orphans.delivered_at // 1000, now - digest_seconds), digest_seconds)

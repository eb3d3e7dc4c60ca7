"""Realistic CloudTrail records of a small organization, made from a seed.

Nothing in them is anybody's: accounts, names and addresses are those that documentation uses (RFC 5737,
RFC 3849). Their shape follows CloudTrail: order and presence of fields, versions 1.08 to 1.11, sizes around
1.2 KB, about four reads to one write, about one call in twelve failing. In the middle lies an incident: a
leaked access key (see `incident`). The same seed and start give the same bytes.
"""

from __future__ import annotations

from random import Random

from opentrail_cli.realistic_events.everyday import everyday_event
from opentrail_cli.realistic_events.incident import incident_events
from opentrail_cli.realistic_events.organization import ACCOUNTS, ORGANIZATION_ID, REGIONS, make_organization
from opentrail_cli.realistic_events.record import GeneratedEvent

__all__ = ["ACCOUNTS", "ORGANIZATION_ID", "REGIONS", "GeneratedEvent", "realistic_events"]


def realistic_events(seed: int, start: int, *, events: int = 4000, seconds: int = 6 * 3600) -> list[GeneratedEvent]:
    """Records of `seconds` of an organization's life from `start` (epoch seconds), ordered by event time.

    `events` counts the records without the incident, which adds about a hundred. A call that crosses
    accounts is two records, one for each account, so the sum may be one higher.
    """
    random = Random(f"opentrail realistic events {seed}")  # noqa: S311 - made-up data, not a secret
    organization = make_organization(random, start)
    happened = incident_events(random, organization, start, seconds)
    incidental = len(happened)
    while len(happened) < events + incidental:
        happened += everyday_event(random, organization, start + int(random.random() * seconds))
    return sorted(happened, key=lambda event: event.time)

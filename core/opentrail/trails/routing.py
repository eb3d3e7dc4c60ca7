"""What a trail wants, its own rules and its selectors together."""

from __future__ import annotations

from opentrail.events.batch import SelectorClass
from opentrail.trails.decision import Decision
from opentrail.trails.trail import Trail

LEADING_REGIONS = frozenset({"us-east-1", "cn-north-1", "us-gov-west-1"})
"""The region of each AWS partition that records the events of global services (reference: CloudTrail §2.2)."""

GLOBAL_SERVICES = frozenset(
    {
        "account.amazonaws.com",
        "billing.amazonaws.com",
        "cloudfront.amazonaws.com",
        "globalaccelerator.amazonaws.com",
        "iam.amazonaws.com",
        "organizations.amazonaws.com",
        "route53.amazonaws.com",
        "route53domains.amazonaws.com",
        "shield.amazonaws.com",
        "sts.amazonaws.com",
        "support.amazonaws.com",
        "waf.amazonaws.com",
    }
)
"""Services without regions of their own. AWS documents IAM, STS and CloudFront, and publishes no full list."""


def is_global_service_event(event_source: str, region: str) -> bool:
    """Whether an event recorded in a region is one of a global service.

    STS has regional endpoints too; what they record in the leading region cannot be told apart.
    """
    return region in LEADING_REGIONS and event_source in GLOBAL_SERVICES


def trail_decision(trail: Trail, region: str, selector_class: SelectorClass) -> Decision:
    """What a trail that applies to a region makes of all events of a class that were recorded there.

    CloudTrail's own writes are dropped by a trail with RecursiveLogging off, events of global services by
    one with IncludeGlobalServiceEvents off; the selectors decide about the rest.
    """
    if selector_class.written_by_cloudtrail and not trail.recursive_logging:
        return Decision.NO
    if not trail.include_global_service_events and is_global_service_event(selector_class.event_source, region):
        return Decision.NO
    return trail.event_selectors.decider.decide(selector_class)

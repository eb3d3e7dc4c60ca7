"""A trail: who wants which events, and where they go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta, Struct

from opentrail.trails.event_selectors import EventSelectors

InsightType = Literal["ApiCallRateInsight", "ApiErrorRateInsight"]
InsightCategory = Literal["Management", "Data"]
AggregationTemplate = Literal["API_ACTIVITY", "RESOURCE_ACCESS", "USER_ACTIONS"]


class InsightSelector(Struct, frozen=True, rename="pascal", forbid_unknown_fields=True, omit_defaults=True):
    """One type of Insights that a trail has switched on (API: InsightSelector)."""

    insight_type: InsightType
    event_categories: tuple[InsightCategory, ...] = ()
    """As they were given; none given means management events."""

    @property
    def categories(self) -> tuple[InsightCategory, ...]:
        """The categories of events that are watched."""
        return self.event_categories or ("Management",)


class AggregationConfiguration(Struct, frozen=True, rename="pascal", forbid_unknown_fields=True):
    """Events of a category that are also counted together (API: AggregationConfiguration)."""

    templates: Annotated[tuple[AggregationTemplate, ...], Meta(min_length=1, max_length=50)]
    event_category: Literal["Data"]


@dataclass(frozen=True, slots=True)
class EventConfiguration:
    """What PutEventConfiguration set for a trail. Event sizes and context keys are settings of event data stores."""

    aggregation_configurations: Annotated[tuple[AggregationConfiguration, ...], Meta(max_length=1)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The configuration of one trail at one revision.

    Field names follow the CloudTrail API's `Trail` structure in snake case. `incarnation` tells a trail
    from an earlier one of the same name: a digest chain belongs to an incarnation.
    """

    incarnation: str
    """UUID, given when the trail is made."""
    name: str
    account_id: str
    """Owner; of an organization trail the management account."""
    home_region: str
    s3_bucket_name: str
    s3_key_prefix: str | None = None
    kms_key_id: str | None = None
    """Full key ARN, or None for SSE-S3."""
    sns_topic_arn: str | None = None
    cloud_watch_logs_log_group_arn: str | None = None
    cloud_watch_logs_role_arn: str | None = None
    include_global_service_events: bool = True
    is_multi_region_trail: bool = False
    organization_id: str | None = None
    """`o-…` of an organization trail, else None."""
    log_file_validation_enabled: bool = False
    recursive_logging: bool = True
    is_logging: bool = False
    logging_session: int = 0
    """Raised by each StartLogging and each switching-on of validation: a session has digest chains of its own."""
    started_logging_at: int = 0
    """Milliseconds since the epoch of the beginning of the logging session; anchors the digest chains."""
    stopped_logging_at: int = 0
    """Milliseconds since the epoch of the newest StopLogging; 0: it was never stopped."""
    event_selectors: EventSelectors = field(default_factory=EventSelectors)
    insight_selectors: tuple[InsightSelector, ...] = ()
    event_configuration: EventConfiguration | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict, hash=False)

    @property
    def arn(self) -> str:
        """`arn:aws:cloudtrail:{home region}:{owner}:trail/{name}`."""
        return f"arn:aws:cloudtrail:{self.home_region}:{self.account_id}:trail/{self.name}"

    def is_in(self, region: str) -> bool:
        """Whether the trail is at home in the region, or is multi-region and so in each."""
        return self.is_multi_region_trail or self.home_region == region

    @property
    def is_organization_trail(self) -> bool:
        """Whether the trail takes the events of all members of an organization."""
        return self.organization_id is not None

    @property
    def has_custom_event_selectors(self) -> bool:
        """Whether its event selectors are others than a new trail's.

        A trail whose selectors were put back to those is as one that never had others: Terraform puts them back when
        a configuration names none any more, and would see a difference if the answer were yes (reference: §5.8).
        """
        return self.event_selectors != EventSelectors()

    @property
    def has_insight_selectors(self) -> bool:
        """Whether Insights are switched on."""
        return bool(self.insight_selectors)

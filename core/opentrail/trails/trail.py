"""A trail: who wants which events, and where they go."""

from __future__ import annotations

from dataclasses import dataclass, field

from opentrail.trails.event_selectors import EventSelectors


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
    """Milliseconds since the epoch of the newest StartLogging; anchors the digest chains."""
    event_selectors: EventSelectors = field(default_factory=EventSelectors)

    @property
    def arn(self) -> str:
        """`arn:aws:cloudtrail:{home region}:{owner}:trail/{name}`."""
        return f"arn:aws:cloudtrail:{self.home_region}:{self.account_id}:trail/{self.name}"

    @property
    def is_organization_trail(self) -> bool:
        """Whether the trail takes the events of all members of an organization."""
        return self.organization_id is not None

"""A channel: where events of a source outside AWS come in, and the policy that says who may put them there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a channel's events go, as the CloudTrail API has it (`Destination`)."""

    type: str
    """`EVENT_DATA_STORE` or `AWS_SERVICE`."""
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The configuration of one channel at one revision. Field names follow the CloudTrail API's GetChannel."""

    id: str
    """UUID: the last part of the channel's ARN."""
    account_id: str
    region: str
    """The channel is seen and used only here."""
    name: str
    source: str
    """The partner or application whose events come in, or `Custom`."""
    destinations: tuple[Destination, ...] = ()
    tags: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """`arn:aws:cloudtrail:{region}:{account}:channel/{id}`."""
        return f"arn:aws:cloudtrail:{self.region}:{self.account_id}:channel/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcePolicy:
    """The resource-based policy of one resource."""

    id: str
    """The resource's ARN."""
    account_id: str
    """The resource's owner."""
    policy: str
    """The policy's JSON text, as it was put."""

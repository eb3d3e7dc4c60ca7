"""What a configuration is made of besides trails and channels: organizations and accounts; and the kinds of changes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a change is about."""

    TRAIL = "trail"
    ORGANIZATION = "organization"
    ACCOUNT = "account"
    CHANNEL = "channel"
    RESOURCE_POLICY = "resource-policy"


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization: its management account sees to the trails of all members."""

    id: str
    management_account_id: str
    member_account_ids: frozenset[str] = frozenset()
    """All members, the management account included."""
    delegated_administrators: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Account:
    """An account that may send events. Limits of None mean the service's default."""

    id: str
    name: str = ""
    events_per_second: float | None = None
    bytes_per_second: float | None = None

"""The configuration: every trail, organization and account, at each of its revisions.

Changes are numbered in one sequence. The configuration at revision N is what the changes up to N make
of nothing, so an intent names all that governed it with one number per change point (design, step 3).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from opentrail.trails.trail import Trail


class Kind(StrEnum):
    """What a change is about."""

    TRAIL = "trail"
    ORGANIZATION = "organization"
    ACCOUNT = "account"


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


@dataclass(frozen=True, slots=True)
class Change:
    """One entity became `body` (None: was deleted) at a revision."""

    revision: int
    effective_at: int
    """Milliseconds since the epoch by the state store's clock; rises strictly with the revision."""
    kind: Kind
    id: str
    """The trail's incarnation, the organization's id or the account's id."""
    body: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Configuration:
    """All entities as they are at one revision."""

    revision: int = 0
    effective_at: int = 0
    trails: Mapping[str, Trail] = field(default_factory=dict)
    organizations: Mapping[str, Organization] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)

    def after(self, change: Change) -> Configuration:
        """The configuration that `change` makes of this one. Raises ValueError on a body that cannot be read."""
        raise NotImplementedError

    def organization_of(self, account_id: str) -> Organization | None:
        """The organization that the account is a member of."""
        raise NotImplementedError

    def trails_for(self, account_id: str, region: str) -> tuple[Trail, ...]:
        """The logging trails that apply to events of an account recorded in a region, ordered by incarnation.

        Account trails of the account and organization trails of its organization; multi-region, or at home there.
        """
        raise NotImplementedError


class ConfigurationHistory:
    """The revisions that this process knows, for looking one up by time or by number."""

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._configurations: list[Configuration] = [Configuration()]
        self.extend(changes)

    def extend(self, changes: Iterable[Change]) -> None:
        """Adds newer changes, in the order of their revisions; those already known are passed over."""
        for change in changes:
            if change.revision > self.newest.revision:
                self._configurations.append(self.newest.after(change))

    @property
    def newest(self) -> Configuration:
        """The configuration after the last change."""
        return self._configurations[-1]

    @property
    def known(self) -> Sequence[Configuration]:
        """Every known configuration, oldest first."""
        return self._configurations

    def at_time(self, append_time: int) -> Configuration:
        """The newest configuration in force at `append_time` (ms): it governs what the bus took then (step 2)."""
        index = bisect_right(self._configurations, append_time, key=lambda c: c.effective_at)
        return self._configurations[max(index - 1, 0)]

    def at_revision(self, revision: int) -> Configuration:
        """The configuration at a revision. Raises KeyError if this process does not know it."""
        index = bisect_right(self._configurations, revision, key=lambda c: c.revision) - 1
        if index < 0 or self._configurations[index].revision != revision:
            raise KeyError(revision)
        return self._configurations[index]

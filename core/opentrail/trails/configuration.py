"""The configuration: every trail, organization and account, at each of its revisions.

Changes are numbered in one sequence. The configuration at revision N is what the changes up to N make
of nothing, so an intent names all that governed it with one number per change point (design, step 3).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentrail.trails.bodies import (
    READERS,
    account_body,
    account_from_body,
    channel_body,
    channel_from_body,
    organization_body,
    organization_from_body,
    resource_policy_body,
    resource_policy_from_body,
    trail_body,
    trail_from_body,
)
from opentrail.trails.channel import Channel, ResourcePolicy
from opentrail.trails.entities import Account, Kind, Organization
from opentrail.trails.trail import Trail

__all__ = [
    "Account",
    "Change",
    "Channel",
    "Configuration",
    "ConfigurationHistory",
    "Kind",
    "Organization",
    "ResourcePolicy",
    "account_body",
    "account_from_body",
    "channel_body",
    "channel_from_body",
    "organization_body",
    "organization_from_body",
    "resource_policy_body",
    "resource_policy_from_body",
    "trail_body",
    "trail_from_body",
]

_ANSWERS_KEPT = 100_000
_CONFIGURATIONS_KEPT = 16


@dataclass(frozen=True, slots=True)
class Change:
    """One entity became `body` (None: was deleted) at a revision."""

    revision: int
    effective_at: int
    """Milliseconds since the epoch by the state store's clock; rises strictly with the revision."""
    kind: Kind
    id: str
    """The trail's incarnation, the id of the organization, account or channel, or the ARN of the policy's resource."""
    body: Mapping[str, Any] | None


class _Index:
    """What a configuration looks up often: built when first asked for."""

    def __init__(self) -> None:
        self.organizations: dict[str, Organization] = {}
        self.trails: dict[str, list[Trail]] = {}
        """Trails by the account or organization whose events they take."""
        self.organization_trails_of: dict[str, list[Trail]] = {}
        """Organization trails by their owner."""
        self.answers: dict[tuple[str, str], tuple[Trail, ...]] = {}
        self._built = False

    def build(self, configuration: Configuration) -> None:
        """Builds the index once. Two threads that do it at once build the same."""
        if self._built:
            return
        organizations = {
            account_id: organization
            for organization in sorted(configuration.organizations.values(), key=lambda o: o.id, reverse=True)
            for account_id in (*organization.member_account_ids, organization.management_account_id)
        }
        trails: dict[str, list[Trail]] = {}
        owned: dict[str, list[Trail]] = {}
        for trail in configuration.trails.values():
            trails.setdefault(trail.organization_id or trail.account_id, []).append(trail)
            if trail.is_organization_trail:
                owned.setdefault(trail.account_id, []).append(trail)
        self.organizations, self.trails, self.organization_trails_of = organizations, trails, owned
        self._built = True

    def remember(self, account_id: str, region: str, answer: tuple[Trail, ...]) -> tuple[Trail, ...]:
        """Keeps an answer, and a bounded number of them."""
        if len(self.answers) >= _ANSWERS_KEPT:
            self.answers.clear()
        self.answers[account_id, region] = answer
        return answer


@dataclass(frozen=True, slots=True)
class Configuration:
    """All entities as they are at one revision."""

    revision: int = 0
    effective_at: int = 0
    trails: Mapping[str, Trail] = field(default_factory=dict)
    organizations: Mapping[str, Organization] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    channels: Mapping[str, Channel] = field(default_factory=dict)
    resource_policies: Mapping[str, ResourcePolicy] = field(default_factory=dict)
    """By the resource's ARN."""
    _index: _Index = field(default_factory=_Index, init=False, repr=False, compare=False)

    def after(self, *changes: Change) -> Configuration:
        """The configuration that the changes, in order, make of this one.

        Raises ValueError on a body that cannot be read, and on a kind or an order of revisions that cannot be.
        """
        revision, effective_at = self.revision, self.effective_at
        entities: dict[str, dict[str, Any]] = {
            Kind.TRAIL: dict(self.trails),
            Kind.ORGANIZATION: dict(self.organizations),
            Kind.ACCOUNT: dict(self.accounts),
            Kind.CHANNEL: dict(self.channels),
            Kind.RESOURCE_POLICY: dict(self.resource_policies),
        }
        for change in changes:
            if change.revision <= revision or change.effective_at < effective_at:
                raise ValueError(f"revision {change.revision} does not come after revision {revision}")
            revision, effective_at = change.revision, change.effective_at
            kind = Kind(change.kind)
            if change.body is None:
                entities[kind].pop(change.id, None)
            else:
                entities[kind][change.id] = READERS[kind](change.id, change.body)
        return Configuration(
            revision=revision,
            effective_at=effective_at,
            trails=entities[Kind.TRAIL],
            organizations=entities[Kind.ORGANIZATION],
            accounts=entities[Kind.ACCOUNT],
            channels=entities[Kind.CHANNEL],
            resource_policies=entities[Kind.RESOURCE_POLICY],
        )

    def organization_of(self, account_id: str) -> Organization | None:
        """The organization that the account is a member of."""
        self._index.build(self)
        return self._index.organizations.get(account_id)

    def trails_seen_by(self, account_id: str) -> Sequence[Trail]:
        """The account's own trails in all regions, and those of its organization."""
        self._index.build(self)
        organization = self._index.organizations.get(account_id)
        trails = [
            *self._index.trails.get(account_id, ()),
            *self._index.organization_trails_of.get(account_id, ()),
            *(self._index.trails.get(organization.id, ()) if organization else ()),
        ]
        return list({trail.incarnation: trail for trail in trails}.values())

    def trails_for(self, account_id: str, region: str) -> tuple[Trail, ...]:
        """The logging trails that apply to events of an account recorded in a region, ordered by incarnation.

        Account trails of the account and organization trails of its organization; multi-region, or at home there.
        """
        known = self._index.answers.get((account_id, region))
        if known is not None:
            return known
        self._index.build(self)
        organization = self._index.organizations.get(account_id)
        candidates = [
            *self._index.trails.get(account_id, ()),
            *(self._index.trails.get(organization.id, ()) if organization else ()),
        ]
        applying = [trail for trail in candidates if trail.is_logging and trail.is_in(region)]
        answer = tuple(sorted(applying, key=lambda trail: trail.incarnation))
        return self._index.remember(account_id, region, answer)


class ConfigurationHistory:
    """The revisions that this process knows, for looking one up by time or by number.

    A configuration is made when it is asked for, and the last few are kept: thousands of revisions of
    thousands of trails take no more memory than their changes.
    """

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        self._changes: list[Change] = []
        self._newest = Configuration()
        self._made: dict[int, Configuration] = {}
        """Configurations by the count of changes that made them."""
        self._first_revisions: dict[str, int] = {}
        """Of each trail that there ever was, by incarnation."""
        self._changed_at: dict[tuple[str, str], int] = {}
        self.extend(changes)

    def extend(self, changes: Iterable[Change]) -> None:
        """Adds newer changes, in the order of their revisions; those already known are passed over.

        Raises ValueError, and adds none, if one of them cannot be read.
        """
        newer = [change for change in changes if change.revision > self._newest.revision]
        if newer:
            newest = self._newest.after(*newer)
            # The changes first: another thread that looks up a time must not see a newest one without them.
            self._changes.extend(newer)
            for change in newer:
                self._changed_at[change.kind, change.id] = change.effective_at
                if change.kind == Kind.TRAIL:
                    self._first_revisions.setdefault(change.id, change.revision)
            self._newest = newest

    @property
    def newest(self) -> Configuration:
        """The configuration after the last change."""
        return self._newest

    @property
    def known(self) -> Sequence[Configuration]:
        """Every known configuration, oldest first; made anew at each call."""
        configurations = [Configuration()]
        for change in self._changes:
            configurations.append(configurations[-1].after(change))
        return configurations

    def forms_of(self, incarnation: str) -> Iterator[Trail]:
        """Each form that a trail had, the newest first, also of one that was deleted."""
        for change in reversed(self._changes):
            if change.kind == Kind.TRAIL and change.id == incarnation and change.body is not None:
                yield trail_from_body(incarnation, change.body)

    def first_revision_of(self, incarnation: str) -> int:
        """The revision that made a trail, also one that was deleted; 0 if this process does not know it."""
        return self._first_revisions.get(incarnation, 0)

    def changed_at(self, kind: Kind, id: str) -> int:  # noqa: A002 - the change's own term
        """When the newest change of an entity took effect (ms); 0 if this process knows none."""
        return self._changed_at.get((kind, id), 0)

    def at_time(self, append_time: int) -> Configuration:
        """The newest configuration in force at `append_time` (ms): it governs what the bus took then (step 2)."""
        return self._after_changes(bisect_right(self._changes, append_time, key=lambda c: c.effective_at))

    def at_revision(self, revision: int) -> Configuration:
        """The configuration at a revision. Raises KeyError if this process does not know it."""
        count = bisect_right(self._changes, revision, key=lambda c: c.revision)
        if revision != (self._changes[count - 1].revision if count else 0):
            raise KeyError(revision)
        return self._after_changes(count)

    def _after_changes(self, count: int) -> Configuration:
        if count == len(self._changes):
            return self._newest
        configuration = self._made.get(count)
        if configuration is None:
            base = max((c for c in list(self._made) if c < count), default=0)
            start = self._made[base] if base else Configuration()
            configuration = start.after(*self._changes[base:count])
            if len(self._made) >= _CONFIGURATIONS_KEPT:
                del self._made[next(iter(self._made))]
            self._made[count] = configuration
        return configuration

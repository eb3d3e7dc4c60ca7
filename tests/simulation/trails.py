"""The operator's side: trails that come and go, and what each of them wants, told without the code under test."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from opentrail.trails.configuration import Change, Kind, Organization, organization_body, trail_body, trail_from_body
from opentrail.trails.event_selectors import BasicEventSelector, EventSelectors
from opentrail.trails.trail import Trail
from opentrail_backends.state.port import NewChange
from tests.simulation.choices import Choices
from tests.simulation.memory_state import MemoryStateStore

HERE, THERE = "eu-central-1", "us-east-1"
PARTITIONS = {HERE: 2, THERE: 1}
FIRST, SECOND, THIRD = "111122223333", "222233334444", "333344445555"
ORGANIZATION = "o-simulation1"
BUCKETS = ("trail-logs-one", "trail-logs-two", "trail-logs-three")
OWNERS = {"alpha": FIRST, "beta": SECOND, "everybody": FIRST}
_WRITES_ONLY = EventSelectors(basic=(BasicEventSelector(read_write_type="WriteOnly"),))


class Operator:
    """Changes the configuration as the control plane does."""

    def __init__(self, state: MemoryStateStore, choices: Choices) -> None:
        self._state = state
        self._choices = choices
        self.trails: dict[str, Trail] = {}
        """Those that exist, by name."""
        self.members = {FIRST, SECOND}
        self.came_back: set[str] = set()
        """Accounts that left or joined while the organization had trails."""
        self._made = 0
        self._put_organization()

    # --- changes -----------------------------------------------------------------------------------

    def create(self, name: str, **changes: Any) -> None:
        self._made += 1
        choices = self._choices
        trail = Trail(
            incarnation=f"00000000-0000-4000-8000-{self._made:012d}",
            name=name,
            account_id=OWNERS[name],
            home_region=HERE,
            s3_bucket_name=choices.pick(BUCKETS),
            s3_key_prefix=choices.pick((None, None, "logs")),
            organization_id=ORGANIZATION if name == "everybody" else None,
            is_multi_region_trail=choices.below(2) == 0,
            log_file_validation_enabled=not choices.chance(8),
            is_logging=True,
            logging_session=1,
            started_logging_at=self._state.configuration.now(),
        )
        self._put(replace(trail, **changes))

    def stop(self, name: str) -> None:
        self._put(replace(self.trails[name], is_logging=False))

    def start(self, name: str) -> None:
        trail = self.trails[name]
        if not trail.is_logging:
            now = self._state.configuration.now()
            session = trail.logging_session + 1
            self._put(replace(trail, is_logging=True, logging_session=session, started_logging_at=now))

    def delete(self, name: str) -> None:
        trail = self.trails.pop(name)
        self._state.configuration.apply([NewChange(Kind.TRAIL, trail.incarnation, None)])

    def move(self, name: str) -> None:
        choices = self._choices
        target = {"s3_bucket_name": choices.pick(BUCKETS), "s3_key_prefix": choices.pick((None, "logs", "moved"))}
        self._put(replace(self.trails[name], **target))

    def switch_validation(self, name: str) -> None:
        trail = self.trails[name]
        is_on = not trail.log_file_validation_enabled
        session = trail.logging_session + is_on
        self._put(replace(trail, log_file_validation_enabled=is_on, logging_session=session))

    def switch_selectors(self, name: str) -> None:
        trail = self.trails[name]
        wanted = EventSelectors() if trail.event_selectors == _WRITES_ONLY else _WRITES_ONLY
        self._put(replace(trail, event_selectors=wanted))

    def switch_key(self, name: str) -> None:
        trail = self.trails[name]
        key = None if trail.kms_key_id else f"arn:aws:kms:{HERE}:{FIRST}:key/1"
        self._put(replace(trail, kms_key_id=key))

    def switch_member(self, account: str = THIRD) -> None:
        self.members ^= {account}
        self.came_back.add(account)
        self._put_organization()

    def _put(self, trail: Trail) -> None:
        self.trails[trail.name] = trail
        self._state.configuration.apply([NewChange(Kind.TRAIL, trail.incarnation, trail_body(trail))])

    def _put_organization(self) -> None:
        organization = Organization(ORGANIZATION, FIRST, frozenset(self.members))
        change = NewChange(Kind.ORGANIZATION, ORGANIZATION, organization_body(organization))
        self._state.configuration.apply([change])


class History:
    """What each trail wanted at each revision: a second reading of the changes, without indexes and without routing."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._changes = list(changes)
        self._made: dict[int, tuple[dict[str, Trail], Collection[str]]] = {}
        self.names = {change.id: change.body["name"] for change in self._changes if _is_trail(change) and change.body}

    def _at(self, revision: int) -> tuple[dict[str, Trail], Collection[str]]:
        if revision not in self._made:
            trails: dict[str, Trail] = {}
            members: Collection[str] = ()
            for change in self._changes:
                if change.revision > revision:
                    break
                if not _is_trail(change):
                    members = change.body["member_account_ids"] if change.body else ()
                elif change.body is None:
                    trails.pop(change.id, None)
                else:
                    trails[change.id] = trail_from_body(change.id, change.body)
            self._made[revision] = trails, members
        return self._made[revision]

    def governing(self, append_time: int, known: int) -> list[int]:
        """Revisions that may govern what the bus took then, when `known` was the newest one, or a later one is."""
        times = [change.effective_at for change in self._changes]
        in_force = [
            max((r for r in range(1, newest + 1) if times[r - 1] <= append_time), default=0)
            for newest in range(known, len(times) + 1)
        ]
        return sorted(set(in_force))

    def wanting(self, revision: int, account: str, region: str, *, read_only: bool) -> frozenset[str]:
        """Names of the trails that want an event."""
        trails, members = self._at(revision)
        return frozenset(
            trail.name
            for trail in trails.values()
            if trail.is_logging
            and (trail.is_multi_region_trail or trail.home_region == region)
            and (account in members if trail.organization_id else account == trail.account_id)
            and not (read_only and trail.event_selectors == _WRITES_ONLY)
        )


def _is_trail(change: Change) -> bool:
    return change.kind is Kind.TRAIL

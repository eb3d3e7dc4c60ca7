"""Members of a group, in any order of what may happen to them: no partition is ever two members'."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from opentrail_backends.event_bus.embedded.bus import EmbeddedEventBus
from opentrail_backends.event_bus.embedded.database import Database
from opentrail_backends.event_bus.embedded.membership import Membership
from opentrail_backends.event_bus.embedded.settings import EmbeddedSettings
from opentrail_backends.event_bus.port import Partition

LEASE = 60.0
MOST = 4


class Member:
    def __init__(self, path: Path, clock: Group) -> None:
        self.database = Database(path)
        self.membership = Membership(self.database, "delivery", LEASE, lambda: clock.time)
        self.ours: dict[Partition, int] = {}
        self.surplus: dict[Partition, int] = {}
        self.renewed_at = 0.0

    def renew(self, now: float) -> None:
        self.give_up()
        change = self.membership.renew(self.ours)
        for partition in change.lost:
            del self.ours[partition]
        assert not self.ours.keys() & change.gained.keys()
        assert change.surplus.keys() <= self.ours.keys()
        self.ours |= change.gained
        self.surplus = dict(change.surplus)
        self.renewed_at = now

    def give_up(self) -> None:
        """What a reader does after its listener was told."""
        if self.surplus:
            for partition in self.surplus:
                del self.ours[partition]
            self.membership.release(self.surplus.values())
            self.surplus = {}


class Group(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.time = 1_700_000_000.0
        self.folder = contextlib.ExitStack()
        path = Path(self.folder.enter_context(tempfile.TemporaryDirectory())) / "bus.db"
        self.path = path
        self.bus = EmbeddedEventBus(EmbeddedSettings(path), now=lambda: self.time)
        self.members: list[Member] = []
        self.partitions = 0

    @precondition(lambda self: len(self.members) < MOST)
    @rule()
    def join(self) -> None:
        self.members.append(Member(self.path, self))
        self.members[-1].renew(self.time)

    @precondition(lambda self: self.members)
    @rule(which=st.integers(0, MOST - 1))
    def renew(self, which: int) -> None:
        self.members[which % len(self.members)].renew(self.time)

    @precondition(lambda self: self.members)
    @rule(which=st.integers(0, MOST - 1))
    def leave(self, which: int) -> None:
        member = self.members.pop(which % len(self.members))
        member.membership.leave()
        member.database.close()

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.time += seconds

    @precondition(lambda self: self.partitions < 12)
    @rule(partitions=st.integers(1, 4))
    def a_region_appears(self, partitions: int) -> None:
        self.bus.ensure_topic(f"region-{self.partitions}", partitions)
        self.partitions += partitions

    @invariant()
    def no_partition_is_two_living_members(self) -> None:
        living = [member for member in self.members if member.renewed_at + LEASE >= self.time]
        owned = [partition for member in living for partition in member.ours]
        assert len(owned) == len(set(owned))

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            for member in self.members:
                member.database.close()
            self.bus.close()
            self.folder.close()

    def settle(self) -> None:
        """In the end everything is spread evenly, and then nothing goes to and fro."""
        for _ in range(10):
            for member in self.members:
                member.renew(self.time)
        shares = sorted(len(member.ours) for member in self.members) or [self.partitions]
        assert sum(shares) == self.partitions
        assert shares[-1] - shares[0] <= 1
        settled = [dict(member.ours) for member in self.members]
        for member in self.members:
            assert not member.membership.is_due()
            member.renew(self.time)
        assert [member.ours for member in self.members] == settled


Group.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestGroup = Group.TestCase

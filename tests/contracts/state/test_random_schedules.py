"""Random schedules of owners, builders and clocks that step: what must hold after each step of any of them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import Chain, Intent, Lease, LedgerLost
from tests.contracts.state.samples import (
    PARKED,
    REGION,
    Clock,
    chain,
    current,
    digest,
    dump,
    intended_file,
    intent,
)

OWNERS = st.integers(0, 2)
CHAINS = ["one", "two"]


class Schedules(RuleBasedStateMachine):
    """Three would-be owners of one partition, and builders that hold heads for as long as they like."""

    @initialize()
    def open(self) -> None:
        self.clock = Clock()
        self.store = open_state_store("sqlite://", clock=self.clock)
        self.store.migrate()
        self.held: dict[int, tuple[Lease, list[Intent]]] = {}
        self.heads: dict[int, Chain] = {}
        self.owner: int | None = None
        self.written = 0
        self.delivered_up_to = 0
        self.digests: list[tuple[str, int]] = []
        self.store.chains.ensure_chains(
            chain(name, logging_session=session) for session, name in enumerate(CHAINS, start=1)
        )

    @rule(seconds=st.integers(-100, 4000))
    def the_clock_moves(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule(who=OWNERS)
    def step_1(self, who: int) -> None:
        lease, open_intents = self.store.ledger.own(REGION, 0, 0)
        self.held[who] = lease, list(open_intents)
        self.owner = who
        assert lease.last_intent == self.written
        assert lease.next_offset == self.delivered_up_to

    @rule(who=OWNERS, size=st.integers(1, 5), files=st.integers(0, 3), session=st.integers(1, 2))
    def step_3(self, who: int, size: int, files: int, session: int) -> None:
        if who not in self.held:
            return
        lease, waiting = self.held[who]
        first = waiting[-1].end_offset if waiting else lease.next_offset
        made = [
            intended_file(f"{lease.epoch}-{lease.last_intent + 1}-{part}", part=part, logging_session=session)
            for part in range(files)
        ]
        window = intent(lease.last_intent + 1, first, first + size, *made)
        try:
            lease = self.store.ledger.write_intent(lease, window)
        except LedgerLost:
            assert who != self.owner
            return
        assert who == self.owner
        self.held[who] = lease, [*waiting, window]
        self.written += 1

    @rule(who=OWNERS, park=st.booleans(), which=st.integers(0, 2))
    def step_5(self, who: int, park: bool, which: int) -> None:
        lease, waiting = self.held.get(who, (None, []))
        if lease is None or not waiting:
            return
        window = waiting[which % len(waiting)]
        parked = {file.object_key: PARKED for file in window.files[:1]} if park else {}
        try:
            lease = self.store.ledger.deliver(lease, window, parked)
        except LedgerLost:
            assert who != self.owner or window is not waiting[0]
            return
        assert (who, window) == (self.owner, waiting[0])
        self.held[who] = lease, waiting[1:]
        self.delivered_up_to = window.end_offset

    @rule(who=OWNERS, name=st.sampled_from(CHAINS))
    def step_7(self, who: int, name: str) -> None:
        self.heads[who] = current(self.store, name)

    @rule(who=OWNERS, later=st.integers(0, 3))
    def step_8(self, who: int, later: int) -> None:
        head = self.heads.get(who)
        if head is None:
            return
        built = digest(head, head.next_end + later)
        taken = [file.id for file in self.store.chains.undigested(head, built.end)]
        now = current(self.store, head.id)
        follows = head.sequence == now.sequence and built.end >= now.next_end
        assert self.store.chains.append(head, built, taken, built.end + 3600, ended=False) == follows
        if follows:
            self.digests.append((head.id, built.end))
            self.heads[who] = replace(current(self.store, head.id), next_end=built.end + 3600)

    @invariant()
    def rows_keep_the_promises(self) -> None:
        rows = dump(self.store)
        times = [row["delivered_at"] for row in rows["file"] if row["delivered_at"] is not None]
        assert times == sorted(times)
        assert {row["state"] for row in rows["file"] if row["delivered_at"] is not None} <= {"delivered"}
        stamps = [end for _, end in self.digests]
        assert all(earlier < later for earlier, later in pairwise(stamps))
        self.each_file_is_in_a_digest_of_its_chain(rows)

    def each_file_is_in_a_digest_of_its_chain(self, rows: dict[str, list[dict[str, Any]]]) -> None:
        ends = {(row["chain_id"], row["sequence"]): row["end"] for row in rows["digest"]}
        assert sorted(ends.items(), key=lambda kept: kept[1]) == [
            ((name, [one for one, _ in self.digests[: at + 1]].count(name)), end)
            for at, (name, end) in enumerate(self.digests)
        ]
        for row in rows["file"]:
            if row["digest"] is not None:
                assert row["delivered_at"] < ends[CHAINS[row["logging_session"] - 1], row["digest"]] * 1000

    def teardown(self) -> None:
        if hasattr(self, "store"):
            (recorded,) = (row["last"] for row in dump(self.store)["clock"])
            assert self.store.ledger.now() >= recorded
            self.store.close()


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)

"""What the service keeps over cycles and restarts: what was verified and is open of each chain, and what is untold.

Bounded: of a chain whose whole bucket was wiped the first findings are kept, and the number of the others.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from opentrail_validator.findings import Finding
from opentrail_validator.service.open_findings import Change, OpenFinding, PassOverChain, What
from opentrail_validator.service.port import WatchedChain
from opentrail_validator.walked import VerifiedDigest

MOST_OPEN: Final = 200
"""Open findings kept of one chain."""
MOST_UNTOLD: Final = 1_000
"""Changes kept for the next notice; of more only the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainMemory:
    """What is known of a chain. Times are epoch seconds."""

    trail_arn: str
    account_id: str
    region: str
    covered_from: int | None = None
    """Where its first verified digest begins; None: none was verified yet."""
    newest: VerifiedDigest | None = None
    """The newest digest that was ever verified: a head of our own."""
    until_full: int = 0
    """Passes before the next one that begins at the chain's beginning."""
    checked_at: int | None = None
    unchecked: int = 0
    """What the last pass could not check."""
    failure: str = ""
    """Why the last pass could check nothing at all."""
    open: tuple[OpenFinding, ...] = ()
    beyond: int = 0
    """Findings of the last pass that are open and not kept."""


@dataclass(frozen=True, slots=True)
class Untold:
    """Changes that no notice has told yet, in their order, and how many more there were."""

    changes: tuple[Change, ...] = ()
    opened_beyond: int = 0
    repaired_beyond: int = 0

    def __bool__(self) -> bool:
        return bool(self.changes or self.opened_beyond or self.repaired_beyond)


@dataclass(frozen=True, slots=True, kw_only=True)
class BookContent:
    """All that is in the book, as the file has it."""

    chains: Mapping[str, ChainMemory] = field(default_factory=dict)
    untold: Untold = Untold()
    cycle: int = 0
    """Cycles that were begun."""
    notice: int = 0
    """Notices that were taken over."""


class Book:
    """Safe for use by several threads: one that runs cycles, and those that answer calls."""

    def __init__(self, content: BookContent | None = None) -> None:
        self._lock = threading.RLock()
        self._content = content or BookContent()

    @property
    def content(self) -> BookContent:
        """All that is in it now; does not change any more."""
        with self._lock:
            return self._content

    def memory(self, chain: WatchedChain) -> ChainMemory:
        """What is known of a chain; of an unknown one: nothing."""
        known = self.content.chains.get(chain.id)
        return known or ChainMemory(
            trail_arn=chain.trail_arn, account_id=chain.place.account_id, region=chain.place.region
        )

    def begin_cycle(self, chains: Sequence[WatchedChain]) -> list[str]:
        """From now on these are watched: others are forgotten, and their ids returned.

        A chain that is new takes over from one of the same trail, account and region that is watched no more: the
        trail has moved to another bucket or prefix.
        """
        with self._lock:
            known = dict(self._content.chains)
            left = {chain_id: known.pop(chain_id) for chain_id in known.keys() - {chain.id for chain in chains}}
            for chain in chains:
                before = None if chain.id in known else _predecessor(chain, left)
                if before is not None:
                    known[chain.id] = left.pop(before)
            self._content = replace(self._content, chains=known, cycle=self._content.cycle + 1)
            return sorted(left)

    def open(self, chain: WatchedChain, finding: Finding, at: int) -> Change | None:
        """Opens a finding; None where so many are open that it is only counted, at the end of the pass."""
        with self._lock:
            memory = self.memory(chain)
            if len(memory.open) >= MOST_OPEN:
                return None
            change = Change(What.OPENED, chain.id, finding, at)
            self._put(chain.id, replace(memory, open=(*memory.open, OpenFinding(finding, at))))
            self._tell([change])
        return change

    def end_pass(
        self, chain: WatchedChain, seen: PassOverChain, at: int, beyond: int, known: ChainMemory
    ) -> Sequence[Change]:
        """Closes what is repaired. `known` has what the pass learned of the chain; its open findings do not count."""
        repaired, kept = seen.repaired(), seen.kept()
        changes = [Change(What.REPAIRED, chain.id, each.finding, at) for each in repaired]
        with self._lock:
            opened = self._content.chains[chain.id].open if chain.id in self._content.chains else ()
            new = opened[seen.open_before :]
            self._put(chain.id, replace(known, open=(*kept, *new), beyond=beyond))
            self._tell(changes)
        return changes

    def fail_pass(self, chain: WatchedChain, known: ChainMemory) -> None:
        """Nothing of the chain could be checked: what is open stays as it is."""
        with self._lock:
            before = self._content.chains.get(chain.id)
            kept = (before.open, before.beyond) if before else ((), 0)
            self._put(chain.id, replace(known, open=kept[0], beyond=kept[1]))

    def told(self, untold: Untold) -> None:
        """A notice of these, which were all that there were, was taken over; what came since stays."""
        with self._lock:
            now = self._content.untold
            left = Untold(
                now.changes[len(untold.changes) :],
                now.opened_beyond - untold.opened_beyond,
                now.repaired_beyond - untold.repaired_beyond,
            )
            self._content = replace(self._content, untold=left, notice=self._content.notice + 1)

    def _put(self, chain_id: str, memory: ChainMemory) -> None:
        self._content = replace(self._content, chains={**self._content.chains, chain_id: memory})

    def _tell(self, changes: Iterable[Change]) -> None:
        untold = self._content.untold
        for change in changes:
            if len(untold.changes) < MOST_UNTOLD:
                untold = replace(untold, changes=(*untold.changes, change))
            elif change.what is What.OPENED:
                untold = replace(untold, opened_beyond=untold.opened_beyond + 1)
            else:
                untold = replace(untold, repaired_beyond=untold.repaired_beyond + 1)
        self._content = replace(self._content, untold=untold)


def _predecessor(chain: WatchedChain, left: Mapping[str, ChainMemory]) -> str | None:
    wanted = (chain.trail_arn, chain.place.account_id, chain.place.region)
    same = (id_ for id_, memory in left.items() if (memory.trail_arn, memory.account_id, memory.region) == wanted)
    return min(same, default=None)

"""Steps 7 to 10, keys, and forgetting: each rule and how to break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opentrail.trails.configuration import ConfigurationHistory
from opentrail_backends.state.port import FileState
from opentrail_delivery.digest_builder import DigestBuilder
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.progress import DeliveryProgress
from tests.simulation.memory_chains import MemoryChains, _by_delivery, _delivered_file
from tests.simulation.memory_state import MemoryPublicKeys
from tests.simulation.memory_tables import FileRow, identity_of
from tests.simulation.rules import rule

Patch = pytest.MonkeyPatch


@rule("a digest names what was delivered before its end", "changes")
def _too_late(patch: Patch) -> None:
    undigested, append = MemoryChains.undigested, MemoryChains.append
    patch.setattr(MemoryChains, "undigested", lambda self, chain, _before: undigested(self, chain, 2**40))

    def anyway(self: MemoryChains, chain: Any, digest: Any, file_ids: Any, *rest: Any) -> bool:
        times = {id_: self.tables.files[id_].delivered_at for id_ in file_ids if id_ in self.tables.files}
        for id_ in times:
            self.tables.files[id_].delivered_at = 0
        try:
            return append(self, chain, digest, file_ids, *rest)
        finally:
            for id_, time in times.items():
                self.tables.files[id_].delivered_at = time

    patch.setattr(MemoryChains, "append", anyway)


@rule("only delivered files are in a digest", "parked")
def _parked_in_digest(patch: Patch) -> None:
    def undigested(self: MemoryChains, chain: Any, before_seconds: int) -> Any:
        rows = [row for row in self.tables.files.values() if _waits(row) and row.identity == identity_of(chain)]
        for row in rows:
            row.delivered_at = row.delivered_at or row.parked_at
        rows = [row for row in rows if (row.delivered_at or 0) < before_seconds * 1000]
        return [_delivered_file(row) for row in sorted(rows, key=_by_delivery)]

    patch.setattr(MemoryChains, "undigested", undigested)
    patch.setattr(FileRow, "is_of_chain", property(_waits))


def _waits(row: FileRow) -> bool:
    return row.state in {FileState.DELIVERED, FileState.PARKED} and row.file.is_digested and row.digest is None


@rule("step 8 marks exactly the rows that the digest names", "changes")
def _marks_more(patch: Patch) -> None:
    append = MemoryChains.append

    def all_rows(self: MemoryChains, chain: Any, digest: Any, file_ids: Any, *rest: Any) -> bool:
        done = append(self, chain, digest, file_ids, *rest)
        if done:
            for row in self.tables.files.values():
                if row.is_of_chain and row.identity == identity_of(chain):
                    row.digest = digest.sequence
        return done

    patch.setattr(MemoryChains, "append", all_rows)


@rule("step 8 marks the rows that the digest names", "calm")
def _marks_none(patch: Patch) -> None:
    append = MemoryChains.append
    patch.setattr(MemoryChains, "append", lambda self, chain, digest, _ids, *r: append(self, chain, digest, (), *r))


@rule("the head of a chain moves by compare-and-swap", "digests")
def _no_swap(patch: Patch) -> None:
    append = MemoryChains.append

    def blindly(self: MemoryChains, chain: Any, digest: Any, file_ids: Any, *rest: Any) -> bool:
        row = self.tables.chains[chain.id]
        row.chain = replace(row.chain, sequence=chain.sequence, head_signature=chain.head_signature, ended=False)
        ids = [id_ for id_ in file_ids if self.tables.files[id_].digest is None]
        return append(self, chain, digest, ids, *rest)

    patch.setattr(MemoryChains, "append", blindly)


@rule("stamps rise under a place over all chains and incarnations", "changes")
def _stamps_of_their_own(patch: Patch) -> None:
    patch.setattr(MemoryChains, "_stamp", lambda self, place: 0)
    ensure = MemoryChains.ensure_chains

    def from_the_start(self: MemoryChains, chains: Any, at_revision: int | None = None) -> None:
        self.tables.places.clear()
        ensure(self, chains, at_revision)

    patch.setattr(MemoryChains, "ensure_chains", from_the_start)


@rule("a final digest is built when delivery has passed the offset that the bus had at the end", "changes")
def _final_too_early(patch: Patch) -> None:
    patch.setattr(DeliveryProgress, "has_passed", lambda *_: True)


@rule("a file that is delivered after its chain's end gets a starting digest of its own", "changes")
def _no_orphans(patch: Patch) -> None:
    patch.setattr(DigestBuilder, "_adopt_orphans", lambda *_: None)


@rule("a chain begins only after the last digest of those before it in its place", "changes")
def _interleaved(patch: Patch) -> None:
    wait = DigestBuilder._has_to_wait

    def without_place(self: DigestBuilder, chain: Any) -> bool:
        return wait(self, replace(chain, head_key="something"))

    patch.setattr(DigestBuilder, "_has_to_wait", without_place)


@rule("of chains that wait for each other in a place the session that was asked for first goes first", "sessions")
def _newest_first(patch: Patch) -> None:
    """Builders that still want the newest one have the others go first."""
    first = ConfigurationHistory.first_revision_of
    patch.setattr(ConfigurationHistory, "first_revision_of", lambda self, incarnation: -first(self, incarnation))


@rule("when a trail's bucket changes a digest is cut for the old place", "changes")
def _moved_without_cut(patch: Patch) -> None:
    """The chain goes on in the new place, and forgets what it was linked to."""
    move = MemoryChains.move

    def forgetting(self: MemoryChains, chain: Any, *target: Any) -> bool:
        done = move(self, chain, *target)
        if done:
            row = self.tables.chains[chain.id]
            row.chain = replace(row.chain, head_bucket=None, head_key=None, head_sha256=None, head_signature=None)
        return done

    patch.setattr(MemoryChains, "move", forgetting)


@rule("a key signs only digests whose end lies in its validity", "calm")
def _one_key(patch: Patch) -> None:
    key_for = KeyRing.key_for
    keys: dict[str, Any] = {}

    def always_the_first(self: KeyRing, region: str, digest_end: int) -> Any:
        if region not in keys or keys[region] not in self._public_keys._target.tables.keys:
            keys[region] = key_for(self, region, digest_end)
        return keys[region]

    patch.setattr(KeyRing, "key_for", always_the_first)


@rule("of processes that make a key at once one wins", "digests")
def _own_keys(patch: Patch) -> None:
    def add(self: MemoryPublicKeys, key: Any) -> Any:
        return key

    patch.setattr(MemoryPublicKeys, "add", add)

"""Steps 9 and 10, and forgetting: each rule and how to break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opentrail_backends.state.port import FileState
from opentrail_delivery import digest_lane, digest_put
from tests.simulation.memory_chains import MemoryChains
from tests.simulation.memory_state import MemoryStateStore
from tests.simulation.rules import rule

Patch = pytest.MonkeyPatch


# --- steps 9 and 10 ---------------------------------------------------------------------------------


@rule("digests of a chain are put in their order", "digests")
def _any_order(patch: Patch) -> None:
    put_chains = digest_put.put_chains
    patch.setattr(
        digest_put, "put_chains", lambda tools, chains: put_chains(tools, [list(reversed(chain)) for chain in chains])
    )
    patch.setattr(digest_put.DigestPublisher, "_worth_a_try", lambda self, chains: [c[::-1][:2] for c in chains])


@rule("a digest is published once it lies in its bucket", "buckets")
def _published_too_early(patch: Patch) -> None:
    put = digest_lane._Turn._put

    def hopefully(self: Any, digest: Any) -> None:
        try:
            put(self, digest)
        except digest_lane._NotPut:
            return

    patch.setattr(digest_lane._Turn, "_put", hopefully)


@rule("a digest that was signed is put with the same bytes until it is there", "losses")
def _built_anew(patch: Patch) -> None:
    """Each try is signed anew, a little different."""
    put = digest_lane._Turn._put

    def another(self: Any, digest: Any) -> None:
        body = digest.body.replace(b'{"awsAccountId"', b'{ "awsAccountId"')
        put(self, replace(digest, body=body))

    patch.setattr(digest_lane._Turn, "_put", another)


@rule("what lies at a digest's place is compared with it", "digests")
def _taken_is_published(patch: Patch) -> None:
    patch.setattr(digest_lane._Turn, "_compare", lambda *_: None)


@rule("a restamp replaces exactly the digests that were read", "restamped")
def _restamp_blindly(patch: Patch) -> None:
    replace_waiting = MemoryChains.replace_waiting

    def blindly(self: MemoryChains, waiting: Any, restamped: Any) -> bool:
        now = [
            self.tables.digests[old.chain_id, old.sequence]
            for old in waiting
            if (old.chain_id, old.sequence) in self.tables.digests
        ]
        if len(now) != len(waiting):
            return False
        for row in now:
            row.published_at = None
        head = self.tables.chains[waiting[0].chain_id]
        head.chain = replace(head.chain, sequence=waiting[-1].sequence, head_signature=now[-1].digest.signature)
        return replace_waiting(self, [row.digest for row in now], restamped)

    patch.setattr(MemoryChains, "replace_waiting", blindly)


@rule("digests behind a restamped one get new links", "digests")
def _old_links(patch: Patch) -> None:
    restamped = digest_lane.restamped

    def first_only(digests: Any, key_ring: Any, above: int = 0) -> Any:
        return [*restamped(digests[:1], key_ring, above), *digests[1:]]

    patch.setattr(digest_lane, "restamped", first_only)

    def replace_waiting(self: MemoryChains, waiting: Any, made: Any) -> bool:
        row = self.tables.digests.get((waiting[0].chain_id, waiting[0].sequence)) if waiting else None
        if row is None or row.published_at is not None or row.digest.signature != waiting[0].signature:
            return False
        row.digest = made[0]
        chain = self.tables.chains[waiting[0].chain_id]
        if chain.chain.sequence == waiting[0].sequence:
            self._move_head(chain, made[0])
        return True

    patch.setattr(MemoryChains, "replace_waiting", replace_waiting)


@rule("a digest is withdrawn only if every put of it was answered by a refusal", "withdrawn")
def _withdrawn_too_early(patch: Patch) -> None:
    withdraw = MemoryChains.withdraw

    def anyway(self: MemoryChains, chain_id: str, left: Any = None) -> int:
        for row in self._waiting(chain_id):
            row.unanswered = 0
        return withdraw(self, chain_id, left)

    patch.setattr(MemoryChains, "withdraw", anyway)


@rule("a put of a digest counts as not answered before it begins", "withdrawn")
def _puts_not_counted(patch: Patch) -> None:
    begin = MemoryChains.begin_puts

    def uncounted(self: MemoryChains, digests: Any) -> Any:
        found = begin(self, digests)
        for digest in found:
            self.tables.digests[digest.chain_id, digest.sequence].unanswered -= 1
        return found

    patch.setattr(MemoryChains, "begin_puts", uncounted)


@rule("only what begin_puts gives back is put, as it is then", "restamped")
def _puts_as_read(patch: Patch) -> None:
    begin, unpublished = MemoryChains.begin_puts, MemoryChains.unpublished
    seen: dict[tuple[str, int], Any] = {}

    def remember(self: MemoryChains, *arguments: Any) -> Any:
        found = unpublished(self, *arguments)
        for digest in found:
            seen.setdefault((digest.chain_id, digest.sequence), digest)
        return found

    def as_read(self: MemoryChains, digests: Any) -> Any:
        begin(self, digests)
        return [seen[key] for key in sorted(set(digests)) if key in seen]

    patch.setattr(MemoryChains, "unpublished", remember)
    patch.setattr(MemoryChains, "begin_puts", as_read)


@rule("withdrawing unmarks rows and takes the head back in one transaction", "withdrawn")
def _withdrawn_by_half(patch: Patch) -> None:
    take_back = MemoryChains._take_back

    def rows_stay(self: MemoryChains, row: Any, withdrawn: Any) -> None:
        marks = {file.id: file.digest for file in self.tables.files.values()}
        take_back(self, row, withdrawn)
        for id_, mark in marks.items():
            self.tables.files[id_].digest = mark

    patch.setattr(MemoryChains, "_take_back", rows_stay)


# --- forgetting -------------------------------------------------------------------------------------


@rule("file rows are forgotten only after their digest is published", "forgetting")
def _forgotten_files(patch: Patch) -> None:
    forget = MemoryStateStore.forget

    def too_much(self: MemoryStateStore, kept_ms: int, limit: int = 5_000) -> int:
        before = self.clock.read(self.tables) - kept_ms
        for row in list(self.tables.files.values()):
            if row.state is FileState.DELIVERED and (row.delivered_at or 0) < before:
                del self.tables.files[row.id]
        return forget(self, kept_ms, limit)

    patch.setattr(MemoryStateStore, "forget", too_much)


@rule("bytes of a digest are kept until it is published", "forgetting")
def _forgotten_bytes(patch: Patch) -> None:
    forget = MemoryStateStore.forget

    def too_much(self: MemoryStateStore, kept_ms: int, limit: int = 5_000) -> int:
        for key, row in list(self.tables.digests.items()):
            if row.published_at is None:
                row.published_at = self.clock.read(self.tables)
                self.tables.digests[key] = row
        return forget(self, kept_ms, limit)

    patch.setattr(MemoryStateStore, "forget", too_much)

"""Steps 7 to 10, keys, and forgetting: each rule and how to break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opentrail_backends.state.port import FileState
from opentrail_delivery import digest_lane, digest_put
from opentrail_delivery.digest_builder import DigestBuilder
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.progress import DeliveryProgress
from tests.simulation.memory_chains import MemoryChains, _by_delivery, _delivered_file
from tests.simulation.memory_state import MemoryPublicKeys, MemoryStateStore
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

    def from_the_start(self: MemoryChains, chains: Any) -> None:
        self.tables.places.clear()
        ensure(self, chains)

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


@rule("a restamp replaces exactly the digests that were read", "digests")
def _restamp_blindly(patch: Patch) -> None:
    replace_waiting = MemoryChains.replace_waiting

    def blindly(self: MemoryChains, waiting: Any, restamped: Any) -> bool:
        now = [self.tables.digests[old.chain_id, old.sequence] for old in waiting if (old.chain_id, old.sequence) in self.tables.digests]
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

    def anyway(self: MemoryChains, chain_id: str) -> int:
        for row in self._waiting(chain_id):
            row.unanswered = 0
        return withdraw(self, chain_id)

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


@rule("only what begin_puts gives back is put, as it is then", "withdrawn")
def _puts_as_read(patch: Patch) -> None:
    begin, unpublished = MemoryChains.begin_puts, MemoryChains.unpublished
    seen: dict[tuple[str, int], Any] = {}

    def remember(self: MemoryChains, *arguments: Any) -> Any:
        found = unpublished(self, *arguments)
        seen.update({(digest.chain_id, digest.sequence): digest for digest in found})
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

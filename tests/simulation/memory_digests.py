"""The part of the `Chains` port in memory that is about digests that wait to be put: steps 9 and 10."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from opentrail_backends.state.port import BuiltDigest, DigestFailure, StateError, Target
from tests.simulation.memory_tables import ChainRow, Clock, DigestRow, Tables


class MemoryDigests:
    """See the port."""

    tables: Tables
    clock: Clock
    audit: Callable[..., None]
    _stamp: Callable[[str], int]
    _move_head: Callable[..., None]

    def _waiting(self, chain_id: str) -> list[DigestRow]:
        rows = [row for (of, _), row in self.tables.digests.items() if of == chain_id and row.published_at is None]
        return sorted(rows, key=lambda row: row.digest.sequence)

    def unpublished(
        self, limit: int, without_buckets: Collection[str] = (), without_trails: Collection[tuple[str, str]] = ()
    ) -> Sequence[BuiltDigest]:
        turns: list[tuple[int, int, str, BuiltDigest]] = []
        for chain_id in self.tables.chains:
            for turn, row in enumerate(self._waiting(chain_id)):
                digest = row.digest
                if digest.bucket in without_buckets or (digest.bucket, digest.trail_arn) in set(without_trails):
                    break
                turns.append((turn, digest.end, chain_id, digest))
        return [digest for *_, digest in sorted(turns, key=lambda item: item[:3])[:limit]]

    def begin_puts(self, digests: Collection[tuple[str, int]]) -> Sequence[BuiltDigest]:
        rows = self._unpublished_rows(sorted(set(digests)))
        for row in rows:
            row.unanswered += 1
        return [row.digest for row in rows]

    def fail_puts(self, failures: Collection[DigestFailure]) -> None:
        for failure in failures:
            for row in self._unpublished_rows([(failure.chain_id, failure.sequence)]):
                row.error = failure.error
                if failure.is_answered:
                    row.unanswered = max(row.unanswered - 1, 0)

    def _unpublished_rows(self, digests: Collection[tuple[str, int]]) -> list[DigestRow]:
        rows = [self.tables.digests[key] for key in digests if key in self.tables.digests]
        return [row for row in rows if row.published_at is None]

    def withdraw(self, chain_id: str, left: Target | None = None) -> int:
        row = self.tables.chains.get(chain_id)
        if row is None or (row.chain.bucket, row.chain.key_prefix or None, row.chain.organization_id) == left:
            return 0
        withdrawn: list[DigestRow] = []
        published = [
            sequence for (of, sequence), other in self.tables.digests.items() if of == chain_id and other.published_at
        ]
        for waiting in reversed(self._waiting(chain_id)):
            if waiting.unanswered or waiting.digest.sequence < max(published, default=0):
                break
            withdrawn.append(waiting)
        if withdrawn:
            self._take_back(row, withdrawn)
        return len(withdrawn)

    def _take_back(self, row: ChainRow, withdrawn: Sequence[DigestRow]) -> None:
        sequences = {waiting.digest.sequence for waiting in withdrawn}
        for sequence in sequences:
            del self.tables.digests[row.chain.id, sequence]
        for file in self.tables.files.values():
            if file.identity == row.identity and file.digest in sequences:
                file.digest = None
        bucket, key, sha256, signature = withdrawn[-1].previous
        row.chain = replace(
            row.chain,
            sequence=row.chain.sequence + 1,
            last_end=withdrawn[-1].digest.start,
            head_bucket=bucket,
            head_key=key,
            head_sha256=sha256,
            head_signature=signature,
            ending=row.chain.ending or row.chain.ended,
            ended=False,
        )
        self.audit("withdrawn", row.chain, [waiting.digest for waiting in withdrawn])

    def replace_waiting(self, waiting: Sequence[BuiltDigest], restamped: Sequence[BuiltDigest]) -> bool:
        row = self.tables.chains.get(waiting[0].chain_id)
        if row is None or (row.chain.sequence, row.chain.head_signature) != (
            waiting[-1].sequence,
            waiting[-1].signature,
        ):
            return False
        known = [self.tables.digests.get((digest.chain_id, digest.sequence)) for digest in waiting]
        for old, found in zip(waiting, known, strict=True):
            if found is None or found.published_at is not None or found.digest.signature != old.signature:
                return False
        firsts: dict[str, int] = {}
        for found, new in zip(known, restamped, strict=True):
            assert found is not None
            firsts.setdefault(found.place, new.end)
        if any(self._stamp(place) >= first for place, first in firsts.items()):
            return False
        self._restamp([found for found in known if found is not None], restamped)
        self._move_head(row, restamped[-1])
        self.audit("restamped", row.chain, restamped)
        return True

    def _restamp(self, rows: Sequence[DigestRow], restamped: Sequence[BuiltDigest]) -> None:
        """Each under the place where it lies, which need not be the chain's any more."""
        previous = rows[0].previous
        for row, new in zip(rows, restamped, strict=True):
            self.tables.places[row.place] = new.end
            self.tables.digests[new.chain_id, new.sequence] = replace(row, digest=new, previous=previous)
            previous = (new.bucket, new.object_key, new.sha256, new.signature)

    def mark_published(
        self, chain_id: str, sequence: int, signature: str | None = None, head: bytes | None = None
    ) -> None:
        row = self.tables.digests.get((chain_id, sequence))
        if row is None:
            raise StateError(f"Chain {chain_id} has no digest {sequence}.")
        if row.published_at is not None or signature not in {None, row.digest.signature}:
            return
        row.published_at = self.clock.record(self.tables)
        row.digest = replace(row.digest, body=b"")
        chain = self.tables.chains[chain_id]
        chain.digest_published_at = row.published_at
        chain.published_sequence = max(chain.published_sequence, sequence)
        if head is not None and sequence > chain.signed_head_sequence:
            chain.signed_head, chain.signed_head_sequence = head, sequence

"""The `Chains` port in memory: steps 7 to 11. Each method is one transaction: it checks all, then changes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from opentrail_backends.state.port import (
    MOST_WAITING,
    BuiltDigest,
    Chain,
    DeliveredFile,
    Orphans,
    StateError,
)
from tests.simulation.memory_digests import MemoryDigests
from tests.simulation.memory_heads import MemoryHeads
from tests.simulation.memory_tables import ChainRow, Clock, DigestRow, FileRow, Identity, Tables, identity_of


@dataclass
class MemoryChains(MemoryDigests, MemoryHeads):
    """See the port. `audit` is told of what no backup forgets, for the checks."""

    tables: Tables
    clock: Clock
    audit: Callable[..., None] = lambda *_: None

    def now(self) -> int:
        return self.clock.read(self.tables)

    # --- which chains there are --------------------------------------------------------------------

    def ensure_chains(self, chains: Iterable[Chain], at_revision: int | None = None) -> None:
        if at_revision is not None and at_revision != self.tables.head_revision:
            return
        for chain in chains:
            known = self._of(identity_of(chain))
            if known is not None and not known.chain.ended:
                continue
            if known is None and chain.id in self.tables.chains:
                raise StateError(f"There is another chain {chain.id}.")
            if any(row.is_of_chain and row.identity == identity_of(chain) for row in self.tables.files.values()):
                self.audit("begun", chain.id)
            last_end = max(chain.last_end, self._stamp(chain.place) + 1)
            raised = replace(chain, last_end=last_end, next_end=max(chain.next_end, last_end + 1))
            if known is None:
                self.tables.chains[chain.id] = ChainRow(raised)
            else:
                known.chain = replace(raised, id=known.chain.id, sequence=known.chain.sequence)
                known.ended_at = None

    def _of(self, identity: Identity) -> ChainRow | None:
        return next((row for row in self.tables.chains.values() if row.identity == identity), None)

    def _stamp(self, place: str) -> int:
        return self.tables.places.setdefault(place, 0)

    def _seen(self, row: ChainRow) -> Chain:
        """As read from the store a chain's next end lies above every stamp of its place, and above its last end."""
        above = max(self.tables.places.get(row.chain.place, 0), row.chain.last_end) + 1
        return replace(row.chain, next_end=max(row.chain.next_end, above))

    def due(self, now_seconds: int, limit: int, most_waiting: int = MOST_WAITING) -> Sequence[Chain]:
        found = []
        for row in self.tables.chains.values():
            chain = self._seen(row)
            if chain.ended or not (chain.ending or chain.next_end <= now_seconds):
                continue
            if len(self._waiting(chain.id)) < most_waiting:
                found.append(chain)
        return sorted(found, key=lambda chain: (chain.next_end, chain.id))[:limit]

    def all_chains(self) -> Sequence[Chain]:
        newest: dict[tuple[str, str, str], int] = {}
        for row in self.tables.chains.values():
            incarnation, session, account, region = row.identity
            line = (incarnation, account, region)
            newest[line] = max(newest.get(line, 0), session)
        chains = [
            self._seen(row)
            for row in self.tables.chains.values()
            if not row.chain.ended
            or newest[row.chain.incarnation, row.chain.account_id, row.chain.region] == row.chain.logging_session
        ]
        return sorted(chains, key=lambda c: (c.incarnation, c.account_id, c.region, c.logging_session))

    def orphans(self, limit: int) -> Sequence[Orphans]:
        found: dict[Identity, FileRow] = {}
        for row in self.tables.files.values():
            if row.is_of_chain:
                chain = self._of(row.identity)
                if chain is None or chain.chain.ended:
                    known = found.get(row.identity)
                    if known is None or _by_delivery(row) < _by_delivery(known):
                        found[row.identity] = row
        return [_orphans(row) for row in sorted(found.values(), key=_by_delivery)[:limit]]

    # --- steps 7 and 8 -----------------------------------------------------------------------------

    def undigested(self, chain: Chain, before_seconds: int) -> Sequence[DeliveredFile]:
        rows = [
            row
            for row in self.tables.files.values()
            if row.is_of_chain
            and row.identity == identity_of(chain)
            and (row.delivered_at or 0) < before_seconds * 1000
        ]
        return [_delivered_file(row) for row in sorted(rows, key=_by_delivery)]

    def append(self, chain: Chain, digest: BuiltDigest, file_ids: Collection[int], next_end: int, ended: bool) -> bool:
        if (digest.chain_id, digest.sequence) != (chain.id, chain.sequence + 1) or digest.end <= chain.last_end:
            raise StateError(f"Digest {digest.sequence} cannot follow digest {chain.sequence} of chain {chain.id}.")
        row = self.tables.chains.get(chain.id)
        if row is None or self._stamp(chain.place) >= digest.end:
            return False
        known = row.chain
        head = (known.sequence, known.place, known.head_signature, known.ended)
        if head != (chain.sequence, chain.place, chain.head_signature, False):
            return False
        files = [self.tables.files[id_] for id_ in set(file_ids) if id_ in self.tables.files]
        fit = [
            file
            for file in files
            if file.is_of_chain
            and file.identity == row.identity
            and (file.delivered_at or digest.end * 1000) < digest.end * 1000
        ]
        if len(fit) != len(set(file_ids)):
            raise StateError(
                f"Not all files of digest {digest.sequence} belong to chain {chain.id}: nothing was written."
            )
        self.tables.places[chain.place] = digest.end
        previous = (known.head_bucket, known.head_key, known.head_sha256, known.head_signature)
        self.tables.digests[chain.id, digest.sequence] = DigestRow(replace(digest, ended=ended), previous, chain.place)
        for file in fit:
            file.digest = digest.sequence
        self._move_head(row, digest, next_end=next_end, ended=ended)
        self.audit("appended", row.chain, digest)
        return True

    def _move_head(
        self, row: ChainRow, digest: BuiltDigest, *, next_end: int | None = None, ended: bool = False
    ) -> None:
        row.chain = replace(
            row.chain,
            sequence=digest.sequence,
            last_end=digest.end,
            next_end=row.chain.next_end if next_end is None else next_end,
            ended=ended or row.chain.ended,
            ending=row.chain.ending,
            head_bucket=digest.bucket,
            head_key=digest.object_key,
            head_sha256=digest.sha256,
            head_signature=digest.signature,
        )
        if ended:
            row.ended_at = self.clock.read(self.tables)

    def move(self, chain: Chain, bucket: str, key_prefix: str | None, organization_id: str | None, place: str) -> bool:
        row = self.tables.chains.get(chain.id)
        self._stamp(place)
        if row is None or row.chain.sequence != chain.sequence or row.chain.ended:
            return False
        row.chain = replace(
            row.chain, bucket=bucket, key_prefix=key_prefix, organization_id=organization_id, place=place
        )
        self.audit("moved", chain.id)
        return True

    def mark_ending(self, chain_id: str) -> None:
        row = self.tables.chains.get(chain_id)
        if row is None:
            raise StateError(f"There is no chain {chain_id}.")
        row.chain = replace(row.chain, ending=True)


def _by_delivery(row: FileRow) -> tuple[int, str]:
    return (row.delivered_at or 0, row.file.object_key)


def _delivered_file(row: FileRow) -> DeliveredFile:
    return DeliveredFile(
        id=row.id,
        bucket=row.file.bucket,
        object_key=row.file.object_key,
        sha256=row.file.sha256,
        oldest_event_time=row.file.oldest_event_time,
        newest_event_time=row.file.newest_event_time,
        delivered_at=row.delivered_at or 0,
        events=row.file.events,
        records_root=row.file.records_root,
    )


def _orphans(row: FileRow) -> Orphans:
    return Orphans(
        incarnation=row.file.incarnation,
        logging_session=row.file.logging_session,
        account_id=row.file.account_id,
        region=row.region,
        bucket=row.file.bucket,
        object_key=row.file.object_key,
        trail_arn=row.file.trail_arn,
        delivered_at=row.delivered_at or 0,
    )

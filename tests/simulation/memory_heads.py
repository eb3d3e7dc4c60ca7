"""The part of the `Chains` port in memory that is about signed heads: steps 10 and 11."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from opentrail_backends.state.port import BuiltDigest, KeptHead
from tests.simulation.memory_tables import ChainRow, Tables


class MemoryHeads:
    """See the port."""

    tables: Tables

    def unsigned(self, limit: int, after: str = "") -> Sequence[BuiltDigest]:
        rows = [row for row in self._rows(after) if row.published_sequence > row.signed_head_sequence]
        return [self.tables.digests[row.chain.id, row.published_sequence].digest for row in rows[:limit]]

    def keep_head(self, chain_id: str, sequence: int, head: bytes) -> None:
        row = self.tables.chains.get(chain_id)
        if row is not None and row.signed_head_sequence < sequence <= row.published_sequence:
            row.signed_head, row.signed_head_sequence = head, sequence

    def heads_to_put(self, limit: int, after: str = "") -> Sequence[KeptHead]:
        rows = [row for row in self._rows(after) if row.signed_head_sequence > row.signed_head_put]
        return [head for row in rows[:limit] for head in self._head(row)]

    def mark_heads_put(self, heads: Collection[tuple[str, int]]) -> None:
        for chain_id, sequence in heads:
            row = self.tables.chains.get(chain_id)
            if row is not None:
                row.signed_head_put = max(row.signed_head_put, sequence)

    def heads(self) -> Sequence[KeptHead]:
        heads = [head for row in self._rows() for head in self._head(row)]
        return sorted(heads, key=lambda head: (head.trail_arn, head.account_id, head.region, head.chain_id))

    def _rows(self, after: str = "") -> list[ChainRow]:
        return [row for chain_id, row in sorted(self.tables.chains.items()) if chain_id > after]

    def _head(self, row: ChainRow) -> Iterator[KeptHead]:
        if row.signed_head is not None:
            digest = self.tables.digests[row.chain.id, row.signed_head_sequence].digest
            yield KeptHead(
                chain_id=row.chain.id,
                sequence=row.signed_head_sequence,
                document=row.signed_head,
                bucket=digest.bucket,
                object_key=digest.object_key,
                account_id=row.chain.account_id,
                region=row.chain.region,
                trail_arn=digest.trail_arn,
            )

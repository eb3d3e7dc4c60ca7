"""Heads of the digest chains: steps 7 to 11 of the protocol (`docs/state.md`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, select, update

from opentrail_backends.state import chain_rows, signed_heads, tables, waiting_digests
from opentrail_backends.state.chain_rows import IDENTITY, of_chain, undigested_files
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, in_chunks, insert
from opentrail_backends.state.places import HeadMoved, locked_places, use_stamp
from opentrail_backends.state.port import (
    MOST_WAITING,
    BuiltDigest,
    Chain,
    DeliveredFile,
    DigestFailure,
    KeptHead,
    Orphans,
    StateError,
    Target,
)
from opentrail_backends.state.withdrawing import withdraw

_chain = tables.chain
_file = tables.file

_RESTARTED = [field.name for field in fields(Chain) if field.name not in {*IDENTITY, "id", "sequence"}]
"""What a chain that starts anew takes over; its digests are counted on."""


class SqlChains:
    """The `Chains` port on SQL."""

    def __init__(self, transactions: Transactions, clock: StoreClock) -> None:
        self._transactions = transactions
        self._clock = clock

    def now(self) -> int:
        """The store's clock, never below a time that it recorded or gave to this process."""
        with self._transactions.reading() as connection:
            return self._clock.read(connection)

    # --- which chains ------------------------------------------------------------------------------

    def ensure_chains(self, chains: Iterable[Chain], at_revision: int | None = None) -> None:
        """Adds the chains that do not exist yet and starts ended ones anew, above every stamp of their place."""
        wanted = list(chains)
        with self._transactions.reading() as connection:
            running = _running_identities(connection, {chain.incarnation for chain in wanted})
        starting = [chain for chain in wanted if _identity(chain) not in running]
        if not starting:
            return
        with self._transactions.writing() as connection:
            if at_revision is not None and at_revision != _held_revision(connection):
                return
            stamps = locked_places(connection, {chain.place for chain in starting})
            rows = [asdict(_raised(chain, stamps[chain.place])) for chain in starting]
            add = insert(connection, _chain)
            restart = {name: add.excluded[name] for name in _RESTARTED}
            connection.execute(
                add.on_conflict_do_update(index_elements=IDENTITY, set_=restart, where=_chain.c.ended), rows
            )

    def due(self, now_seconds: int, limit: int, most_waiting: int = MOST_WAITING) -> Sequence[Chain]:
        """Chains that a digest is due for, and those that get their last one; the longest due first."""
        with self._transactions.reading() as connection:
            rows = connection.execute(chain_rows.due_chains(now_seconds, limit, most_waiting)).mappings()
            return [Chain(**row) for row in rows]

    def orphans(self, limit: int) -> Sequence[Orphans]:
        """Logging sessions with delivered, undigested files and without a chain that runs."""
        with self._transactions.reading() as connection:
            return [Orphans(**row) for row in connection.execute(chain_rows.orphans(limit)).mappings()]

    def all_chains(self) -> Sequence[Chain]:
        """Every chain that has not ended, and of the others the newest session per (incarnation, account, region)."""
        with self._transactions.reading() as connection:
            return [Chain(**row) for row in connection.execute(chain_rows.all_chains()).mappings()]

    def move(self, chain: Chain, bucket: str, key_prefix: str | None, organization_id: str | None, place: str) -> bool:
        """The next digest lies in another place: a compare-and-swap on `chain.sequence`."""
        with self._transactions.writing() as connection:
            locked_places(connection, {place})
            moved = connection.execute(
                update(_chain)
                .where(_chain.c.id == chain.id, _chain.c.sequence == chain.sequence, _chain.c.ended.is_(False))
                .values(bucket=bucket, key_prefix=key_prefix, organization_id=organization_id, place=place)
            ).rowcount
        return moved == 1

    def mark_ending(self, chain_id: str) -> None:
        """The chain gets one last digest. Raises StateError on a chain that does not exist."""
        with self._transactions.writing() as connection:
            if connection.execute(update(_chain).where(_chain.c.id == chain_id).values(ending=True)).rowcount != 1:
                raise StateError(f"There is no chain {chain_id}.")

    # --- steps 7 and 8 -----------------------------------------------------------------------------

    def undigested(self, chain: Chain, before_seconds: int) -> Sequence[DeliveredFile]:
        """Step 7: delivered files of the chain that no digest names, delivered before a time; by delivery, then key."""
        with self._transactions.reading() as connection:
            rows = connection.execute(undigested_files(chain, before_seconds)).mappings()
            return [DeliveredFile(**row) for row in rows]

    def append(self, chain: Chain, digest: BuiltDigest, file_ids: Collection[int], next_end: int, ended: bool) -> bool:
        """Step 8: compare-and-swap of the head on `chain.sequence`; marks exactly these rows."""
        if (digest.chain_id, digest.sequence) != (chain.id, chain.sequence + 1) or digest.end <= chain.last_end:
            raise StateError(
                f"Digest {digest.sequence} of chain {digest.chain_id} up to {digest.end} cannot follow digest "
                f"{chain.sequence} of chain {chain.id} up to {chain.last_end}."
            )
        files = sorted(set(file_ids))
        built = {
            "place": chain.place,
            "files": files,
            "starting": chain.head_key is None,
            "unanswered_puts": 0,
            "ended": ended,
        }
        try:
            with self._transactions.writing() as connection:
                use_stamp(connection, chain.place, digest.end)
                _move_head(connection, chain, digest, next_end, ended)
                _mark(connection, chain, digest, files)
                connection.execute(insert(connection, tables.digest), asdict(digest) | built)
        except HeadMoved:
            return False
        return True

    def withdraw(self, chain_id: str, left: Target | None = None) -> int:
        """Takes back the chain's waiting digests that every put of was answered by a refusal; returns how many."""
        with self._transactions.writing() as connection:
            return withdraw(connection, chain_id, left)

    # --- steps 9 and 10 ----------------------------------------------------------------------------

    def unpublished(
        self, limit: int, without_buckets: Collection[str] = (), without_trails: Collection[tuple[str, str]] = ()
    ) -> Sequence[BuiltDigest]:
        """Step 9: digests that wait to be put, and that nothing which is left out holds up."""
        query = waiting_digests.unpublished(limit, without_buckets, without_trails)
        with self._transactions.reading() as connection:
            return [BuiltDigest(**row) for row in connection.execute(query).mappings()]

    def begin_puts(self, digests: Collection[tuple[str, int]]) -> Sequence[BuiltDigest]:
        """Step 9 follows for these; returns those that still wait, as they are now."""
        if not digests:
            return []
        with self._transactions.writing() as connection:
            return waiting_digests.begin_puts(connection, digests)

    def fail_puts(self, failures: Collection[DigestFailure]) -> None:
        """Tries of step 9 failed; an answered one takes back what `begin_puts` counted."""
        if failures:
            with self._transactions.writing() as connection:
                waiting_digests.fail_puts(connection, failures)

    def replace_waiting(self, waiting: Sequence[BuiltDigest], restamped: Sequence[BuiltDigest]) -> bool:
        """Step 9: the chain's waiting digests get later stamps; a compare-and-swap on the digests and the head."""
        try:
            with self._transactions.writing() as connection:
                waiting_digests.replace_waiting(connection, waiting, restamped)
        except HeadMoved:
            return False
        return True

    def mark_published(
        self, chain_id: str, sequence: int, signature: str | None = None, head: bytes | None = None
    ) -> None:
        """Step 10: the digest's bytes are forgotten; the chain keeps its place, hash and signature, and its head."""
        with self._transactions.writing() as connection:
            waiting_digests.mark_published(connection, self._clock, chain_id, sequence, signature, head)

    # --- signed heads: steps 10 and 11 -------------------------------------------------------------

    def unsigned(self, limit: int, after: str = "") -> Sequence[BuiltDigest]:
        """Step 10: the newest published digests of chains that keep no head of it."""
        with self._transactions.reading() as connection:
            return [BuiltDigest(**row) for row in connection.execute(signed_heads.unsigned(limit, after)).mappings()]

    def keep_head(self, chain_id: str, sequence: int, head: bytes) -> None:
        """Step 10, later: the signed head of a published digest."""
        with self._transactions.writing() as connection:
            signed_heads.keep(connection, chain_id, sequence, head)

    def heads_to_put(self, limit: int, after: str = "") -> Sequence[KeptHead]:
        """Step 11: signed heads that are not known to lie in the second place."""
        with self._transactions.reading() as connection:
            return [KeptHead(**row) for row in connection.execute(signed_heads.to_put(limit, after)).mappings()]

    def mark_heads_put(self, heads: Collection[tuple[str, int]]) -> None:
        """Step 11: these lie in the second place."""
        if heads:
            with self._transactions.writing() as connection:
                signed_heads.mark_put(connection, heads)

    def heads(self) -> Sequence[KeptHead]:
        """Every chain's signed head."""
        with self._transactions.reading() as connection:
            return [KeptHead(**row) for row in connection.execute(signed_heads.all_heads()).mappings()]


def _identity(chain: Chain) -> tuple[Any, ...]:
    return tuple(getattr(chain, name) for name in IDENTITY)


def _running_identities(connection: Connection, incarnations: Iterable[str]) -> set[tuple[Any, ...]]:
    columns = [_chain.c[name] for name in IDENTITY]
    return {
        tuple(row)
        for chunk in in_chunks(incarnations)
        for row in connection.execute(
            select(*columns).where(_chain.c.incarnation.in_(chunk), _chain.c.ended.is_(False))
        )
    }


def _held_revision(connection: Connection) -> int:
    """The configuration's revision; no newer one is committed before this transaction is."""
    revision: int = connection.execute(
        select(tables.configuration_head.c.revision).with_for_update(read=True)
    ).scalar_one()
    return revision


def _raised(chain: Chain, last_stamp: int) -> Chain:
    last_end = max(chain.last_end, last_stamp + 1)
    return replace(chain, last_end=last_end, next_end=max(chain.next_end, last_end + 1))


def _move_head(connection: Connection, chain: Chain, digest: BuiltDigest, next_end: int, ended: bool) -> None:
    moved = connection.execute(
        update(_chain)
        .where(
            _chain.c.id == chain.id,
            _chain.c.sequence == chain.sequence,
            _chain.c.place == chain.place,
            _chain.c.head_signature.is_not_distinct_from(chain.head_signature),
            _chain.c.ended.is_(False),
        )
        .values(
            sequence=digest.sequence,
            last_end=digest.end,
            next_end=next_end,
            ended=ended,
            **waiting_digests.head_of(digest),
        )
    ).rowcount
    if moved != 1:
        raise HeadMoved


def _mark(connection: Connection, chain: Chain, digest: BuiltDigest, ids: Sequence[int]) -> None:
    """Marks exactly these rows. A row that is not the chain's, not delivered in time or in a digest stops it all."""
    marked = 0
    for chunk in in_chunks(ids):
        marked += connection.execute(
            update(_file)
            .where(
                _file.c.id.in_(chunk),
                of_chain(chain),
                _file.c.digest.is_(None),
                _file.c.delivered_at < digest.end * 1000,
            )
            .values(digest=digest.sequence)
        ).rowcount
    if marked != len(ids):
        raise StateError(
            f"Of {len(ids)} files for digest {digest.sequence} of chain {chain.id} only {marked} belong to the chain, "
            f"were delivered before its end and are in no digest: nothing was written."
        )

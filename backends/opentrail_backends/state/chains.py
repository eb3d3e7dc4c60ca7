"""Heads of the digest chains: steps 7 to 10 of the protocol (`docs/state.md`)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, Select, and_, case, func, or_, select, update

from opentrail_backends.state import tables
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, in_chunks, insert
from opentrail_backends.state.port import BuiltDigest, Chain, DeliveredFile, StateError

_chain = tables.chain
_place = tables.place
_file = tables.file
_digest = tables.digest

_IDENTITY = ["incarnation", "logging_session", "account_id", "region"]
_RESTARTED = [field.name for field in fields(Chain) if field.name not in {*_IDENTITY, "id", "sequence"}]
"""What a chain that starts anew takes over; its digests are counted on."""
_LINE = (_chain.c.incarnation, _chain.c.account_id, _chain.c.region)  # has one chain per logging session

_NEXT_END = case((_chain.c.next_end > _place.c.last_stamp, _chain.c.next_end), else_=_place.c.last_stamp + 1)
"""When a digest is due: above every stamp of the place, also those that another chain used since."""

_CHAIN_COLUMNS = [
    _NEXT_END.label("next_end") if field.name == "next_end" else _chain.c[field.name] for field in fields(Chain)
]


class _HeadMoved(Exception):
    """The compare-and-swap of step 8 failed; the transaction is undone."""


class SqlChains:
    """The `Chains` port on SQL."""

    def __init__(self, transactions: Transactions, clock: StoreClock) -> None:
        self._transactions = transactions
        self._clock = clock

    def now(self) -> int:
        """The store's clock, never below a time that it recorded or gave to this process."""
        with self._transactions.reading() as connection:
            return self._clock.read(connection)

    def ensure_chains(self, chains: Iterable[Chain]) -> None:
        """Adds the chains that do not exist yet and starts ended ones anew, above every stamp of their place."""
        wanted = list(chains)
        with self._transactions.reading() as connection:
            running = _running_identities(connection, {chain.incarnation for chain in wanted})
        starting = [chain for chain in wanted if _identity(chain) not in running]
        if not starting:
            return
        with self._transactions.writing() as connection:
            stamps = _locked_places(connection, {chain.place for chain in starting})
            rows = [asdict(_raised(chain, stamps[chain.place])) for chain in starting]
            add = insert(connection, _chain)
            restart = {name: add.excluded[name] for name in _RESTARTED}
            connection.execute(
                add.on_conflict_do_update(index_elements=_IDENTITY, set_=restart, where=_chain.c.ended), rows
            )

    def due(self, now_seconds: int, limit: int) -> Sequence[Chain]:
        """Chains that a digest is due for, and those that get their last one; the longest due first."""
        is_due = or_(_chain.c.ending, and_(_chain.c.next_end <= now_seconds, _place.c.last_stamp < now_seconds))
        query = _chains().where(_chain.c.ended.is_(False), is_due).order_by(_NEXT_END, _chain.c.id).limit(limit)
        with self._transactions.reading() as connection:
            return [Chain(**row) for row in connection.execute(query).mappings()]

    def all_chains(self) -> Sequence[Chain]:
        """Every chain that has not ended, and of the others the newest session per (incarnation, account, region)."""
        newer = tables.chain.alias("newer")
        newer_session = select(newer.c.id).where(
            *(newer.c[column.name] == column for column in _LINE),
            newer.c.logging_session > _chain.c.logging_session,
        )
        query = _chains().where(or_(_chain.c.ended.is_(False), ~newer_session.exists()))
        with self._transactions.reading() as connection:
            rows = connection.execute(query.order_by(*_LINE, _chain.c.logging_session)).mappings()
            return [Chain(**row) for row in rows]

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
        try:
            with self._transactions.writing() as connection:
                _use_stamp(connection, chain.place, digest.end)
                _move_head(connection, chain, digest, next_end, ended)
                _mark(connection, chain, digest, set(file_ids))
                connection.execute(insert(connection, _digest), asdict(digest))
        except _HeadMoved:
            return False
        return True

    def move(self, chain: Chain, bucket: str, key_prefix: str | None, organization_id: str | None, place: str) -> bool:
        """The next digest lies in another place: a compare-and-swap on `chain.sequence`."""
        with self._transactions.writing() as connection:
            _locked_places(connection, {place})
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

    def unpublished(self, limit: int) -> Sequence[BuiltDigest]:
        """Step 9: digests that wait to be put. All chains' first ones come before any chain's second one."""
        turn = func.row_number().over(partition_by=_digest.c.chain_id, order_by=_digest.c.sequence).label("turn")
        waiting = (
            select(_digest.c.chain_id, _digest.c.sequence, turn).where(_digest.c.published_at.is_(None)).subquery()
        )
        query = (
            select(*(_digest.c[field.name] for field in fields(BuiltDigest)))
            .join(waiting, and_(waiting.c.chain_id == _digest.c.chain_id, waiting.c.sequence == _digest.c.sequence))
            .order_by(waiting.c.turn, _digest.c.end, _digest.c.chain_id)
            .limit(limit)
        )
        with self._transactions.reading() as connection:
            return [BuiltDigest(**row) for row in connection.execute(query).mappings()]

    def replace_waiting(self, waiting: Sequence[BuiltDigest], restamped: Sequence[BuiltDigest]) -> bool:
        """Step 9: the chain's waiting digests get later stamps; a compare-and-swap on the digests and the head."""
        try:
            with self._transactions.writing() as connection:
                _replace_waiting(connection, waiting, restamped)
        except _HeadMoved:
            return False
        return True

    def mark_published(self, chain_id: str, sequence: int, signature: str | None = None) -> None:
        """Step 10: the digest's bytes are forgotten, the head keeps location, hash and signature. Idempotent."""
        this_digest = and_(_digest.c.chain_id == chain_id, _digest.c.sequence == sequence)
        with self._transactions.writing() as connection:
            # Both rows are locked before the clock, which all others need too.
            both = select(_digest.c.published_at, _digest.c.signature).join(_chain, _chain.c.id == _digest.c.chain_id)
            row = connection.execute(both.where(this_digest).with_for_update()).first()
            if row is None:
                raise StateError(f"Chain {chain_id} has no digest {sequence}.")
            if row.published_at is not None or signature not in {None, row.signature}:
                return
            now = self._clock.record(connection)
            connection.execute(update(_digest).where(this_digest).values(published_at=now, body=None))
            connection.execute(update(_chain).where(_chain.c.id == chain_id).values(digest_published_at=now))


def undigested_files(chain: Chain, before_seconds: int) -> Select[Any]:
    """The query of step 7; the partial index `file_undigested` answers it however many files are digested."""
    columns = (_file.c[field.name] for field in fields(DeliveredFile))
    return (
        select(*columns)
        .where(_of_chain(chain), _file.c.digest.is_(None), _file.c.delivered_at < before_seconds * 1000)
        .order_by(_file.c.delivered_at, _file.c.object_key)
    )


def _chains() -> Select[Any]:
    return select(*_CHAIN_COLUMNS).join(_place, _place.c.place == _chain.c.place)


def _of_chain(chain: Chain) -> Any:
    return and_(*(_file.c[name] == getattr(chain, name) for name in _IDENTITY))


def _identity(chain: Chain) -> tuple[Any, ...]:
    return tuple(getattr(chain, name) for name in _IDENTITY)


def _running_identities(connection: Connection, incarnations: Iterable[str]) -> set[tuple[Any, ...]]:
    columns = [_chain.c[name] for name in _IDENTITY]
    return {
        tuple(row)
        for chunk in in_chunks(incarnations)
        for row in connection.execute(
            select(*columns).where(_chain.c.incarnation.in_(chunk), _chain.c.ended.is_(False))
        )
    }


def _locked_places(connection: Connection, places: Collection[str]) -> dict[str, int]:
    """The last stamp of each place, made if need be and locked: in one order, so that nobody waits in a circle."""
    ordered = sorted(places)
    add = insert(connection, _place).on_conflict_do_nothing()
    connection.execute(add, [{"place": place, "last_stamp": 0} for place in ordered])
    stamps: dict[str, int] = {}
    for chunk in in_chunks(ordered):
        query = select(_place).where(_place.c.place.in_(chunk)).order_by(_place.c.place).with_for_update()
        stamps.update((row.place, row.last_stamp) for row in connection.execute(query))
    return stamps


def _raised(chain: Chain, last_stamp: int) -> Chain:
    last_end = max(chain.last_end, last_stamp + 1)
    return replace(chain, last_end=last_end, next_end=max(chain.next_end, last_end + 1))


def _use_stamp(connection: Connection, place: str, end: int) -> None:
    """Locks the place. Its stamps rise over all of its chains: an object key has its stamp for a name."""
    used = connection.execute(
        update(_place).where(_place.c.place == place, _place.c.last_stamp < end).values(last_stamp=end)
    ).rowcount
    if used != 1:
        raise _HeadMoved


def _move_head(connection: Connection, chain: Chain, digest: BuiltDigest, next_end: int, ended: bool) -> None:
    moved = connection.execute(
        update(_chain)
        .where(
            _chain.c.id == chain.id,
            _chain.c.sequence == chain.sequence,
            _chain.c.place == chain.place,
            _chain.c.ended.is_(False),
        )
        .values(sequence=digest.sequence, last_end=digest.end, next_end=next_end, ended=ended, **_head(digest))
    ).rowcount
    if moved != 1:
        raise _HeadMoved


def _head(digest: BuiltDigest) -> dict[str, str]:
    return {
        "head_bucket": digest.bucket,
        "head_key": digest.object_key,
        "head_sha256": digest.sha256,
        "head_signature": digest.signature,
    }


def _replace_waiting(connection: Connection, waiting: Sequence[BuiltDigest], restamped: Sequence[BuiltDigest]) -> None:
    head, new_head = waiting[-1], restamped[-1]
    this_head = and_(
        _chain.c.id == head.chain_id, _chain.c.sequence == head.sequence, _chain.c.head_signature == head.signature
    )
    chain = connection.execute(select(_chain.c.place).where(this_head).with_for_update()).first()
    if chain is None:
        raise _HeadMoved
    _use_stamp(connection, chain.place, new_head.end)
    for old, new in zip(waiting, restamped, strict=True):
        _replace_digest(connection, old, new)
    connection.execute(update(_chain).where(this_head).values(last_end=new_head.end, **_head(new_head)))


def _replace_digest(connection: Connection, old: BuiltDigest, new: BuiltDigest) -> None:
    """The row of a digest that is not published gets other bytes. Raises _HeadMoved if it is not that one."""
    replaced = connection.execute(
        update(_digest)
        .where(
            _digest.c.chain_id == old.chain_id,
            _digest.c.sequence == old.sequence,
            _digest.c.signature == old.signature,
            _digest.c.published_at.is_(None),
        )
        .values(**asdict(new))
    ).rowcount
    if replaced != 1:
        raise _HeadMoved


def _mark(connection: Connection, chain: Chain, digest: BuiltDigest, ids: set[int]) -> None:
    """Marks exactly these rows. A row that is not the chain's, not delivered in time or in a digest stops it all."""
    marked = 0
    for chunk in in_chunks(ids):
        marked += connection.execute(
            update(_file)
            .where(
                _file.c.id.in_(chunk),
                _of_chain(chain),
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

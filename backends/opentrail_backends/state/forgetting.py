"""Rows that nothing needs any more. Small transactions, in an order in which no row is needed by one that stays.

Several processes may do it at once: rows that another one holds are passed over. Nothing is decided by a row alone that
can change again: a published digest, a delivered file of it and an ended chain's line stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, and_, bindparam, delete, func, or_, select

from opentrail.trails.configuration import Kind
from opentrail_backends.state import tables
from opentrail_backends.state.chain_rows import IDENTITY
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.compacting import superseded_changes
from opentrail_backends.state.engine import Transactions
from opentrail_backends.state.intent_rows import NO_DIGEST
from opentrail_backends.state.port import FileState

DAY_MS = 86_400_000
_PAGE = 1_000
"""Rows per transaction."""

_file = tables.file
_chain = tables.chain
_digest = tables.digest
_place = tables.place
_noted = tables.trail_delivery
_told = tables.trail_notification


class Forgetting:
    """One round over all tables."""

    def __init__(self, transactions: Transactions, clock: StoreClock, kept_ms: int, limit: int) -> None:
        self._transactions = transactions
        self._limit = limit
        with transactions.reading() as connection:
            self._now = clock.read(connection)
        self._horizon = self._now - kept_ms

    def run(self) -> int:
        """Returns how many rows were removed."""
        with self._transactions.reading() as connection:
            changes = superseded_changes(connection, self._horizon - DAY_MS, self._limit)
        removed = self._forget_files()
        removed += self._remove(tables.configuration_change, tables.configuration_change.c.revision.in_(changes))
        removed += self._remove(_digest, self._is_old_digest(), order_by=_digest.c.published_at)
        removed += self._forget_chains()
        removed += self._forget_places()
        removed += self._remove(_noted, and_(_noted.c.delivered_at < self._horizon, _is_deleted(_noted.c.incarnation)))
        removed += self._remove(tables.token, tables.token.c.expires_at < self._now - DAY_MS)
        removed += self._remove(tables.worker, tables.worker.c.seen_at < self._now - DAY_MS)
        last_told = func.coalesce(_told.c.notified_at, _told.c.failing_since, 0)
        removed += self._remove(_told, and_(last_told < self._horizon, _is_deleted(_told.c.incarnation)))
        removed += self._remove(tables.notification_turn, tables.notification_turn.c.held_until < self._now - DAY_MS)
        removed += self._remove(tables.request_rate, tables.request_rate.c.taken_at < self._now - DAY_MS)
        return removed

    # --- files: by id, from the oldest one up to where only young ones are --------------------------

    def _forget_files(self) -> int:
        removed = after = 0
        while removed < self._limit:
            with self._transactions.reading() as connection:
                page = connection.execute(_files_after(after)).all()
            old = [row.id for row in page if self._is_old(row)]
            if old:
                removed += self._remove(_file, _file.c.id.in_(old[: self._limit - removed]))
            if not page or self._is_young(page):
                break
            after = page[-1].id
        return removed

    def _is_old(self, row: Row[Any]) -> bool:
        """Its digest was published long ago; or no digest is to name it, and its own end is long ago."""
        if row.digest is None:
            return False
        if row.digest == NO_DIGEST:
            since = row.parked_at if row.state == FileState.LOST else row.delivered_at
        else:
            since = row.published_at if row.has_digest_row else row.delivered_at
        return since is not None and since < self._horizon

    def _is_young(self, page: Sequence[Row[Any]]) -> bool:
        """Whether only younger rows come behind the page. What is parked may be old, and stay."""
        ages = [row.parked_at or row.delivered_at for row in page if row.parked_at or row.delivered_at]
        return bool(ages) and min(ages) >= self._horizon

    # --- digests, chains, places ------------------------------------------------------------------

    def _is_old_digest(self) -> Any:
        """Each chain's newest published one stays: a withdrawal of those behind it goes back to it."""
        newer = _digest.alias("newer")
        has_newer = select(newer.c.sequence).where(
            newer.c.chain_id == _digest.c.chain_id,
            newer.c.sequence > _digest.c.sequence,
            newer.c.published_at.is_not(None),
        )
        return and_(_digest.c.published_at < self._horizon, has_newer.exists())

    def _forget_chains(self) -> int:
        """Ended ones, with all their digests. The one with a trail's newest digest stays while the trail exists."""
        waiting = select(_digest.c.chain_id).where(_digest.c.published_at.is_(None))
        newer = _chain.alias("newer")
        has_newer = select(newer.c.id).where(
            newer.c.incarnation == _chain.c.incarnation,
            newer.c.region == _chain.c.region,
            or_(
                newer.c.digest_published_at > _chain.c.digest_published_at,
                and_(newer.c.digest_published_at == _chain.c.digest_published_at, newer.c.id > _chain.c.id),
            ),
        )
        is_old = and_(
            _chain.c.ended.is_(True),
            _chain.c.digest_published_at < self._horizon,
            _chain.c.id.not_in(waiting),
            or_(has_newer.exists(), _is_deleted(_chain.c.incarnation)),
        )
        with self._transactions.writing() as connection:
            ids = (
                connection.execute(_locked(_chain, is_old, _chain.c.id).limit(min(self._limit, _PAGE))).scalars().all()
            )
            connection.execute(delete(_digest).where(_digest.c.chain_id.in_(ids)))
            return connection.execute(delete(_chain).where(_chain.c.id.in_(ids))).rowcount

    def _forget_places(self) -> int:
        """Those that no chain is in and whose stamps lie below anything that a chain could begin with."""
        in_use = select(_chain.c.id).where(_chain.c.place == _place.c.place)
        unused = and_(_place.c.last_stamp * 1000 < self._horizon, ~in_use.exists())
        with self._transactions.writing() as connection:
            names = connection.execute(_locked(_place, unused, _place.c.place).limit(self._limit)).scalars().all()
            # Asked again now that the rows are locked: a chain may have moved in meanwhile.
            return connection.execute(delete(_place).where(_place.c.place.in_(names), ~in_use.exists())).rowcount

    # --- rows that nothing else refers to ------------------------------------------------------------

    def _remove(self, table: Table, condition: Any, order_by: Any = None) -> int:
        """Removes such rows, in pages."""
        removed = 0
        while removed < self._limit:
            size = min(_PAGE, self._limit - removed)
            with self._transactions.writing() as connection:
                page = _remove_page(connection, table, condition, order_by, size)
            removed += page
            if page < size:
                break
        return removed


def _files_after(after: int) -> Any:
    """A page of files with what is known of their digests."""
    return (
        select(
            *(_file.c[name] for name in ("id", "state", "digest", "delivered_at", "parked_at")),
            _digest.c.published_at,
            _digest.c.chain_id.is_not(None).label("has_digest_row"),
        )
        .select_from(_file)
        .outerjoin(_chain, and_(*(_chain.c[name] == _file.c[name] for name in IDENTITY)))
        .outerjoin(_digest, and_(_digest.c.chain_id == _chain.c.id, _digest.c.sequence == _file.c.digest))
        .where(_file.c.id > after)
        .order_by(_file.c.id)
        .limit(_PAGE)
    )


def _is_deleted(incarnation: Any) -> Any:
    """No revision that is kept has the trail."""
    change = tables.configuration_change.c
    return incarnation.not_in(select(change.entity_id).where(change.kind == Kind.TRAIL.value))


def _remove_page(connection: Connection, table: Table, condition: Any, order_by: Any, size: int) -> int:
    key = list(table.primary_key.columns)
    order = key if order_by is None else [order_by]
    rows = connection.execute(_locked(table, condition, *order).limit(size)).all()
    if rows:
        this = and_(*(column == bindparam(f"of_{column.name}") for column in key))
        values = [{f"of_{column.name}": value for column, value in zip(key, row, strict=True)} for row in rows]
        connection.execute(delete(table).where(this), values)
    return len(rows)


def _locked(table: Table, condition: Any, *order_by: Any) -> Any:
    """The keys of such rows, without those that another transaction holds."""
    rows = select(*table.primary_key.columns).where(condition).order_by(*order_by)
    return rows.with_for_update(skip_locked=True, of=table)

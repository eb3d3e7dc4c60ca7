"""The `NotificationQueue` port on SQL. What is to be told is found by the index `file_untold` alone."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, and_, delete, func, literal_column, or_, select, update

from opentrail_backends.state import tables
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, in_chunks, insert
from opentrail_backends.state.port import Turn, UntoldFile

_file = tables.file
_turn = tables.notification_turn
_status = tables.trail_notification
_COLUMNS = [
    _file.c.sns_topic_arn.label("topic_arn") if field.name == "topic_arn" else _file.c[field.name]
    for field in fields(UntoldFile)
]
# The state is written out, not given as a parameter: only so a database sees that the partial index holds all rows.
_is_untold = and_(_file.c.state == literal_column("'delivered'"), _file.c.sns_topic_arn.is_not(None))


class SqlNotificationQueue:
    """See NotificationQueue."""

    def __init__(self, transactions: Transactions, clock: StoreClock) -> None:
        self._transactions = transactions
        self._clock = clock

    def take_turns(self, limit: int, lease_ms: int) -> Sequence[Turn]:
        """See NotificationQueue. Nothing is written where nothing waits."""
        with self._transactions.reading() as connection:
            now = self._clock.read(connection)
            waiting = list(connection.execute(_trails_that_wait(now, limit)).scalars())
        if not waiting:
            return []
        with self._transactions.writing() as connection:
            # In one order, so that two processes do not wait for each other in a circle.
            taken = {name: _take_turn(connection, name, now, lease_ms) for name in sorted(waiting)}
        return [turn for name in waiting if (turn := taken[name]) is not None]

    def untold(self, incarnation: str, limit: int) -> Sequence[UntoldFile]:
        """See NotificationQueue."""
        query = select(*_COLUMNS).where(_is_untold, _file.c.incarnation == incarnation).order_by(_file.c.id)
        with self._transactions.reading() as connection:
            return [UntoldFile(**row) for row in connection.execute(query.limit(limit)).mappings()]

    def told(self, turn: Turn, files: Collection[UntoldFile], lease_ms: int) -> bool:
        """See NotificationQueue. Told is told, also if somebody else has the turn by now."""
        with self._transactions.writing() as connection:
            now = self._clock.read(connection)
            is_ours = _change_turn(connection, turn, held_until=now + lease_ms, failing_since=None)
            for chunk in in_chunks(sorted(file.id for file in files)):
                these = _file.c.id.in_(chunk)
                # In one order: a digest marks rows of the same files.
                connection.execute(select(_file.c.id).where(these).order_by(_file.c.id).with_for_update())
                connection.execute(update(_file).where(these).values(sns_topic_arn=None))
            regions = {file.region for file in files}
            _note(connection, turn.incarnation, regions, notified_at=now, error=None, failing_since=None)
        return is_ours

    def failed(self, turn: Turn, regions: Collection[str], error: str, retry_ms: int) -> None:
        """See NotificationQueue."""
        with self._transactions.writing() as connection:
            now = self._clock.read(connection)
            since = func.coalesce(_turn.c.failing_since, now)
            _change_turn(connection, turn, token="", held_until=now + retry_ms, failing_since=since)
            _note(connection, turn.incarnation, regions, error=error, failing_since=now)

    def end_turn(self, turn: Turn) -> None:
        """See NotificationQueue."""
        with self._transactions.writing() as connection:
            connection.execute(delete(_turn).where(_is_of(turn)))

    def readdress(self, incarnation: str, old_topic_arn: str, new_topic_arn: str | None) -> int:
        """See NotificationQueue."""
        these = (_is_untold, _file.c.incarnation == incarnation, _file.c.sns_topic_arn == old_topic_arn)
        with self._transactions.writing() as connection:
            changed = connection.execute(update(_file).where(*these).values(sns_topic_arn=new_topic_arn)).rowcount
            if new_topic_arn is None:
                of_trail = update(_status).where(_status.c.incarnation == incarnation)
                connection.execute(of_trail.values(error=None, failing_since=None))
            return changed

    def expire(self, waiting_ms: int) -> int:
        """See NotificationQueue."""
        with self._transactions.writing() as connection:
            old = _file.c.delivered_at <= self._clock.read(connection) - waiting_ms
            return connection.execute(update(_file).where(_is_untold, old).values(sns_topic_arn=None)).rowcount

    def waiting(self) -> int:
        """See NotificationQueue."""
        with self._transactions.reading() as connection:
            return connection.execute(select(func.count()).select_from(_file).where(_is_untold)).scalar_one()


def _trails_that_wait(now: int, limit: int) -> Any:
    """Trails with untold files whose turn is free, the one with the oldest file first.

    One look into the index for each trail, however many files wait.
    """
    first = select(func.min(_file.c.incarnation).label("incarnation")).where(_is_untold)
    trails = first.cte("waiting_trails", recursive=True)
    following = select(func.min(_file.c.incarnation)).where(_is_untold, _file.c.incarnation > trails.c.incarnation)
    trails = trails.union_all(select(following.scalar_subquery()).where(trails.c.incarnation.is_not(None)))
    oldest = select(func.min(_file.c.id)).where(_is_untold, _file.c.incarnation == trails.c.incarnation)
    return (
        select(trails.c.incarnation)
        .outerjoin(_turn, _turn.c.incarnation == trails.c.incarnation)
        .where(trails.c.incarnation.is_not(None), or_(_turn.c.held_until.is_(None), _turn.c.held_until <= now))
        .order_by(oldest.scalar_subquery())
        .limit(limit)
    )


def _take_turn(connection: Connection, incarnation: str, now: int, lease_ms: int) -> Turn | None:
    """None: somebody else was first."""
    token = secrets.token_hex(8)
    held = {"token": token, "held_until": now + lease_ms}
    add = insert(connection, _turn).values(incarnation=incarnation, **held)
    taking = add.on_conflict_do_update(index_elements=["incarnation"], set_=held, where=_turn.c.held_until <= now)
    row = connection.execute(taking.returning(_turn.c.failing_since)).first()
    if row is None:
        return None
    return Turn(incarnation, token, 0 if row.failing_since is None else max(now - row.failing_since, 1))


def _is_of(turn: Turn) -> Any:
    return and_(_turn.c.incarnation == turn.incarnation, _turn.c.token == turn.token)


def _change_turn(connection: Connection, turn: Turn, **values: Any) -> bool:
    """Whether the turn was still ours."""
    return connection.execute(update(_turn).where(_is_of(turn)).values(**values)).rowcount == 1


def _note(connection: Connection, incarnation: str, regions: Iterable[str], **values: Any) -> None:
    """Notes what became of a try. The time of the first failure since a success stays."""
    for region in sorted(regions):
        add = insert(connection, _status).values(incarnation=incarnation, region=region, **values)
        changes = dict(values)
        if values["failing_since"] is not None:
            changes["failing_since"] = func.coalesce(_status.c.failing_since, values["failing_since"])
        connection.execute(add.on_conflict_do_update(index_elements=["incarnation", "region"], set_=changes))

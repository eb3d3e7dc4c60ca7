"""The delivery ledger: steps 1 to 6 of the protocol (`docs/state.md`).

Each write begins with an UPDATE of the partition's row that names the owner's epoch, token and last intent.
The row's lock is the fence: no row means that another owner took over, and nothing is written.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import BigInteger, Connection, and_, delete, func, literal, select, update

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state import tables
from opentrail_backends.state.client_numbers import read_numbers, write_numbers
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.engine import Transactions, in_chunks, insert
from opentrail_backends.state.intent_rows import of_intent, open_intents, partition_of, rows_of_files
from opentrail_backends.state.parked_files import deliver_parked, read_parked, rename_parked
from opentrail_backends.state.port import FileState, Intent, KnownTopic, Lease, LedgerLost, ParkedFile, StateError

_partition = tables.partition
_intent = tables.intent
_file = tables.file


class SqlLedger:
    """The `Ledger` port on SQL."""

    def __init__(self, transactions: Transactions, clock: StoreClock) -> None:
        self._transactions = transactions
        self._clock = clock

    def now(self) -> int:
        """The store's clock, never below a time that it recorded or gave to this process."""
        with self._transactions.reading() as connection:
            return self._clock.read(connection)

    def known_topic(self, region: str) -> KnownTopic | None:
        """The topic recorded for a region."""
        with self._transactions.reading() as connection:
            return _known_topic(connection, region)

    def record_topic(self, region: str, topic_id: str, partitions: int) -> KnownTopic:
        """Records a region's topic if none is recorded, and returns the recorded one."""
        with self._transactions.writing() as connection:
            add = insert(connection, tables.topic).values(region=region, topic_id=topic_id, partitions=partitions)
            connection.execute(add.on_conflict_do_nothing())
            recorded = _known_topic(connection, region)
        assert recorded is not None
        return recorded

    def own(self, region: str, partition: int, start_offset: int) -> tuple[Lease, Sequence[Intent]]:
        """Step 1: raises the epoch. Returns the lease and the open intents, oldest first."""
        token = secrets.token_hex(16)
        with self._transactions.writing() as connection:
            unknown = insert(connection, _partition).values(
                region=region, number=partition, epoch=0, token="", last_intent=0, next_offset=start_offset
            )
            connection.execute(unknown.on_conflict_do_nothing())
            row = connection.execute(
                update(_partition)
                .where(_partition.c.region == region, _partition.c.number == partition)
                .values(epoch=_partition.c.epoch + 1, token=token)
                .returning(_partition)
            ).one()
            lease = Lease(region, partition, row.epoch, token, row.last_intent, row.next_offset)
            return lease, open_intents(connection, lease)

    def write_intent(self, lease: Lease, intent: Intent) -> Lease:
        """Step 3: fixes the window's files. Raises StateError on a window that leaves out or repeats offsets."""
        if intent.number != lease.last_intent + 1 or intent.end_offset <= intent.first_offset:
            raise StateError(
                f"Intent {intent.number} over offsets {intent.first_offset} to {intent.end_offset} cannot follow "
                f"intent {lease.last_intent}: numbers rise by one, and a window holds at least one offset."
            )
        with self._transactions.writing() as connection:
            _fence(connection, lease, last_intent=intent.number)
            _refuse_gap(connection, lease, intent)
            connection.execute(
                insert(connection, _intent).values(
                    **partition_of(lease),
                    number=intent.number,
                    first_offset=intent.first_offset,
                    end_offset=intent.end_offset,
                    body=dict(intent.body),
                    closed=False,
                )
            )
            if intent.files:
                connection.execute(insert(connection, _file), rows_of_files(lease, intent))
        return replace(lease, last_intent=intent.number)

    def rename_file(self, lease: Lease, intent_number: int, old_key: str, new_key: str) -> None:
        """Step 4, another object lay at the key: the file's new key is fixed before it is put."""
        with self._transactions.writing() as connection:
            _fence(connection, lease)
            renamed = connection.execute(
                update(_file)
                .where(
                    of_intent(lease, intent_number), _file.c.object_key == old_key, _file.c.state == FileState.INTENDED
                )
                .values(object_key=new_key)
            ).rowcount
            if renamed != 1:
                raise LedgerLost(f"Intent {intent_number} of {_name(lease)} has no open file {old_key}.")

    def client_numbers(self, region: str, account_id: str) -> Mapping[bytes, ClientNumbers]:
        """Step 2: what was known of an account's clients after the last delivered window, by client id."""
        with self._transactions.reading() as connection:
            return read_numbers(connection, region, account_id)

    def deliver(
        self,
        lease: Lease,
        intent: Intent,
        parked: Collection[str] = (),
        numbers: Mapping[tuple[str, bytes], ClientNumbers | None] = MappingProxyType({}),
    ) -> Lease:
        """Step 5: files delivered (but those whose object keys are parked), next offset, intent closed."""
        with self._transactions.writing() as connection:
            _fence(connection, lease)
            _close(connection, lease, intent)
            if parked:
                _park(connection, lease, intent.number, parked)
            now = self._clock.record(connection)
            connection.execute(
                update(_file)
                .where(of_intent(lease, intent.number), _file.c.state == FileState.INTENDED)
                .values(state=FileState.DELIVERED, delivered_at=now)
            )
            _note_delivery(connection, lease, intent.number, now)
            write_numbers(connection, lease.region, numbers)
            _advance(connection, lease, intent, now)
        return replace(lease, next_offset=intent.end_offset)

    def parked_files(self, limit: int, after: int = 0) -> Sequence[ParkedFile]:
        """Parked files with an id above `after`, by id."""
        with self._transactions.reading() as connection:
            return read_parked(connection, limit, after)

    def rename_parked(self, file: ParkedFile, new_key: str) -> None:
        """Another object lies at a parked file's key: its new key is fixed before it is put."""
        with self._transactions.writing() as connection:
            rename_parked(connection, file, new_key)

    def deliver_parked(self, file: ParkedFile) -> bool:
        """A parked file lies in its bucket now: delivered, for the next digest of its chain."""
        with self._transactions.writing() as connection:
            return deliver_parked(connection, file, self._clock.record(connection))

    def windows(self) -> Sequence[Mapping[str, Any]]:
        """For `opentrail status`: where each partition stands, by region and number."""
        still_open = and_(
            _intent.c.region == _partition.c.region,
            _intent.c.partition == _partition.c.number,
            _intent.c.closed.is_(False),
        )
        query = (
            select(
                _partition.c.region,
                _partition.c.number.label("partition"),
                _partition.c.next_offset,
                select(func.count()).where(still_open).scalar_subquery().label("open_intents"),
                _partition.c.last_delivered_at,
            )
            .select_from(_partition)
            .order_by(_partition.c.region, _partition.c.number)
        )
        with self._transactions.reading() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _fence(connection: Connection, lease: Lease, **changes: Any) -> None:
    """Locks the partition's row if the lease still holds. Raises LedgerLost if not."""
    held = connection.execute(
        update(_partition)
        .where(
            _partition.c.region == lease.region,
            _partition.c.number == lease.partition,
            _partition.c.epoch == lease.epoch,
            _partition.c.token == lease.token,
            _partition.c.last_intent == lease.last_intent,
        )
        .values(**(changes or {"epoch": lease.epoch}))
    ).rowcount
    if held != 1:
        raise LedgerLost(f"{_name(lease)} has another owner, or its ledger moved on without this one.")


def _refuse_gap(connection: Connection, lease: Lease, intent: Intent) -> None:
    """A window begins where the one before it ended, delivered or not: no offset is left out or read twice."""
    row = connection.execute(
        select(_partition.c.next_offset, _intent.c.end_offset)
        .select_from(_partition)
        .outerjoin(
            _intent,
            and_(
                _intent.c.region == _partition.c.region,
                _intent.c.partition == _partition.c.number,
                _intent.c.number == lease.last_intent,
                _intent.c.closed.is_(False),
            ),
        )
        .where(_partition.c.region == lease.region, _partition.c.number == lease.partition)
    ).one()
    expected = row.next_offset if row.end_offset is None else row.end_offset
    if intent.first_offset != expected:
        raise StateError(
            f"Intent {intent.number} of {_name(lease)} begins at offset {intent.first_offset}, "
            f"the window before it ends at {expected}: nothing was written."
        )


def _close(connection: Connection, lease: Lease, intent: Intent) -> None:
    """Closes the intent and forgets the one before it; the newest closed one stays."""
    this_partition = and_(_intent.c.region == lease.region, _intent.c.partition == lease.partition)
    closed = connection.execute(
        update(_intent)
        .where(
            this_partition,
            _intent.c.number == intent.number,
            _intent.c.first_offset == intent.first_offset,
            _intent.c.end_offset == intent.end_offset,
            _intent.c.closed.is_(False),
        )
        .values(closed=True)
    ).rowcount
    if closed != 1:
        raise LedgerLost(f"Intent {intent.number} of {_name(lease)} is not open.")
    connection.execute(delete(_intent).where(this_partition, _intent.c.number < intent.number, _intent.c.closed))


def _park(connection: Connection, lease: Lease, number: int, parked: Collection[str]) -> None:
    wanted = set(parked)
    keys = connection.execute(select(_file.c.id, _file.c.object_key).where(of_intent(lease, number))).all()
    missing = wanted - {key for _, key in keys}
    if missing:
        raise StateError(f"Intent {number} of {_name(lease)} has no file {min(missing)}: nothing was delivered.")
    for chunk in in_chunks([id_ for id_, key in keys if key in wanted]):
        connection.execute(update(_file).where(_file.c.id.in_(chunk)).values(state=FileState.PARKED))


def _note_delivery(connection: Connection, lease: Lease, number: int, now: int) -> None:
    """The newest delivery of each trail outlives its files' rows (GetTrailStatus)."""
    noted = tables.trail_delivery
    delivered = (
        select(_file.c.incarnation, literal(lease.region), literal(lease.partition), literal(now, BigInteger()))
        .where(of_intent(lease, number), _file.c.state == FileState.DELIVERED)
        .distinct()
    )
    add = insert(connection, noted).from_select(["incarnation", "region", "partition", "delivered_at"], delivered)
    connection.execute(
        add.on_conflict_do_update(
            index_elements=["incarnation", "region", "partition"], set_={"delivered_at": add.excluded.delivered_at}
        )
    )


def _advance(connection: Connection, lease: Lease, intent: Intent, now: int) -> None:
    advanced = connection.execute(
        update(_partition)
        .where(
            _partition.c.region == lease.region,
            _partition.c.number == lease.partition,
            _partition.c.next_offset == intent.first_offset,
        )
        .values(next_offset=intent.end_offset, last_delivered_at=now)
    ).rowcount
    if advanced != 1:
        raise LedgerLost(f"Intent {intent.number} of {_name(lease)} is not the next to be delivered.")


def _known_topic(connection: Connection, region: str) -> KnownTopic | None:
    topic = tables.topic.c
    row = connection.execute(select(topic.topic_id, topic.partitions).where(topic.region == region)).first()
    return None if row is None else KnownTopic(row.topic_id, row.partitions)


def _name(lease: Lease) -> str:
    return f"Partition {lease.region}/{lease.partition}"

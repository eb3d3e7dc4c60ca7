"""The delivery ledger: steps 1 to 6 of the protocol (`docs/state.md`).

Each write of an owner begins with an UPDATE of the partition's row that names the owner's epoch, token and last
intent. The row's lock is the fence: no row means that another owner took over, and nothing is written.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, and_, delete, func, select, update

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state import parked_files, settling, tables
from opentrail_backends.state.client_numbers import clients_of_accounts, read_numbers, write_numbers
from opentrail_backends.state.clock import StoreClock
from opentrail_backends.state.delivering import advance, close_intent, deliver_files, ids_of_parked, park_files
from opentrail_backends.state.engine import Transactions, in_chunks, insert
from opentrail_backends.state.fence import fence, name_of
from opentrail_backends.state.intent_rows import of_intent, open_intents, partition_of, rows_of_files
from opentrail_backends.state.port import (
    ClientsOfAccount,
    FileState,
    Intent,
    KnownTopic,
    Lease,
    LedgerLost,
    LostOffsets,
    ParkedFailure,
    ParkedFile,
    ParkedOfTrail,
    Parking,
    Settlement,
    SpoolUsage,
    StateError,
)
from opentrail_backends.state.spool_sums import parked_by_trail, spool_usage
from opentrail_backends.state.workers import report_worker

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
            fence(connection, lease, last_intent=intent.number)
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
            fence(connection, lease)
            renamed = connection.execute(
                update(_file)
                .where(
                    of_intent(lease, intent_number), _file.c.object_key == old_key, _file.c.state == FileState.INTENDED
                )
                .values(object_key=new_key)
            ).rowcount
            if renamed != 1:
                raise LedgerLost(f"Intent {intent_number} of {name_of(lease)} has no open file {old_key}.")

    def client_numbers(self, region: str, account_id: str) -> Mapping[bytes, ClientNumbers]:
        """Step 2: what was known of an account's clients after the last delivered window, by client id."""
        with self._transactions.reading() as connection:
            return read_numbers(connection, region, account_id)

    def deliver(
        self,
        lease: Lease,
        intent: Intent,
        parked: Mapping[str, Parking] = MappingProxyType({}),
        numbers: Mapping[tuple[str, bytes], ClientNumbers | None] = MappingProxyType({}),
    ) -> Lease:
        """Step 5: files delivered (but those that are parked, by object key), next offset, intent closed."""
        with self._transactions.writing() as connection:
            fence(connection, lease)
            close_intent(connection, lease, intent)
            spooled = ids_of_parked(connection, lease, intent.number, parked) if parked else {}
            now = self._clock.record(connection)
            park_files(connection, ((file_id, parked[key]) for file_id, key in spooled.items()), now)
            deliver_files(connection, lease, intent.number, now)
            write_numbers(connection, lease.region, numbers)
            advance(connection, lease, intent, now)
        return replace(lease, next_offset=intent.end_offset)

    def settle(self, lease: Lease, settlement: Settlement) -> Lease:
        """An operator's way on: closes all open intents by what became of their files, moves the next offset."""
        with self._transactions.writing() as connection:
            fence(connection, lease)
            settling.settle(connection, self._clock, lease, settlement)
        return replace(lease, next_offset=settlement.next_offset)

    def lost_offsets(self) -> Sequence[LostOffsets]:
        """What operators gave up, the newest first."""
        with self._transactions.reading() as connection:
            return settling.read_lost_offsets(connection)

    # --- parked files ------------------------------------------------------------------------------

    def parked_files(self, limit: int, after: int = 0) -> Sequence[ParkedFile]:
        """Parked files (not expired ones) with an id above `after`, by id."""
        with self._transactions.reading() as connection:
            return parked_files.read_parked(connection, limit, after)

    def begin_parked(self, ids: Collection[int]) -> Sequence[ParkedFile]:
        """Puts of these files follow; returns the files as they are now."""
        if not ids:
            return []
        with self._transactions.writing() as connection:
            return parked_files.begin_parked(connection, ids)

    def fail_parked(self, failures: Collection[ParkedFailure]) -> None:
        """Tries failed. An answered one takes back what `begin_parked` counted."""
        if failures:
            with self._transactions.writing() as connection:
                # The rows are locked before the clock, which all others need too.
                parked_files.fail_parked(connection, failures, self._clock.read(connection))

    def rename_parked(self, file: ParkedFile, new_key: str) -> None:
        """Another object lies at a parked file's key: its new key is fixed before it is put."""
        with self._transactions.writing() as connection:
            parked_files.rename_parked(connection, file, new_key)

    def reaim_parked(self, file: ParkedFile, bucket: str, object_key: str, kms_key_id: str | None) -> bool:
        """The trail's target changed: the file is to be put there instead, and ages anew."""
        with self._transactions.writing() as connection:
            return parked_files.reaim_parked(connection, file, bucket, object_key, kms_key_id)

    def deliver_parked(self, file: ParkedFile) -> bool:
        """A parked file lies in its bucket now: delivered, for the next digest of its chain."""
        with self._transactions.writing() as connection:
            return parked_files.deliver_parked(connection, file, self._clock.record(connection))

    def expire_parked(self, failing_ms: int) -> int:
        """Files whose bucket has failed for so long are not tried any more; returns how many there are new."""
        with self._transactions.reading() as connection:
            time = self._clock.read(connection) - failing_ms
            ids = parked_files.failing_before(connection, time)
        expired = 0
        for chunk in in_chunks(ids):
            with self._transactions.writing() as connection:
                expired += parked_files.expire(connection, chunk, time)
        return expired

    def retry_expired(self) -> int:
        """An operator's command: expired files are parked again and age anew; returns how many."""
        with self._transactions.writing() as connection:
            return parked_files.retry_expired(connection)

    def spool_usage(self) -> SpoolUsage:
        """Bytes of parked and expired files, in all and by owner."""
        with self._transactions.reading() as connection:
            return spool_usage(connection)

    def parked_by_trail(self) -> Sequence[ParkedOfTrail]:
        """For `opentrail status`: parked and expired files by trail and region."""
        with self._transactions.reading() as connection:
            return parked_by_trail(connection)

    # --- for status, and for releases that run side by side ------------------------------------------

    def clients(self) -> Sequence[ClientsOfAccount]:
        """Of each account and region with numbered events: clients, missing numbers, repeats."""
        with self._transactions.reading() as connection:
            return clients_of_accounts(connection)

    def report_worker(self, worker_id: str, formats: Mapping[str, int]) -> Mapping[str, int]:
        """A worker shows that it lives, and the formats that it knows; returns those that are switched on."""
        with self._transactions.writing() as connection:
            return report_worker(connection, worker_id, formats, self._clock.record(connection))

    def remove_worker(self, worker_id: str) -> None:
        """The worker has stopped in order: nobody waits for it."""
        with self._transactions.writing() as connection:
            connection.execute(delete(tables.worker).where(tables.worker.c.id == worker_id))

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
            f"Intent {intent.number} of {name_of(lease)} begins at offset {intent.first_offset}, "
            f"the window before it ends at {expected}: nothing was written."
        )


def _known_topic(connection: Connection, region: str) -> KnownTopic | None:
    topic = tables.topic.c
    row = connection.execute(select(topic.topic_id, topic.partitions).where(topic.region == region)).first()
    return None if row is None else KnownTopic(row.topic_id, row.partitions)

"""The `Ledger` port in memory: steps 1 to 6. Each method is one transaction: it checks all, then changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state.port import (
    ClientsOfAccount,
    FileState,
    IntendedFile,
    Intent,
    KnownTopic,
    Lease,
    LedgerLost,
    LostOffsets,
    Parking,
    Settlement,
    StateError,
)
from tests.simulation.memory_parked import MemoryParkedFiles, park
from tests.simulation.memory_tables import Clock, FileRow, IntentRow, PartitionRow, Tables, Worker

_SEEN_MS = 600_000
"""Workers that were not seen for longer are gone."""


@dataclass
class MemoryLedger(MemoryParkedFiles):
    """See the port. `audit` is told of what no backup forgets, for the checks."""

    tables: Tables
    clock: Clock
    new_token: Callable[[], str]
    audit: Callable[..., None] = lambda *_: None

    def now(self) -> int:
        return self.clock.read(self.tables)

    def known_topic(self, region: str) -> KnownTopic | None:
        return self.tables.topics.get(region)

    def record_topic(self, region: str, topic_id: str, partitions: int) -> KnownTopic:
        return self.tables.topics.setdefault(region, KnownTopic(topic_id, partitions))

    def own(self, region: str, partition: int, start_offset: int) -> tuple[Lease, Sequence[Intent]]:
        row = self.tables.partitions.setdefault((region, partition), PartitionRow(start_offset))
        row.epoch += 1
        row.token = self.new_token()
        lease = Lease(region, partition, row.epoch, row.token, row.last_intent, row.next_offset)
        return lease, self._open_intents(region, partition)

    def _open_intents(self, region: str, partition: int) -> list[Intent]:
        rows = self.tables.intents.get((region, partition), {})
        return [
            replace(row.intent, files=[file.file for file in self.files_of(region, partition, number)])
            for number, row in sorted(rows.items())
            if not row.closed
        ]

    def files_of(self, region: str, partition: int, number: int) -> list[FileRow]:
        return [
            row
            for row in self.tables.files.values()
            if (row.region, row.partition, row.intent) == (region, partition, number)
        ]

    def _fence(self, lease: Lease) -> PartitionRow:
        row = self.tables.partitions.get((lease.region, lease.partition))
        if row is None or (row.epoch, row.token, row.last_intent) != (lease.epoch, lease.token, lease.last_intent):
            raise LedgerLost(f"{lease.region}/{lease.partition} has another owner, or its ledger moved on.")
        return row

    def write_intent(self, lease: Lease, intent: Intent) -> Lease:
        if intent.number != lease.last_intent + 1 or intent.end_offset <= intent.first_offset:
            raise StateError(f"Intent {intent.number} cannot follow intent {lease.last_intent}.")
        row = self._fence(lease)
        intents = self.tables.intents.setdefault((lease.region, lease.partition), {})
        before = intents.get(lease.last_intent)
        expected = row.next_offset if before is None or before.closed else before.intent.end_offset
        if intent.first_offset != expected:
            place = f"begins at offset {intent.first_offset} instead of {expected}"
            raise StateError(f"Intent {intent.number} {place}: nothing was written.")
        row.last_intent = intent.number
        intents[intent.number] = IntentRow(replace(intent, body=dict(intent.body), files=()))
        for file in intent.files:
            self._add_file(lease, intent.number, file)
        self.audit("intent", lease, intent)
        return replace(lease, last_intent=intent.number)

    def _add_file(self, lease: Lease, number: int, file: IntendedFile) -> None:
        row = FileRow(self.tables.next_file, lease.region, lease.partition, number, file)
        self.tables.files[row.id] = row
        self.tables.next_file += 1

    def rename_file(self, lease: Lease, intent_number: int, old_key: str, new_key: str) -> None:
        self._fence(lease)
        for row in self.files_of(lease.region, lease.partition, intent_number):
            if row.file.object_key == old_key and row.state is FileState.INTENDED:
                row.file = replace(row.file, object_key=new_key)
                self.audit("renamed", row.file, (row.file.bucket, old_key))
                return
        raise LedgerLost(f"Intent {intent_number} has no open file {old_key}.")

    def client_numbers(self, region: str, account_id: str) -> Mapping[bytes, ClientNumbers]:
        return {
            client: numbers
            for (of_region, account, client), numbers in self.tables.numbers.items()
            if (of_region, account) == (region, account_id)
        }

    def deliver(
        self,
        lease: Lease,
        intent: Intent,
        parked: Mapping[str, Parking] = MappingProxyType({}),
        numbers: Mapping[tuple[str, bytes], ClientNumbers | None] = MappingProxyType({}),
    ) -> Lease:
        row = self._fence(lease)
        intents = self.tables.intents.get((lease.region, lease.partition), {})
        known = intents.get(intent.number)
        place = (intent.first_offset, intent.end_offset)
        if known is None or known.closed or (known.intent.first_offset, known.intent.end_offset) != place:
            raise LedgerLost(f"Intent {intent.number} is not open.")
        if row.next_offset != intent.first_offset:
            raise LedgerLost(f"Intent {intent.number} is not the next to be delivered.")
        files = self.files_of(lease.region, lease.partition, intent.number)
        if missing := set(parked) - {file.file.object_key for file in files}:
            raise StateError(f"Intent {intent.number} has no file {min(missing)}: nothing was delivered.")
        now = self.clock.record(self.tables)
        for file in files:
            if file.file.object_key in parked:
                park(file, parked[file.file.object_key], now)
                self.audit("parked", file.file)
            else:
                self._deliver_file(file, now)
        self._close(intents, intent.number)
        self._write_numbers(lease.region, numbers)
        row.next_offset = intent.end_offset
        row.last_delivered_at = now
        self.audit("delivered", lease, intent)
        return replace(lease, next_offset=intent.end_offset)

    def _close(self, intents: dict[int, IntentRow], number: int) -> None:
        intents[number].closed = True
        for older in [known for known, row in intents.items() if known < number and row.closed]:
            del intents[older]

    def _write_numbers(self, region: str, numbers: Mapping[tuple[str, bytes], ClientNumbers | None]) -> None:
        for (account, client), known in numbers.items():
            if known is None:
                self.tables.numbers.pop((region, account, client), None)
            else:
                self.tables.numbers[region, account, client] = known

    # --- an operator's way on ----------------------------------------------------------------------

    def settle(self, lease: Lease, settlement: Settlement) -> Lease:
        row = self._fence(lease)
        intents = self.tables.intents.get((lease.region, lease.partition), {})
        still_open = [number for number, known in sorted(intents.items()) if not known.closed]
        files = [file for number in still_open for file in self.files_of(lease.region, lease.partition, number)]
        _refuse_incomplete({file.file.object_key for file in files}, settlement)
        now = self.clock.record(self.tables)
        for file in files:
            key = file.file.object_key
            if key in settlement.parked:
                park(file, settlement.parked[key], now)
            elif key in settlement.lost:
                file.state = FileState.LOST
            else:
                self._deliver_file(file, now)
                if key in settlement.digested:
                    file.file = replace(file.file, is_digested=False)
        for number in still_open:
            self._close(intents, number)
        self.tables.lost = [
            *(replace(lost, recorded_at=now) for lost in settlement.lost_offsets),
            *self.tables.lost,
        ]
        self.tables.topics[lease.region] = KnownTopic(settlement.topic_id, settlement.partitions)
        row.next_offset = settlement.next_offset
        return replace(lease, next_offset=settlement.next_offset)

    def lost_offsets(self) -> Sequence[LostOffsets]:
        return list(self.tables.lost)

    # --- for status, and for releases that run side by side ----------------------------------------

    def clients(self) -> Sequence[ClientsOfAccount]:
        found: dict[tuple[str, str], list[ClientNumbers]] = {}
        for (region, account, _), numbers in self.tables.numbers.items():
            found.setdefault((region, account), []).append(numbers)
        return [
            ClientsOfAccount(
                region=region,
                account_id=account,
                clients=len(known),
                missing=sum(numbers.missing for numbers in known),
                repeats=sum(numbers.repeats for numbers in known),
                given_up=sum(numbers.given_up for numbers in known),
            )
            for (region, account), known in sorted(found.items())
        ]

    def report_worker(self, worker_id: str, formats: Mapping[str, int]) -> Mapping[str, int]:
        now = self.clock.record(self.tables)
        workers = self.tables.workers
        workers[worker_id] = Worker(dict(formats), now)
        alive = [worker for worker in workers.values() if now - worker.seen_at < _SEEN_MS]
        for kind in formats:
            newest = _known_to_all(alive, kind)
            if newest > self.tables.formats.get(kind, 0):
                self.tables.formats[kind] = newest
        return dict(self.tables.formats)

    def remove_worker(self, worker_id: str) -> None:
        self.tables.workers.pop(worker_id, None)

    def windows(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "region": region,
                "partition": number,
                "next_offset": row.next_offset,
                "open_intents": len(self._open_intents(region, number)),
                "last_delivered_at": row.last_delivered_at,
            }
            for (region, number), row in sorted(self.tables.partitions.items())
        ]


def _refuse_incomplete(keys: set[str], settlement: Settlement) -> None:
    sets = (set(settlement.delivered), set(settlement.parked), set(settlement.lost))
    for key in sorted(keys.union(*sets, settlement.digested)):
        times = sum(key in named for named in sets)
        if key not in keys:
            what = "is no file of an open intent"
        elif times != 1:
            what = "is named twice" if times else "is left out"
        elif key in settlement.digested and key not in sets[0]:
            what = "is no delivered file of an open intent"
        else:
            continue
        raise StateError(f"The partition cannot be settled, {key} {what}: nothing was changed.")


def _known_to_all(workers: Iterable[Worker], kind: str) -> int:
    return min((worker.formats.get(kind, 0) for worker in workers), default=0)

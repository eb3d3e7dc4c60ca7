"""`opentrail fsck`, the spool: copies of log files against the ledger's rows, and what waits for an operator."""

from __future__ import annotations

from collections import Counter

from opentrail_backends.object_store.port import ObjectNotFound, ObjectStoreError
from opentrail_backends.state.port import FileState, Ledger
from opentrail_backends.state.port.inspection import FileRow, Inspection
from opentrail_delivery.fsck_findings import FsckReport, Kind
from opentrail_delivery.settle_tools import held_of
from opentrail_delivery.spool import DamagedCopy, HeldFile, Spool

_IN_SPOOL = {FileState.PARKED, FileState.EXPIRED}


class SpoolCheck:
    """Copies are listed first and rows read after it. What does not fit then is looked at again."""

    def __init__(self, spool: Spool, report: FsckReport) -> None:
        self._spool = spool
        self._report = report
        self._copies: set[HeldFile] = set()
        self._delivered: set[HeldFile] = set()
        self._without_copy: dict[int, FileRow] = {}

    def list_copies(self) -> None:
        """Everything parked in the spool."""
        try:
            self._copies = set(self._spool.held_files())
        except ObjectStoreError as error:
            self._report.unchecked.append(("the spool", str(error)))
        self._report.checked["copies in the spool"] += len(self._copies)

    def row(self, row: FileRow) -> None:
        """A row of the ledger, whatever its state."""
        held = held_of(row)
        if held in self._copies:
            self._copies.discard(held)
            if row.state is FileState.DELIVERED:
                self._delivered.add(held)
        elif row.state in _IN_SPOOL:
            self._without_copy[row.id] = row

    def check(self, inspection: Inspection) -> None:
        """After all rows: which copies and rows are alone, and still are."""
        try:
            for held in sorted(self._copies):
                if self._is_there(held):
                    self._report.add(Kind.COPY_WITHOUT_ROW, held.key)
            for held in sorted(self._delivered):
                if self._is_there(held):
                    self._report.add(Kind.COPY_LEFT_OVER, held.key)
            for row in self._without_copy.values():
                again = inspection.files(1, row.id - 1)
                if again and again[0].id == row.id and again[0].state in _IN_SPOOL and not self._is_there(held_of(row)):
                    self._report.add(
                        Kind.PARKED_WITHOUT_COPY, held_of(row).key, f"for s3://{row.bucket}/{row.object_key}"
                    )
        except ObjectStoreError as error:
            self._report.unchecked.append(("the spool", str(error)))

    def waiting(self, ledger: Ledger) -> None:
        """What lies in the spool until its bucket takes it, or an operator acts."""
        for one in ledger.parked_by_trail():
            waiting = one.files - one.expired
            if waiting:
                self._report.add(
                    Kind.PARKED_FILES,
                    one.trail_arn,
                    f"{waiting} files in {one.region}, because of {one.error or 'our own rate limit'}",
                )
            if one.expired:
                self._report.add(
                    Kind.EXPIRED_FILES, one.trail_arn, f"{one.expired} files in {one.region}: opentrail redrive parked"
                )
        for clients in ledger.clients():
            if clients.given_up:
                subject = f"account {clients.account_id} in {clients.region}"
                self._report.add(Kind.GIVEN_UP_HOLES, subject, f"{clients.given_up} numbers")
        try:
            for kind, folder in ((Kind.POISON, "poison"), (Kind.DEAD_LETTERS, "dead-letters")):
                counts = Counter(held.partition for held in self._spool.held_messages(folder))
                for partition, count in sorted(counts.items()):
                    self._report.add(
                        kind,
                        f"{partition.region}/{partition.number}",
                        f"{count} messages: opentrail redrive {folder}",
                    )
        except ObjectStoreError as error:
            self._report.unchecked.append(("the spool", str(error)))

    def _is_there(self, held: HeldFile) -> bool:
        try:
            self._spool.copy(held)
        except ObjectNotFound:
            return False
        except DamagedCopy:
            return True
        return True

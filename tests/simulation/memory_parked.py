"""The part of the `Ledger` port in memory that is about parked files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from opentrail_backends.state.port import (
    FileState,
    LedgerLost,
    ParkedFailure,
    ParkedFile,
    ParkedOfTrail,
    Parking,
    SpoolUsage,
)
from tests.simulation.memory_tables import Clock, FileRow, Tables, sum_by

_IN_SPOOL = (FileState.PARKED, FileState.EXPIRED)


def park(row: FileRow, parking: Parking, now: int) -> None:
    """A file's bucket would not take it."""
    row.state = FileState.PARKED
    row.size = parking.size
    row.error = parking.error
    row.parked_at = now
    row.failing_since = None if parking.error is None else now
    row.unanswered = 0 if parking.is_answered else 1


class MemoryParkedFiles:
    """See the port."""

    tables: Tables
    clock: Clock
    audit: Callable[..., None]

    def _deliver_file(self, row: FileRow, now: int) -> None:
        row.state = FileState.DELIVERED
        row.delivered_at = now
        self.tables.delivered_of_trail[row.file.incarnation, row.region] = now

    def parked_files(self, limit: int, after: int = 0) -> Sequence[ParkedFile]:
        rows = [row for row in self.tables.files.values() if row.state is FileState.PARKED and row.id > after]
        return [_parked_file(row) for row in sorted(rows, key=lambda row: row.id)[:limit]]

    def begin_parked(self, ids: Collection[int]) -> Sequence[ParkedFile]:
        rows = self._still_parked(ids)
        for row in rows:
            row.unanswered += 1
        return [replace(_parked_file(row), is_answered=row.unanswered == 1) for row in rows]

    def fail_parked(self, failures: Collection[ParkedFailure]) -> None:
        now = self.clock.record(self.tables)
        for failure in failures:
            for row in self._still_parked([failure.id]):
                row.error = failure.error
                row.failing_since = now if row.failing_since is None else row.failing_since
                if failure.is_answered:
                    row.unanswered = max(row.unanswered - 1, 0)

    def _still_parked(self, ids: Collection[int]) -> list[FileRow]:
        rows = [self.tables.files[id_] for id_ in sorted(set(ids)) if id_ in self.tables.files]
        return [row for row in rows if row.state is FileState.PARKED]

    def _under_its_name(self, file: ParkedFile) -> FileRow | None:
        row = self.tables.files.get(file.id)
        if row is None or row.state is not FileState.PARKED:
            return None
        return row if (row.file.bucket, row.file.object_key) == (file.bucket, file.object_key) else None

    def rename_parked(self, file: ParkedFile, new_key: str) -> None:
        row = self._under_its_name(file)
        if row is None:
            raise LedgerLost(f"File {file.id} is not parked as s3://{file.bucket}/{file.object_key} any more.")
        old = (row.file.bucket, row.file.object_key)
        row.file = replace(row.file, object_key=new_key)
        self.audit("renamed", row.file, old)

    def reaim_parked(self, file: ParkedFile, bucket: str, object_key: str, kms_key_id: str | None) -> bool:
        row = self._under_its_name(file)
        if row is None or row.unanswered:
            return False
        old = (row.file.bucket, row.file.object_key)
        row.file = replace(row.file, bucket=bucket, object_key=object_key, kms_key_id=kms_key_id)
        row.failing_since = row.error = None
        self.audit("reaimed", row.file, old)
        return True

    def deliver_parked(self, file: ParkedFile) -> bool:
        row = self._under_its_name(file)
        if row is None:
            return False
        self._deliver_file(row, self.clock.record(self.tables))
        self.audit("parked delivered", row.file)
        return True

    def expire_parked(self, failing_ms: int) -> int:
        now = self.clock.record(self.tables)
        old = [
            row
            for row in self.tables.files.values()
            if row.state is FileState.PARKED and row.failing_since is not None and row.failing_since <= now - failing_ms
        ]
        for row in old:
            row.state = FileState.EXPIRED
        return len(old)

    def retry_expired(self) -> int:
        expired = [row for row in self.tables.files.values() if row.state is FileState.EXPIRED]
        for row in expired:
            row.state = FileState.PARKED
            row.failing_since = None
        return len(expired)

    def spool_usage(self) -> SpoolUsage:
        rows = [row for row in self.tables.files.values() if row.state in _IN_SPOOL]
        return SpoolUsage(sum(row.size for row in rows), sum_by((row.file.owner, row.size) for row in rows))

    def parked_by_trail(self) -> Sequence[ParkedOfTrail]:
        found: dict[tuple[str, str], list[FileRow]] = {}
        for row in self.tables.files.values():
            if row.state in _IN_SPOOL:
                found.setdefault((row.file.incarnation, row.region), []).append(row)
        return [
            ParkedOfTrail(
                incarnation=incarnation,
                trail_arn=rows[-1].file.trail_arn,
                region=region,
                files=len(rows),
                size=sum(row.size for row in rows),
                oldest_parked_at=min(row.parked_at for row in rows),
                expired=sum(row.state is FileState.EXPIRED for row in rows),
                error=next((row.error for row in reversed(rows) if row.error is not None), None),
            )
            for (incarnation, region), rows in sorted(found.items())
        ]


def _parked_file(row: FileRow) -> ParkedFile:
    file = row.file
    return ParkedFile(
        id=row.id,
        region=row.region,
        partition=row.partition,
        intent=row.intent,
        incarnation=file.incarnation,
        logging_session=file.logging_session,
        account_id=file.account_id,
        part=file.part,
        owner=file.owner,
        bucket=file.bucket,
        object_key=file.object_key,
        sha256=file.sha256,
        trail_arn=file.trail_arn,
        kms_key_id=file.kms_key_id,
        size=row.size,
        parked_at=row.parked_at,
        failing_since=row.failing_since,
        error=row.error,
        is_answered=row.unanswered == 0,
    )

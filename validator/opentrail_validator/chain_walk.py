"""Walks a trail's digests from the newest to the oldest and tells what it finds.

A valid digest leads to the one it recorded as its predecessor, whether or not that is listed. After a starting digest,
and after one that is missing, wrong or could not be checked, the walk goes on with the newest listed digest that is
older. Regular digests first, then the backfill digests, which have links of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from opentrail.evidence.digest import BACKFILL_TIMESTAMP_METADATA, Digest
from opentrail_validator.digest_check import DigestCheck, Recorded, check_digest
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.log_file_check import check_log_file
from opentrail_validator.readers.port import (
    ApiNotReached,
    ApiRefused,
    CouldNotRead,
    ObjectDamaged,
    ObjectMissing,
    ObjectReader,
    PublicKeySource,
    StoredObject,
)
from opentrail_validator.trail_place import TrailPlace

HOUR: Final = 3600


class NoPublicKeys(Exception):
    """There is no public key for the time asked for, so nothing can be validated. Has the times, epoch seconds."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__(start, end)
        self.start = start
        self.end = end


def validate(
    place: TrailPlace, start: int, end: int, objects: ObjectReader, public_keys: PublicKeySource
) -> Iterator[Finding]:
    """Validates the log files delivered from `start` to `end` (epoch seconds); yields findings, newest first.

    Raises NoPublicKeys, and ApiRefused or ApiNotReached if the keys could not be asked for. Whatever is wrong with an
    object is a finding, and so is an object that could not be read.
    """
    keys = public_keys.between(start, end + 2 * HOUR)
    if not keys:
        raise NoPublicKeys(start, end + 2 * HOUR)
    walk = _Walk(place, start, objects, public_keys)
    yield from walk.run(end, dict(keys), backfill=False)
    yield from walk.run(end, {}, backfill=True)


class _ListingFailed(Exception):
    """The digests of a bucket could not be listed."""

    def __init__(self, bucket: str, reason: str) -> None:
        super().__init__(bucket, reason)
        self.bucket = bucket
        self.reason = reason


class _Walk:
    def __init__(self, place: TrailPlace, start: int, objects: ObjectReader, public_keys: PublicKeySource) -> None:
        self._place = place
        self._start = start
        self._objects = objects
        self._public_keys = public_keys

    def run(self, end: int, keys: dict[str, bytes], *, backfill: bool) -> Iterator[Finding]:
        """The regular or the backfill digests with all their log files."""
        try:
            yield from self._digests(end, keys, backfill=backfill)
        except _ListingFailed as failure:
            yield Finding(Kind.NOT_CHECKED, Subject.LISTING, failure.bucket, self._place.folder, failure.reason)

    def _digests(self, end: int, keys: dict[str, bytes], *, backfill: bool) -> Iterator[Finding]:
        subject = Subject.BACKFILL_DIGEST if backfill else Subject.DIGEST
        bucket = self._place.bucket
        older = self._list(bucket, end, backfill=backfill)
        key = older.pop() if older else None
        reached = self._end_of(key, otherwise=end)
        recorded: Recorded | None = None
        while key is not None and self._start <= reached:
            check = self._check(bucket, key, keys, recorded, backfill=backfill)
            yield _finding(check, subject, bucket, key)
            if check.digest is not None:
                reached = check.digest.start
                if check.kind is Kind.VALID:
                    yield from self._log_files(check.digest)
            if check.digest is not None and check.digest.previous is not None:
                recorded = Recorded(check.digest, proven=check.kind is Kind.VALID)
                link = check.digest.previous
                key = link.s3_object
                if link.s3_bucket != bucket:
                    bucket = link.s3_bucket
                    older = self._list(bucket, check.digest.end, backfill=backfill)
                continue
            recorded = None
            before = self._end_of(key, otherwise=reached + 1)
            while older and self._end_of(older[-1], otherwise=before) >= before:
                older.pop()
            key = older.pop() if older else None
            if key is not None and check.kind is Kind.VALID:
                chain_end = self._end_of(key, otherwise=reached)
                yield Finding(Kind.GAP, subject, bucket, key, start=chain_end, end=reached)

    def _list(self, bucket: str, end: int, *, backfill: bool) -> list[str]:
        """The digests that end between the start and an hour after `end`, oldest first."""
        start_after = str(self._place.key(self._start - 1))
        found = []
        try:
            for key in self._objects.keys(bucket, self._place.folder, start_after):
                digest = self._place.digest_at(key)
                if digest is not None and digest.end_seconds > end + HOUR:
                    break
                if digest is not None and digest.end_seconds >= self._start and digest.backfill == backfill:
                    found.append(key)
        except CouldNotRead as error:
            raise _ListingFailed(bucket, str(error)) from None
        return found

    def _end_of(self, key: str | None, *, otherwise: int) -> int:
        """The stamp of a digest's key. A recorded predecessor may have any name: `otherwise` then."""
        digest = self._place.digest_at(key) if key is not None else None
        return digest.end_seconds if digest else otherwise

    def _check(
        self, bucket: str, key: str, keys: dict[str, bytes], recorded: Recorded | None, *, backfill: bool
    ) -> DigestCheck:
        def find_key(name: str, stored: StoredObject) -> bytes | None:
            if name not in keys and backfill:
                keys.update(self._keys_at_generation(stored))
            return keys.get(name)

        try:
            stored = self._objects.get(bucket, key)
            return check_digest(stored, bucket, key, find_key, backfill=backfill, recorded=recorded)
        except (ObjectMissing, ObjectDamaged, CouldNotRead, ApiRefused, ApiNotReached) as error:
            return DigestCheck(_kind_of(error), str(error))

    def _keys_at_generation(self, stored: StoredObject) -> Mapping[str, bytes]:
        """The keys in use when a backfill digest was made, as its metadata says: long after its end."""
        try:
            moment = datetime.fromisoformat((stored.metadata or {})[BACKFILL_TIMESTAMP_METADATA])
        except (KeyError, ValueError):
            return {}
        made = int(moment.replace(tzinfo=UTC).timestamp())
        return self._public_keys.between(made - HOUR, made + HOUR)

    def _log_files(self, digest: Digest) -> Iterator[Finding]:
        for entry in digest.log_files:
            detail = ""
            try:
                stored = self._objects.get(entry.s3_bucket, entry.s3_object)
                kind = check_log_file(stored.body, entry.hash_value)
            except (ObjectMissing, ObjectDamaged, CouldNotRead) as error:
                kind, detail = _kind_of(error), str(error)
            yield Finding(kind, Subject.LOG_FILE, entry.s3_bucket, entry.s3_object, detail)


def _kind_of(error: Exception) -> Kind:
    """What it means for an object that it could not be read."""
    match error:
        case ObjectMissing():
            return Kind.NOT_FOUND
        case ObjectDamaged():
            return Kind.MALFORMED
        case _:
            return Kind.NOT_CHECKED


def _finding(check: DigestCheck, subject: Subject, bucket: str, key: str) -> Finding:
    valid = check.digest if check.kind is Kind.VALID else None
    window = (valid.start, valid.end) if valid else (None, None)
    return Finding(check.kind, subject, bucket, key, check.detail, *window)

"""`opentrail fsck`, the buckets: what lies there, and what digests say of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import NamedTuple

from opentrail.evidence.digest import SIGNATURE_METADATA, Digest, MalformedDigest, parse_digest
from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail.evidence.object_keys import DIGEST_FOLDER, DigestKey, LogFileKey, LogKind, MalformedKey, parse_key
from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectNotFound,
    ObjectStore,
    ObjectStoreError,
    ObjectTooLarge,
)
from opentrail_delivery.fsck_findings import FsckReport, Kind
from opentrail_delivery.log_file_put import HASH_METADATA

_FOLDERS = (f"/{LogKind.EVENTS.value}/", f"/{DIGEST_FOLDER}/")


class Place(NamedTuple):
    """Where an object lies."""

    bucket: str
    object_key: str

    @property
    def mark(self) -> bytes:
        """16 bytes that stand for the place: all that is kept of a big bucket's objects."""
        return hashlib.blake2b(f"{self.bucket}/{self.object_key}".encode(), digest_size=16).digest()

    def __str__(self) -> str:
        """Its URL."""
        return f"s3://{self.bucket}/{self.object_key}"


@dataclass(slots=True)
class Seen:
    """What was seen in the buckets. About 100 bytes of memory an object."""

    objects: set[bytes] = field(default_factory=set)
    """Marks of log files, and of what should not lie among them."""
    named: Counter[bytes] = field(default_factory=Counter)
    """How often digests name a file, by its mark."""
    digests: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    """SHA-256 of each digest, and of its signature, by its mark."""


@dataclass(frozen=True, slots=True)
class BucketCheck:
    """Looks through buckets."""

    store: ObjectStore
    executor: Executor
    report: FsckReport
    since: int
    """Objects stamped before it (seconds) are passed over."""
    deep: bool
    seen: Seen

    def folder(self, bucket: str, root: str) -> None:
        """Everything under `…AWSLogs/`. What cannot be read is noted."""
        try:
            for info in self.store.list(bucket, root):
                self._object(Place(bucket, info.key))
        except BucketNotFound:
            self.report.unchecked.append((f"s3://{bucket}/{root}", "there is no such bucket"))
        except ObjectStoreError as error:
            self.report.unchecked.append((f"s3://{bucket}/{root}", str(error)))

    def strays(self, bucket: str, root: str, is_stray: Callable[[bytes], bool]) -> Iterable[tuple[Place, int | None]]:
        """The objects whose marks nobody knows, with their stamps; listed anew, so that gone ones are left out."""
        try:
            for info in self.store.list(bucket, root):
                place = Place(bucket, info.key)
                if place.mark in self.seen.objects and is_stray(place.mark):
                    key = _parsed(info.key)
                    yield place, key.seconds if isinstance(key, LogFileKey) else None
        except ObjectStoreError as error:
            self.report.unchecked.append((f"s3://{bucket}/{root}", str(error)))

    def file(self, place: Place, sha256: str) -> None:
        """A log file that must lie in its bucket with this hash."""
        self.report.checked["log files"] += 1
        try:
            if self.deep:
                found = hashlib.sha256(read_log_file(self.store.get(*place).body)).hexdigest()
            else:
                found = self.store.metadata(*place).get(HASH_METADATA, "")
        except ObjectNotFound:
            self.report.add(Kind.FILE_MISSING, str(place))
        except (MalformedLogFile, ObjectTooLarge) as error:
            self.report.add(Kind.FILE_DIFFERENT, str(place), str(error))
        except ObjectStoreError as error:
            self.report.unchecked.append((str(place), str(error)))
        else:
            if found != sha256:
                self.report.add(Kind.FILE_DIFFERENT, str(place), f"its hash is {found or 'not there'}, not {sha256}")

    def _object(self, place: Place) -> None:
        key = _parsed(place.object_key)
        if isinstance(key, DigestKey):
            if key.end_seconds >= self.since:
                self._digest(place)
        elif isinstance(key, LogFileKey):
            if key.kind is LogKind.EVENTS and key.seconds >= self.since:
                self.seen.objects.add(place.mark)
        elif any(folder in place.object_key for folder in _FOLDERS):
            self.seen.objects.add(place.mark)

    def _digest(self, place: Place) -> None:
        self.report.checked["digests"] += 1
        try:
            stored = self.store.get(*place)
            body = read_log_file(stored.body)
            digest = parse_digest(body)
        except ObjectNotFound:
            return
        except (MalformedLogFile, MalformedDigest, ObjectTooLarge) as error:
            self.report.add(Kind.DIGEST_DIFFERENT, str(place), f"it is no digest: {error}")
            return
        except ObjectStoreError as error:
            self.report.unchecked.append((str(place), str(error)))
            return
        signature = stored.metadata.get(SIGNATURE_METADATA, "")
        self.seen.digests[place.mark] = (hashlib.sha256(body).digest(), _short(signature))
        self._entries(digest)

    def _entries(self, digest: Digest) -> None:
        places = []
        for entry in digest.log_files:
            place = Place(entry.s3_bucket, entry.s3_object)
            self.seen.named[place.mark] += 1
            if self.seen.named[place.mark] == 2:  # noqa: PLR2004 - the second time, told once
                self.report.add(Kind.FILE_IN_TWO_DIGESTS, str(place))
            places.append((place, entry.hash_value))
        list(self.executor.map(lambda item: self.file(*item), places))
        if digest.previous is not None:
            self._link(digest)

    def _link(self, digest: Digest) -> None:
        """The digest before must be there, and be what this one says of it."""
        assert digest.previous is not None
        previous = digest.previous
        place = Place(previous.s3_bucket, previous.s3_object)
        key = _parsed(previous.s3_object)
        if isinstance(key, DigestKey) and key.end_seconds < self.since:
            return
        known = self.seen.digests.get(place.mark)
        if known is None:
            known = self._read(place)
        if known is not None and known != (bytes.fromhex(previous.hash_value), _short(previous.signature)):
            self.report.add(Kind.DIGEST_DIFFERENT, str(place), "it is not what the next digest says of it")

    def head(self, place: Place, sha256: str | None, signature: str | None) -> None:
        """A chain's newest digest that the ledger says is published."""
        known = self.seen.digests.get(place.mark) or self._read(place)
        if known is not None and known != (bytes.fromhex(sha256 or ""), _short(signature or "")):
            self.report.add(Kind.DIGEST_DIFFERENT, str(place), "it is not what the ledger says of it")

    def waiting(self, place: Place, sha256: str, signature: str) -> None:
        """A digest that waits to be put: what lies in its place already must be that one, or it never gets there."""
        known = self.seen.digests.get(place.mark)
        if known is not None and known != (bytes.fromhex(sha256), _short(signature)):
            self.report.add(Kind.DIGEST_UNKNOWN, str(place), "another digest waits to be put there: opentrail settle")

    def _read(self, place: Place) -> tuple[bytes, bytes] | None:
        try:
            stored = self.store.get(*place)
            return hashlib.sha256(read_log_file(stored.body)).digest(), _short(_signature(stored.metadata))
        except ObjectNotFound:
            self.report.add(Kind.DIGEST_MISSING, str(place))
        except (MalformedLogFile, ObjectTooLarge) as error:
            self.report.add(Kind.DIGEST_DIFFERENT, str(place), f"it is no digest: {error}")
        except ObjectStoreError as error:
            self.report.unchecked.append((str(place), str(error)))
        return None


def _signature(metadata: Mapping[str, str]) -> str:
    return metadata.get(SIGNATURE_METADATA, "")


def _short(signature: str) -> bytes:
    return hashlib.blake2b(signature.lower().encode(), digest_size=16).digest()


def _parsed(key: str) -> LogFileKey | DigestKey | None:
    try:
        return parse_key(key)
    except MalformedKey:
        return None

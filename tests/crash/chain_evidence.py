"""What lies in the buckets, judged by the validator's walk, which follows the AWS CLI's rules, and by counting."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from opentrail.evidence.digest import Digest, parse_digest
from opentrail.evidence.log_file import read_log_file
from opentrail.evidence.object_keys import DigestKey, LogFileKey, parse_key
from opentrail.trails.trail import Trail
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.port import PutOptions, PutRefused
from opentrail_backends.state.port import StateStore
from opentrail_validator import Finding, Subject, TrailPlace, validate
from opentrail_validator import Kind as FindingKind
from opentrail_validator.readers.port import ObjectMissing, StoredObject

REGION = "eu-central-1"
ACCOUNT = "111122223333"
HOUR = 3600
BEGINNING = 1_760_000_000 // HOUR * HOUR
"""Where the clock starts, seconds."""


class Clock:
    """Milliseconds of the state store, and seconds for whoever waits; moved by the test."""

    def __init__(self) -> None:
        self.milliseconds = BEGINNING * 1000

    def __call__(self) -> int:
        return self.milliseconds

    def seconds(self) -> float:
        return self.milliseconds / 1000

    def move(self, seconds: float) -> None:
        self.milliseconds += int(seconds * 1000)


class Buckets(InMemoryObjectStore):
    """Buckets that refuse their puts, or do not answer until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.refusing: set[str] = set()
        self.silent: dict[str, threading.Event] = {}

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        if bucket in self.silent:
            self.silent[bucket].wait()
        if bucket in self.refusing:
            raise PutRefused(f"scripted: {bucket} refuses", "AccessDenied")
        super().put(bucket, key, body, options)


class ChainEvidence:
    """Buckets in memory, the state store that has the public keys, and what delivery put into them."""

    state: StateStore
    store: InMemoryObjectStore
    clock: Clock
    delivered: list[tuple[str, str]]
    """Bucket and key of all files that a digest is to name."""

    def digests(self) -> list[tuple[str, DigestKey, Digest]]:
        """Bucket, key and content of all digests, by their ends."""
        found = []
        for bucket in self.buckets():
            for info in self.store.list(bucket):
                key = parse_key(info.key)
                if isinstance(key, DigestKey):
                    found.append((bucket, key, parse_digest(read_log_file(self.store.get(bucket, info.key).body))))
        return sorted(found, key=lambda item: item[2].end)

    def buckets(self) -> list[str]:
        return sorted({attempt.bucket for attempt in self.store.attempts if attempt.outcome == "stored"})

    def log_files(self) -> set[tuple[str, str]]:
        return {
            (bucket, info.key)
            for bucket in self.buckets()
            for info in self.store.list(bucket)
            if isinstance(parse_key(info.key), LogFileKey)
        }

    def assert_each_file_in_one_digest(self) -> None:
        assert self.delivered, "a check on nothing proves nothing"
        named = Counter(
            (entry.s3_bucket, entry.s3_object) for _, _, digest in self.digests() for entry in digest.log_files
        )
        assert named == Counter(dict.fromkeys(self.delivered, 1))

    def walk(self, trail: Trail, account: str = ACCOUNT, region: str = REGION) -> list[Finding]:
        """What a validator says that follows the trail's digests from the newest one back."""
        place = TrailPlace(
            bucket=trail.s3_bucket_name,
            prefix=trail.s3_key_prefix,
            organization_id=trail.organization_id,
            account_id=account,
            region=region,
            trail_name=trail.name,
            home_region=trail.home_region,
        )
        end = self.clock.milliseconds // 1000
        return list(validate(place, BEGINNING - HOUR, end, _Reader(self.store), _Keys(self.state, region)))

    def assert_walked(self, trail: Trail, account: str = ACCOUNT, region: str = REGION) -> list[Finding]:
        """Each file in one digest, and the walk from the trail's place sees them all and finds nothing wrong."""
        self.assert_each_file_in_one_digest()
        findings = self.walk(trail, account, region)
        assert {finding.kind for finding in findings} <= {FindingKind.VALID, FindingKind.GAP}, findings
        seen = {
            subject: Counter(
                (finding.bucket, finding.key)
                for finding in findings
                if finding.subject is subject and finding.kind is FindingKind.VALID
            )
            for subject in (Subject.DIGEST, Subject.LOG_FILE)
        }
        mine = [file for file in self.delivered if f"/{account}/CloudTrail/{region}/" in f"/{file[1]}"]
        assert seen[Subject.LOG_FILE] == Counter(dict.fromkeys(mine, 1))
        there = [
            (bucket, str(key)) for bucket, key, _ in self.digests() if (key.account_id, key.region) == (account, region)
        ]
        assert seen[Subject.DIGEST] == Counter(dict.fromkeys(there, 1)), "a digest that no walk comes to"
        return findings


class _Reader:
    """The buckets as the validator reads them."""

    def __init__(self, store: InMemoryObjectStore) -> None:
        self._store = store

    def get(self, bucket: str, key: str) -> StoredObject:
        if not any(info.key == key for info in self._store.list(bucket, key)):
            raise ObjectMissing(key)
        stored = self._store.get(bucket, key)
        return StoredObject(stored.body, stored.metadata)

    def keys(self, bucket: str, prefix: str, start_after: str) -> Iterator[str]:
        return (info.key for info in self._store.list(bucket, prefix, start_after))


class _Keys:
    """ListPublicKeys of a region."""

    def __init__(self, state: StateStore, region: str) -> None:
        self._state = state
        self._region = region

    def between(self, start: int, end: int) -> Mapping[str, bytes]:
        return {key.fingerprint: key.der for key in self._state.public_keys.between(self._region, start, end)}

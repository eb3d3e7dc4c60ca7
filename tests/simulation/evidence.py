"""What lies in the buckets, and whether it is evidence: the AWS CLI's rules, and stricter ones of our own."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from opentrail.evidence.digest import SIGNATURE_METADATA, Digest, parse_digest, string_to_sign
from opentrail.evidence.log_file import read_log_file
from opentrail.evidence.object_keys import DigestKey, LogFileKey, parse_key
from opentrail.evidence.signature import BadSignature
from opentrail.evidence.times import format_time
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.state.port import PublicKey
from tests.simulation.fake_keys import verify

Place = tuple[str, str]
"""(bucket, key)"""
_TWO_HOURS = 7200


@dataclass
class FoundDigest:
    key: DigestKey
    digest: Digest
    body: bytes
    signature: str


@dataclass
class Buckets:
    """All of our objects; what the schedule planted is left out."""

    log_files: dict[Place, bytes] = field(default_factory=dict)
    digests: dict[Place, FoundDigest] = field(default_factory=dict)
    unreadable: list[Place] = field(default_factory=list)

    @classmethod
    def read(cls, store: InMemoryObjectStore, buckets: Collection[str], planted: Collection[Place]) -> Buckets:
        found = cls()
        for bucket in buckets:
            for info in store.list(bucket):
                if (bucket, info.key) not in planted:
                    found._add(store, bucket, info.key)
        return found

    def _add(self, store: InMemoryObjectStore, bucket: str, key: str) -> None:
        place, stored, parts = (bucket, key), store.get(bucket, key), parse_key(key)
        body = read_log_file(stored.body)
        if isinstance(parts, LogFileKey):
            self.log_files[place] = body
        else:
            signature = stored.metadata.get(SIGNATURE_METADATA, "")
            self.digests[place] = FoundDigest(parts, parse_digest(body), body, signature)

    def records(self, place: Place) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = json.loads(self.log_files[place])["Records"]
        return records

    def named(self) -> Counter[Place]:
        """How often each log file is named by a digest."""
        return Counter(
            (entry.s3_bucket, entry.s3_object) for found in self.digests.values() for entry in found.digest.log_files
        )

    def defects(self, keys: Collection[PublicKey]) -> Iterator[str]:
        """What the AWS CLI would call invalid, and what a chain must not be."""
        followed: Counter[Place] = Counter()
        for place, found in self.digests.items():
            yield from self._defects_of_digest(place, found, keys)
            previous = found.digest.previous
            if previous is None:
                continue
            before = (previous.s3_bucket, previous.s3_object)
            followed[before] += 1
            yield from self._defects_of_link(place, found, before)
        for before, times in followed.items():
            if times > 1:
                yield f"the chain forks: {times} digests follow {before}"

    def _defects_of_digest(self, place: Place, found: FoundDigest, keys: Collection[PublicKey]) -> Iterator[str]:
        digest = found.digest
        if (digest.s3_bucket, digest.s3_object) != place:
            yield f"{place} has been moved from its original location"
        if digest.end != found.key.end_seconds:
            yield f"{place} ends at another time than its name says"
        known = [key for key in keys if key.fingerprint == digest.fingerprint]
        listed = [k for k in known if k.valid_from <= digest.end + _TWO_HOURS and k.valid_until >= digest.start]
        if not listed:
            yield f"{place}: public key not found"
        elif not any(key.valid_from <= digest.end <= key.valid_until for key in known):
            yield f"{place}: its end lies outside of its key's validity"
        else:
            sha256 = hashlib.sha256(found.body).hexdigest()
            message = string_to_sign(format_time(digest.end), *place, sha256, digest.previous_signature)
            try:
                verify(listed[0].der, found.signature, message)
            except BadSignature:
                yield f"{place}: signature verification failed"
        for entry in digest.log_files:
            body = self.log_files.get((entry.s3_bucket, entry.s3_object))
            if body is None:
                yield f"{place}: log file {entry.s3_object} not found"
            elif hashlib.sha256(body).hexdigest() != entry.hash_value:
                yield f"{place}: log file {entry.s3_object}: hash value doesn't match"

    def _defects_of_link(self, place: Place, found: FoundDigest, before: Place) -> Iterator[str]:
        there, previous = self.digests.get(before), found.digest.previous
        assert previous is not None
        if there is None:
            yield f"{place}: the digest before it, {before}, is not found"
            return
        if hashlib.sha256(there.body).hexdigest() != previous.hash_value or there.signature != previous.signature:
            yield f"{place}: the digest before it, {before}, is another one"
        if there.digest.end != found.digest.start or found.digest.end <= there.digest.end:
            yield f"{place}: begins at {found.digest.start}, the digest before it ends at {there.digest.end}"
        if (there.key.trail_name, there.key.account_id, there.key.region) != (
            found.key.trail_name,
            found.key.account_id,
            found.key.region,
        ):
            yield f"{place}: the digest before it belongs to another chain"

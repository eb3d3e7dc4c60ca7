"""What lies in the buckets, judged by the validator's walk, which follows the AWS CLI's rules, and by counting."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator

from opentrail.evidence.chain_head import ChainHead, head_key, parse_head
from opentrail.evidence.digest import Digest, parse_digest
from opentrail.evidence.log_file import read_log_file
from opentrail.evidence.object_keys import DigestKey, LogFileKey, parse_key
from opentrail.evidence.signature import verify
from opentrail.trails.trail import Trail
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.port import PutOptions, PutRefused
from opentrail_backends.state.port import StateStore
from opentrail_validator import (
    Checks,
    Finding,
    PinnedKeys,
    PublicKey,
    Question,
    Sources,
    Subject,
    TrailPlace,
    validate,
)
from opentrail_validator import Kind as FindingKind
from tests.evidence_maker.in_memory import InMemory
from tests.evidence_maker.maker import MadeObject

REGION = "eu-central-1"
ACCOUNT = "111122223333"
HOUR = 3600
HEADS_BUCKET, HEADS_PREFIX = "second-place", "kept/heads"
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
        super().__init__([HEADS_BUCKET])
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
        """Those of trails."""
        stored = {attempt.bucket for attempt in self.store.attempts if attempt.outcome == "stored"}
        return sorted(stored - {HEADS_BUCKET})

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
        question = Question(
            trail_arn=trail.arn,
            place=place,
            start=BEGINNING - HOUR,
            end=end,
            now=end,
            checks=Checks(coverage=False),  # a chain begins and ends here as a test wants it
        )
        keys = {
            key.fingerprint: PublicKey(key.der, key.valid_from, key.valid_until)
            for key in self.state.public_keys.between(region, 0, end)
        }
        sources = Sources(objects=InMemory(self.objects()), public_keys=PinnedKeys(keys), heads=_Heads(self.state))
        return list(validate(question, sources))

    def assert_heads(self) -> None:
        """Each signed head, in the ledger and in the second place, is of a digest that lies in its bucket."""
        kept = [parse_head(head.document) for head in self.state.chains.heads()]
        for head in [*kept, *self.heads_put()]:
            (key,) = [
                key
                for key in self.state.public_keys.between(head.region, head.end, head.end)
                if key.fingerprint == head.fingerprint
            ]
            verify(key.der, head.signature, head.message())
            stored = self.store.get(head.digest_bucket, head.digest_key)
            assert hashlib.sha256(read_log_file(stored.body)).hexdigest() == head.digest_hash
            assert stored.metadata["signature"] == head.digest_signature
        numbers: dict[str, set[int]] = {}
        for head in kept:
            numbers.setdefault(head.chain_id, set()).add(head.sequence)
        assert all(len(of_chain) == 1 for of_chain in numbers.values())
        for head in self.heads_put():
            assert head.sequence <= max(numbers[head.chain_id]), "the second place is ahead of the ledger"

    def assert_newest_have_heads(self) -> None:
        """Of each trail, account and region the newest digest has its head, in the ledger and in the second place."""
        self.assert_heads()
        newest = {(key.trail_name, key.account_id, key.region): (bucket, str(key)) for bucket, key, _ in self.digests()}
        places = set(newest.values())
        assert places, "a check on nothing proves nothing"
        for heads in (
            [parse_head(head.document) for head in self.state.chains.heads()],
            self.heads_put(),
        ):
            assert places <= {(head.digest_bucket, head.digest_key) for head in heads}

    def heads_put(self) -> list[ChainHead]:
        """What lies in the second place, each where its digest's key says."""
        found = []
        for info in self.store.list(HEADS_BUCKET):
            head = parse_head(self.store.get(HEADS_BUCKET, info.key).body)
            digest = parse_key(head.digest_key)
            assert isinstance(digest, DigestKey)
            name = f"{HEADS_PREFIX}/{head_key(digest)}"
            assert info.key in {name, f"{name.removesuffix('.json')}_{head.chain_id[:8]}.json"}
            found.append(head)
        return found

    def objects(self) -> dict[tuple[str, str], MadeObject]:
        """Everything in all buckets."""
        return {
            (bucket, info.key): MadeObject(stored.body, dict(stored.metadata))
            for bucket in self.buckets()
            for info in self.store.list(bucket)
            for stored in [self.store.get(bucket, info.key)]
        }

    def assert_walked(self, trail: Trail, account: str = ACCOUNT, region: str = REGION) -> list[Finding]:
        """Each file in one digest, and the walk from the trail's place sees them all and finds nothing wrong."""
        self.assert_each_file_in_one_digest()
        self.assert_heads()
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


class _Heads:
    """The heads that the state store keeps."""

    def __init__(self, state: StateStore) -> None:
        self._state = state

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterator[bytes]:
        for head in self._state.chains.heads():
            digest = parse_key(head.object_key)
            assert isinstance(digest, DigestKey)
            if (head.bucket, head.object_key[: len(folder)]) == (bucket, folder) and start <= digest.end_seconds <= end:
                yield head.document

    def origin(self) -> str:
        return "the state store"

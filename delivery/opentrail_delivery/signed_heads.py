"""Signed heads of chains: statements that a chain's newest digest was put, kept in a second place too (adr/0016).

step  what                                                              after a crash here
10    mark the digest published, with its signed head                   redo 9
11    put the head into the second place, create-only                   redo 11: the same bytes

Neither holds up digests. Where a key does not sign, the digest is published all the same and its head is signed later;
only a chain's newest head is signed and put then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from opentrail.evidence.chain_head import ChainHead, MalformedHead, head_key, parse_head
from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail.evidence.signature import BadSignature, MalformedKeyError, verify
from opentrail_backends.key_management.port import KeyManagementError
from opentrail_backends.object_store.port import ObjectAlreadyExists, ObjectStoreError, ObjectTooLarge, PutOptions
from opentrail_backends.state.port import BuiltDigest, Chains, KeptHead, PublicKeys
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.metrics import DeliveryMetrics

_log = structlog.get_logger("opentrail.delivery")

_BATCH = 200


class HeadSigner:
    """Signs the heads of digests that lie in their buckets. Safe for use by several threads.

    A key that does not sign is left alone for `rest` seconds: publishing does not wait for it, and its region's other
    keys go on. One that was destroyed never signs the heads that chains which ended before it do not have yet.
    """

    def __init__(
        self,
        chains: Chains,
        key_ring: KeyRing,
        metrics: DeliveryMetrics,
        rest: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chains = chains
        self._key_ring = key_ring
        self._metrics = metrics
        self._rest = rest
        self._monotonic = monotonic
        self._resting: dict[tuple[str, str], float] = {}
        """Until when, by region and fingerprint."""
        self._lock = threading.Lock()

    def sign(self, digest: BuiltDigest) -> bytes | None:
        """The signed head of a digest that was put; None: its key does not sign now. Raises StateError."""
        place = _place_of(digest.object_key)
        this = (place.region, digest.fingerprint)
        with self._lock:
            if self._monotonic() < self._resting.get(this, 0):
                return None
        try:
            key = self._key_ring.key_of(place.region, digest.end, digest.fingerprint)
            head = _head_of(digest, place, self._chains.now() // 1000)
            return head.signed(self._key_ring.sign(key, head.message())).to_bytes()
        except KeyManagementError as error:
            _log.warning("a chain's head waits for its signing key", chain=digest.chain_id, error=str(error))
            self._metrics.head_failures.labels(type(error).__name__).inc()
            with self._lock:
                self._resting[this] = self._monotonic() + self._rest
            return None


@dataclass(frozen=True, slots=True)
class HeadTools:
    """The ports and values that rounds over signed heads need."""

    chains: Chains
    public_keys: PublicKeys
    signer: HeadSigner
    store: CheckedStore
    executor: Executor
    metrics: DeliveryMetrics


class _Put(Enum):
    """What became of step 11 for one head."""

    DONE = auto()
    TAKEN = auto()
    """Something else lies under each of its names."""
    FAILED = auto()


class SignedHeads:
    """Signs the heads that step 10 left out, and does step 11."""

    def __init__(
        self, tools: HeadTools, place: str | None, rest: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`place`: `BUCKET` or `BUCKET/PREFIX`; None: heads stay in the ledger. `rest`: seconds after a failure."""
        self._tools = tools
        self._rest = rest
        self._monotonic = monotonic
        self._bucket, _, prefix = (place or "").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._sign_at = self._put_at = 0.0
        self._after = ""
        """The chain behind which the next round of puts begins: one that fails holds up none for ever."""

    def run_once(self) -> int:
        """One round; returns how many heads were put. Raises StateError."""
        now = self._monotonic()
        if now >= self._sign_at and not self._sign_missing():
            self._sign_at = now + self._rest
        if not self._bucket or now < self._put_at:
            return 0
        put = 0
        while heads := self._tools.chains.heads_to_put(_BATCH, self._after):
            outcomes = self._put(heads)
            put += outcomes.count(_Put.DONE)
            if put_failed := _Put.FAILED in outcomes:
                self._after = heads[outcomes.index(_Put.FAILED)].chain_id
            if put_failed or _Put.TAKEN in outcomes:
                self._put_at = self._monotonic() + self._rest
            if put_failed:
                return put
            if len(heads) < _BATCH:
                break
        self._after = ""
        return put

    def _sign_missing(self) -> bool:
        """Whether every chain has its head now."""
        is_complete, after = True, ""
        while digests := self._tools.chains.unsigned(_BATCH, after):
            after = digests[-1].chain_id
            for digest in digests:
                head = self._tools.signer.sign(digest)
                is_complete &= head is not None
                if head is not None:
                    self._tools.chains.keep_head(digest.chain_id, digest.sequence, head)
        return is_complete

    def _put(self, heads: Sequence[KeptHead]) -> list[_Put]:
        """Puts some at the same time; once the bucket has failed no further put begins."""
        failures: list[ObjectStoreError] = []
        futures = [self._tools.executor.submit(self._put_one, head, failures) for head in heads]
        wait(futures)
        outcomes = [future.result() for future in futures]
        if failures:
            _log.warning("signed heads wait for their second place", bucket=self._bucket, error=str(failures[0]))
        done = [head for head, outcome in zip(heads, outcomes, strict=True) if outcome is _Put.DONE]
        # A crash before it: step 11 again, which finds the same bytes.
        self._tools.chains.mark_heads_put([(head.chain_id, head.sequence) for head in done])
        self._tools.metrics.heads.inc(len(done))
        self._after = heads[-1].chain_id
        return outcomes

    def _put_one(self, head: KeptHead, failures: list[ObjectStoreError]) -> _Put:
        """Step 11 for one head, under its second name if something else has the first one."""
        outcome = _Put.FAILED if failures else _Put.TAKEN
        for name in _names_of(head):
            if outcome is _Put.TAKEN:
                outcome = self._put_as(self._prefix + name, head, failures)
        return outcome

    def _put_as(self, key: str, head: KeptHead, failures: list[ObjectStoreError]) -> _Put:
        try:
            try:
                self._tools.store.put(self._bucket, key, head.document, PutOptions(content_encoding=None))
            except ObjectAlreadyExists as taken:
                return self._compare(head, key, self._there(key), taken)
        except ObjectStoreError as error:
            self._tools.metrics.head_failures.labels(type(error).__name__).inc()
            failures.append(error)
            return _Put.FAILED
        return _Put.DONE

    def _there(self, key: str) -> bytes:
        """What lies at a key; empty if it is larger than any head. Raises ObjectStoreError."""
        try:
            return self._tools.store.get(self._bucket, key).body
        except ObjectTooLarge:
            return b""

    def _compare(self, head: KeptHead, key: str, body: bytes, taken: ObjectAlreadyExists) -> _Put:
        """What lies there may be this head, or one of the same digest that was signed before the ledger was restored.

        Or the head of another digest of this name, which ends in the same second in another bucket.
        """
        if body == head.document:
            return _Put.DONE
        there = self._head_of_ours(body, head.region)
        if there is None:
            _log.error("something else lies at a signed head's place: look into it", place=f"s3://{self._bucket}/{key}")
            self._tools.metrics.head_failures.labels(type(taken).__name__).inc()
        elif _digest_of(there) == _digest_of(parse_head(head.document)):
            return _Put.DONE
        return _Put.TAKEN

    def _head_of_ours(self, body: bytes, region: str) -> ChainHead | None:
        """A head of this region that a key of ours has signed. Whoever plants something else here holds up no round."""
        try:
            head = parse_head(body)
        except MalformedHead:
            return None
        if head.region != region:  # which may be a name that no database takes
            return None
        for key in self._tools.public_keys.between(region, head.end, head.end):
            if key.fingerprint == head.fingerprint:
                try:
                    verify(key.der, head.signature, head.message())
                except (BadSignature, MalformedKeyError):
                    continue
                return head
        return None


def _names_of(head: KeptHead) -> tuple[str, str]:
    """Its digest's, and one with a part of the chain's id: two buckets may have digests of one name."""
    name = head_key(_place_of(head.object_key))
    return name, f"{name.removesuffix('.json')}_{head.chain_id[:8]}.json"


def _digest_of(head: ChainHead) -> tuple[str, str, str, str]:
    return (head.digest_bucket, head.digest_key, head.digest_hash, head.digest_signature)


def _place_of(object_key: str) -> DigestKey:
    place = parse_key(object_key)
    assert isinstance(place, DigestKey)
    return place


def _head_of(digest: BuiltDigest, place: DigestKey, now: int) -> ChainHead:
    return ChainHead(
        trail_arn=digest.trail_arn,
        account_id=place.account_id,
        region=place.region,
        chain_id=digest.chain_id,
        sequence=digest.sequence,
        digest_bucket=digest.bucket,
        digest_key=digest.object_key,
        digest_hash=digest.sha256,
        digest_signature=digest.signature,
        start=digest.start,
        end=digest.end,
        ended=digest.ended,
        signed_at=now,
        fingerprint=digest.fingerprint,
    )

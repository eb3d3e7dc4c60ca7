"""Steps 9 and 10: putting digests, in the order of their chains.

step  what                  after a crash here
9     put the digest        redo 9: the same bytes
10    mark it published     redo 9: the put is answered by 412 and the bytes are equal
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import structlog

from opentrail.evidence.digest import (
    SIGNATURE_ALGORITHM,
    SIGNATURE_ALGORITHM_METADATA,
    SIGNATURE_METADATA,
    MalformedDigest,
    parse_digest,
    string_to_sign,
)
from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail.evidence.signature import BadSignature, MalformedKeyError, verify
from opentrail.evidence.times import format_time
from opentrail_backends.object_store.port import (
    ObjectAlreadyExists,
    ObjectStoreError,
    PutOptions,
    StoredObject,
)
from opentrail_backends.state.port import BuiltDigest, Chains, PublicKeys
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.digest_restamp import restamped
from opentrail_delivery.errors import ChainHalted
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.status import DeliveryStatus

_log = structlog.get_logger("opentrail.delivery")

_BATCH = 500


@dataclass(frozen=True, slots=True)
class PublisherTools:
    """The ports and values that publishing digests needs."""

    chains: Chains
    public_keys: PublicKeys
    key_ring: KeyRing
    store: CheckedStore
    health: BucketHealth
    putter: Executor
    metrics: DeliveryMetrics
    status: DeliveryStatus


class PlaceTaken(Exception):
    """Something that we did not write lies at the digest's key."""


class DigestPublisher:
    """Puts the digests that are built and not known to be put."""

    def __init__(self, tools: PublisherTools) -> None:
        self._tools = tools
        self._halted: set[str] = set()

    def run_once(self) -> int:
        """One try for each waiting digest; returns how many were published. Raises StateError.

        A digest that cannot be put holds up only the later ones of its own chain.
        """
        by_chain: dict[str, list[BuiltDigest]] = {}
        for digest in self._tools.chains.unpublished(_BATCH):
            by_chain.setdefault(digest.chain_id, []).append(digest)
        published = sum(self._tools.putter.map(self._publish_chain, by_chain.values()))
        self._tools.metrics.halted_chains.set(len(self._halted))
        return published

    def _publish_chain(self, digests: Sequence[BuiltDigest]) -> int:
        published = 0
        for index, digest in enumerate(digests):
            if not self._tools.health.may_try(digest.bucket, digest.trail_arn):
                break
            try:
                self._put(digest)
            except ObjectStoreError as error:
                self._tools.health.failed(digest.bucket, digest.trail_arn, error)
                self._tools.metrics.put_failures.labels(type(error).__name__).inc()
                break
            except PlaceTaken:
                self._restamp(digests[index:])
                break
            except ChainHalted as halt:
                _log.error("digest chain halted", chain=digest.chain_id, reason=halt.reason)
                self._tools.status.halted(f"chain {digest.chain_id}", halt.reason)
                self._halted.add(digest.chain_id)
                break
            self._tools.health.succeeded(digest.bucket, digest.trail_arn)
            self._tools.status.released(f"chain {digest.chain_id}")
            self._halted.discard(digest.chain_id)
            # A crash here: step 9 again, which finds the same bytes.
            self._tools.chains.mark_published(digest.chain_id, digest.sequence, digest.signature)
            self._tools.metrics.digests.inc()
            published += 1
        return published

    def _put(self, digest: BuiltDigest) -> None:
        """Step 9. Raises ObjectStoreError, ChainHalted, PlaceTaken."""
        options = PutOptions(
            metadata={SIGNATURE_METADATA: digest.signature, SIGNATURE_ALGORITHM_METADATA: SIGNATURE_ALGORITHM},
            kms_key_id=digest.kms_key_id,
            encryption_context={"aws:cloudtrail:arn": digest.trail_arn} if digest.kms_key_id else {},
        )
        body = gzip.compress(digest.body, mtime=0)
        try:
            self._tools.store.put(digest.bucket, digest.object_key, body, options)
        except ObjectAlreadyExists:
            self._compare(digest, self._tools.store.get(digest.bucket, digest.object_key))

    def _compare(self, digest: BuiltDigest, there: StoredObject) -> None:
        """The key is taken (412): by this very digest, by another one that we signed, or by something foreign."""
        signature = there.metadata.get(SIGNATURE_METADATA, "")
        try:
            body = read_log_file(there.body)
        except MalformedLogFile:
            body = b""
        if body == digest.body and signature == digest.signature:
            return
        if self._is_ours(digest, body, signature):
            raise ChainHalted(
                digest.chain_id,
                f"another digest that we signed lies at s3://{digest.bucket}/{digest.object_key}: the ledger went back "
                "in time (restored from a backup?)",
            )
        raise PlaceTaken

    def _restamp(self, waiting: Sequence[BuiltDigest]) -> None:
        """Something foreign lies in our place: it is reported and left alone, ours gets a stamp one second later."""
        first = waiting[0]
        place = f"s3://{first.bucket}/{first.object_key}"
        _log.error("something that we did not write lies at a digest's place: keep it and look into it", place=place)
        self._tools.metrics.foreign_objects.inc()
        # A crash before this: the same again. After it: step 9 with the new bytes.
        self._tools.chains.replace_waiting(waiting, restamped(waiting, self._tools.key_ring))

    def _is_ours(self, digest: BuiltDigest, body: bytes, signature: str) -> bool:
        key = parse_key(digest.object_key)
        assert isinstance(key, DigestKey)
        try:
            found = parse_digest(body)
        except MalformedDigest:
            return False
        keys = self._tools.public_keys.between(key.region, found.end, found.end)
        for public_key in keys:
            if public_key.fingerprint == found.fingerprint:
                message = string_to_sign(
                    format_time(found.end),
                    digest.bucket,
                    digest.object_key,
                    hashlib.sha256(body).hexdigest(),
                    found.previous_signature,
                )
                try:
                    verify(public_key.der, signature, message)
                except (BadSignature, MalformedKeyError):
                    continue
                return True
        return False

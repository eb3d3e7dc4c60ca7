"""Steps 9 and 10 for some chains of one bucket, one digest after the other, in one thread.

step  what                                      after a crash here
9     put the digest                            redo 9: the same bytes
10    mark it published, with its signed head   redo 9: the put is answered by 412 and the bytes are equal
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from opentrail.evidence.digest import SIGNATURE_ALGORITHM, SIGNATURE_ALGORITHM_METADATA, SIGNATURE_METADATA
from opentrail_backends.key_management.port import KeyManagementError
from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectStoreError,
    ObjectTooLarge,
    PutOptions,
    PutRefused,
)
from opentrail_backends.state.port import MOST_WAITING, BuiltDigest, Chains, DigestFailure, PublicKeys, StateError
from opentrail_delivery.bucket_health import BucketHealth, error_code
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.digest_restamp import restamped
from opentrail_delivery.digest_taken import Found, what_lies_there
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.signed_heads import HeadSigner

_log = structlog.get_logger("opentrail.delivery")

_TAKEN = "PreconditionFailed"
"""S3's code of an answer 412."""


@dataclass(frozen=True, slots=True)
class LaneTools:
    """The ports and values that putting digests needs."""

    chains: Chains
    public_keys: PublicKeys
    key_ring: KeyRing
    store: CheckedStore
    health: BucketHealth
    metrics: DeliveryMetrics
    signer: HeadSigner


@dataclass(slots=True)
class LaneResult:
    """What became of a lane's digests."""

    published: int = 0
    failures: list[DigestFailure] = field(default_factory=list)
    """Of all that were not put, also of those that were not tried."""
    refused: list[BuiltDigest] = field(default_factory=list)
    """Those whose bucket answered that it does not take them."""
    halted: dict[str, str] = field(default_factory=dict)
    """Chains whose place holds another digest of ours, with the reason."""
    going: set[str] = field(default_factory=set)
    """Chains that a digest of was put."""
    error: StateError | None = None
    """The lane's end before its time."""


class _NotPut(Exception):
    """A chain stands still for now."""

    def __init__(self, code: str, *, is_answered: bool, error: ObjectStoreError | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.is_answered = is_answered
        self.error = error


def put_chains(tools: LaneTools, chains: Sequence[Sequence[BuiltDigest]]) -> LaneResult:
    """Puts the digests of some chains, whose puts have begun in the ledger.

    A trail that is refused, and a bucket that fails, are not asked again in the same lane.
    """
    result = LaneResult()
    held_up: dict[tuple[str, ...], str] = {}
    for digests in chains:
        bucket, trail_arn = digests[0].bucket, digests[0].trail_arn
        code = held_up.get((bucket,)) or held_up.get((bucket, trail_arn))
        if code is None and result.error is None:
            error = _Turn(tools, digests, result).run()
            if error is not None:
                held_up[(bucket, trail_arn) if isinstance(error, PutRefused) else (bucket,)] = error_code(error)
        else:
            result.failures += [_untried(digest, code or "") for digest in digests]
    return result


def _untried(digest: BuiltDigest, code: str) -> DigestFailure:
    return DigestFailure(digest.chain_id, digest.sequence, code, is_answered=True)


class _Turn:
    """One chain's turn: its digests in their order, up to the first one that is not put."""

    def __init__(self, tools: LaneTools, digests: Sequence[BuiltDigest], result: LaneResult) -> None:
        self._tools = tools
        self._digests = digests
        self._result = result

    def run(self) -> ObjectStoreError | None:
        """Returns why the bucket did not take one of them, if so."""
        for index, digest in enumerate(self._digests):
            try:
                self._put(digest)
                head = self._tools.signer.sign(digest)
                # A crash here: step 9 again, which finds the same bytes.
                self._tools.chains.mark_published(digest.chain_id, digest.sequence, digest.signature, head)
            except _NotPut as failure:
                tried = DigestFailure(digest.chain_id, digest.sequence, failure.code, failure.is_answered)
                behind = [_untried(later, failure.code) for later in self._digests[index + 1 :]]
                self._result.failures += [tried, *behind]
                return failure.error
            except StateError as error:
                self._result.error = error  # this one may be there: its put stays counted
                self._result.failures += [_untried(later, "") for later in self._digests[index + 1 :]]
                return None
            self._tools.metrics.digests.inc()
            self._result.published += 1
            self._result.going.add(digest.chain_id)
        return None

    def _put(self, digest: BuiltDigest) -> None:
        """Step 9. Raises _NotPut, StateError."""
        options = PutOptions(
            metadata={SIGNATURE_METADATA: digest.signature, SIGNATURE_ALGORITHM_METADATA: SIGNATURE_ALGORITHM},
            kms_key_id=digest.kms_key_id,
            encryption_context={"aws:cloudtrail:arn": digest.trail_arn} if digest.kms_key_id else {},
        )
        body = gzip.compress(digest.body, mtime=0)
        try:
            self._tools.store.put(digest.bucket, digest.object_key, body, options)
        except ObjectAlreadyExists:
            self._compare(digest)
        except ObjectStoreError as error:
            if isinstance(error, PutRefused | BucketNotFound):
                self._result.refused.append(digest)
            raise self._failed(digest, error, is_answered=error.answered) from error
        self._tools.health.succeeded(digest.bucket, digest.trail_arn)

    def _compare(self, digest: BuiltDigest) -> None:
        try:
            there = self._tools.store.get(digest.bucket, digest.object_key)
        except ObjectTooLarge:
            found = Found.FOREIGN
        except ObjectStoreError as error:
            # What lies there may be this very digest.
            raise self._failed(digest, error, is_answered=False) from error
        else:
            found = what_lies_there(digest, there, self._tools.public_keys)
        match found:
            case Found.THIS:
                return
            case Found.OTHER_OF_OURS:
                self._result.halted[digest.chain_id] = (
                    f"another digest that we signed lies at s3://{digest.bucket}/{digest.object_key}: the ledger went "
                    "back in time (restored from a backup?)"
                )
            case Found.FOREIGN:
                self._restamp(digest)
        raise _NotPut(_TAKEN, is_answered=True)

    def _failed(self, digest: BuiltDigest, error: ObjectStoreError, *, is_answered: bool) -> _NotPut:
        self._tools.health.failed(digest.bucket, digest.trail_arn, error)
        self._tools.metrics.put_failures.labels(type(error).__name__).inc()
        return _NotPut(error_code(error), is_answered=is_answered, error=error)

    def _restamp(self, digest: BuiltDigest) -> None:
        """Something foreign lies in our place: it is reported and left alone, ours gets a later stamp."""
        place = f"s3://{digest.bucket}/{digest.object_key}"
        _log.error("something that we did not write lies at a digest's place: keep it and look into it", place=place)
        self._tools.metrics.foreign_objects.inc()
        waiting = self._waiting_from(digest)
        if not waiting or waiting[0].signature != digest.signature:
            return  # another process was faster: what it has put under the later stamp must not get another one
        try:
            # A crash before this: the same again. After it: step 9 with the new bytes.
            if not self._tools.chains.replace_waiting(waiting, restamped(waiting, self._tools.key_ring)):
                # Another chain has used later stamps of this place, none of them after now.
                now = self._tools.chains.now() // 1000
                self._tools.chains.replace_waiting(waiting, restamped(waiting, self._tools.key_ring, now))
        except KeyManagementError as error:
            _log.warning("a digest waits for its signing key", chain=digest.chain_id, error=str(error))

    def _waiting_from(self, digest: BuiltDigest) -> Sequence[BuiltDigest]:
        """All of the chain that wait from this one on: what was read may be a part of them only."""
        sequences = range(digest.sequence, digest.sequence + 2 * MOST_WAITING)
        waiting = self._tools.chains.begin_puts([(digest.chain_id, sequence) for sequence in sequences])
        self._tools.chains.fail_puts([_untried(each, _TAKEN) for each in waiting])
        return waiting

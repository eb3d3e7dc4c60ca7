"""Steps 9 and 10 for all chains: which digests are put when, so that no bucket holds up another one's.

Each bucket has lanes, each of which is one thread's work (`digest_lane.py`). A lane that takes long is left to go on:
the next rounds see to the other buckets. Before the puts of a round the ledger counts them, and takes back those that
were answered by a refusal: what no put can make appear any more may be withdrawn, if its chain has moved elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass

import structlog

from opentrail.evidence.object_keys import parse_key
from opentrail_backends.state.port import BuiltDigest, Chains, DigestFailure, PublicKeys, StateError
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.digest_lane import LaneResult, LaneTools, put_chains
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.signed_heads import HeadSigner
from opentrail_delivery.status import DeliveryStatus

_log = structlog.get_logger("opentrail.delivery")

_BATCH = 500
_LANES = 4
"""Threads for one bucket that works."""
_UNPROVEN_CHAINS = 32
"""Chains in the one lane of a bucket that may not work: so many puts may be counted if the process dies in it."""
_LONG_SECONDS = 5.0
"""A lane with so few chains that takes longer waits for a bucket that does not answer."""
_ROUND_SECONDS = 0.5
"""A round waits so long for its lanes."""

_Chains = list[list[BuiltDigest]]
"""Some chains' waiting digests, each chain's in order."""


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
    signer: HeadSigner
    threads: int = 16
    """Of the putter."""


@dataclass(frozen=True, slots=True)
class _Lane:
    """A lane that is planned or under way."""

    bucket: str
    chains: _Chains
    is_proven: bool
    is_failing: bool
    started_at: float


class DigestPublisher:
    """Puts the digests that are built and not known to be put."""

    def __init__(self, tools: PublisherTools, clock: Callable[[], float] = time.monotonic) -> None:
        self._tools = tools
        self._lane_tools = LaneTools(
            tools.chains, tools.public_keys, tools.key_ring, tools.store, tools.health, tools.metrics, tools.signer
        )
        self._clock = clock
        self._lanes: dict[Future[LaneResult], _Lane] = {}
        self._halted: set[str] = set()
        self._refused: dict[str, BuiltDigest] = {}
        """By chain."""

    def run_once(self) -> int:
        """One try for each waiting digest; returns how many were published. Raises StateError.

        A digest that cannot be put holds up only the later ones of its own chain. A bucket that takes long is not
        waited for: what becomes of it is seen in later rounds.
        """
        published = self._collect()
        passed_over: set[str] = set()
        while len(waiting := self._waiting(passed_over)) > 0:
            passed_over |= self._start(waiting)
            if len(waiting) < _BATCH:
                break
        wait(self._lanes, timeout=_ROUND_SECONDS)
        published += self._collect()
        self._withdraw_moved()
        return published

    def finish(self, timeout: float) -> None:
        """At the end: waits for what is under way and notes what became of it. Raises StateError."""
        wait(self._lanes, timeout=timeout)
        self._collect()

    # --- a round ----------------------------------------------------------------------------------

    def _waiting(self, passed_over: AbstractSet[str]) -> Sequence[BuiltDigest]:
        """What may be put now: nothing of buckets that are busy, nor of what is given up and not due for a try."""
        buckets, trails = self._tools.health.resting()
        busy = {lane.bucket for lane in self._lanes.values()}
        return self._tools.chains.unpublished(_BATCH, buckets | busy | passed_over, trails)

    def _start(self, waiting: Sequence[BuiltDigest]) -> set[str]:
        """Starts lanes; returns the buckets that got none in this round."""
        by_bucket = _by_bucket(waiting)
        planned: list[_Lane] = []
        for bucket in sorted(by_bucket, key=self._tools.health.is_failing):  # the others first
            planned += self._lanes_of(bucket, by_bucket[bucket], [*self._lanes.values(), *planned])
        wanted = [(d.chain_id, d.sequence) for lane in planned for chain in lane.chains for d in chain]
        # A crash after it: nothing was put, and these digests are never withdrawn.
        begun = {(d.chain_id, d.sequence): d for d in self._tools.chains.begin_puts(wanted)} if wanted else {}
        for lane in planned:
            # As they are now; what was published or withdrawn since it was read is not put.
            chains = [[begun[key] for d in c if (key := (d.chain_id, d.sequence)) in begun] for c in lane.chains]
            future = self._tools.putter.submit(put_chains, self._lane_tools, [chain for chain in chains if chain])
            self._lanes[future] = lane
        return by_bucket.keys() - {lane.bucket for lane in planned}

    def _lanes_of(self, bucket: str, chains: _Chains, lanes: Sequence[_Lane]) -> list[_Lane]:
        """What of a bucket's chains is put now, and by how many threads."""
        if self._tools.health.is_proven(bucket):
            tried = self._worth_a_try(chains)
            shares = [tried[number::_LANES] for number in range(_LANES)]
            return [_Lane(bucket, share, True, False, self._clock()) for share in shares if share]
        is_failing = self._tools.health.is_failing(bucket)
        if not self._has_room(lanes, is_failing=is_failing):
            return []
        tried = [chain[:1] for chain in self._worth_a_try(chains[:_UNPROVEN_CHAINS])]
        return [_Lane(bucket, tried, False, is_failing, self._clock())] if tried else []

    def _has_room(self, lanes: Sequence[_Lane], *, is_failing: bool) -> bool:
        """A quarter of the threads for buckets that fail, half for others that may not work; a quarter stays free.

        A lane that takes long counts no more: the others get on, though its thread waits.
        """
        threads = self._tools.threads
        unproven = [lane for lane in lanes if not lane.is_proven]
        if is_failing:
            return sum(lane.is_failing for lane in unproven) < max(threads // 4, 1)
        young = sum(self._clock() - lane.started_at < _LONG_SECONDS for lane in unproven)
        return young < max(threads // 2, 1) and len(unproven) < max(threads * 3 // 4, 1)

    def _worth_a_try(self, chains: _Chains) -> _Chains:
        return [chain for chain in chains if self._tools.health.may_try(chain[0].bucket, chain[0].trail_arn)]

    # --- what became of it ------------------------------------------------------------------------

    def _collect(self) -> int:
        published = 0
        failures: list[DigestFailure] = []
        error: StateError | None = None
        for future in [future for future in self._lanes if future.done()]:
            del self._lanes[future]
            result = future.result()
            published += result.published
            failures += result.failures
            error = error or result.error
            self._refused.update((digest.chain_id, digest) for digest in result.refused)
            self._note_halts(result)
        if failures:
            # Not again if it fails: what was taken back twice could hide a put that is under way.
            self._tools.chains.fail_puts(failures)
        if error is not None:
            raise error
        return published

    def _note_halts(self, result: LaneResult) -> None:
        for chain_id in self._halted & result.going:
            self._tools.status.released(f"chain {chain_id}")
        self._halted -= result.going
        for chain_id, reason in result.halted.items():
            if chain_id not in self._halted:
                _log.error("digest chain halted", chain=chain_id, reason=reason)
            self._tools.status.halted(f"chain {chain_id}", reason)
        self._halted |= result.halted.keys()
        self._tools.metrics.halted_chains.set(len(self._halted))

    def _withdraw_moved(self) -> None:
        """Refused digests whose chain has left the place: the next one, in the new place, names their files.

        A move cuts a digest for the old place first, so there it is put if the bucket takes it at all.
        """
        while self._refused:
            _, digest = self._refused.popitem()
            key = parse_key(digest.object_key)
            count = self._tools.chains.withdraw(digest.chain_id, (digest.bucket, key.prefix, key.organization_id))
            if count:
                _log.warning(
                    "digests withdrawn: their bucket refused them, and the trail has left it",
                    chain=digest.chain_id,
                    bucket=digest.bucket,
                    digests=count,
                )


def _by_bucket(waiting: Sequence[BuiltDigest]) -> dict[str, _Chains]:
    """The chains that wait, by the bucket of their first waiting digest."""
    chains: dict[str, list[BuiltDigest]] = {}
    for digest in waiting:
        chains.setdefault(digest.chain_id, []).append(digest)
    by_bucket: dict[str, _Chains] = {}
    for digests in chains.values():
        by_bucket.setdefault(digests[0].bucket, []).append(digests)
    return by_bucket

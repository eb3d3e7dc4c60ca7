"""Digest chains: steps 7 to 11."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

MOST_WAITING = 744
"""Digests of one chain that may wait to be put: a month of hours."""

Target = tuple[str, str | None, str | None]
"""(bucket, key prefix, organization): what of a chain's place a trail may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A digest chain: one (incarnation, logging session, account, region) of a trail.

    `place` names where its digests lie (bucket, prefix, organization, account, region, trail name, home
    region); under one place `digestEndTime` rises over all chains. Seconds since the epoch.
    """

    id: str
    incarnation: str
    logging_session: int
    account_id: str
    region: str
    trail_name: str
    home_region: str
    bucket: str
    key_prefix: str | None
    organization_id: str | None
    place: str
    last_end: int
    """End of the newest digest; before the first: the start of logging."""
    next_end: int
    """When the next digest is due. As read from the store it lies above every stamp used under the place."""
    sequence: int = 0
    """Of the newest digest; a withdrawal raises it too, so that each state of the head has its own."""
    head_bucket: str | None = None
    head_key: str | None = None
    head_sha256: str | None = None
    head_signature: str | None = None
    ending: bool = False
    """Logging or validation was switched off: one final digest, then the chain has ended."""
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredFile:
    """A delivered log file that no digest names yet."""

    id: int
    bucket: str
    object_key: str
    sha256: str
    oldest_event_time: int
    newest_event_time: int
    delivered_at: int
    events: int
    records_root: str | None
    """Of the Merkle tree over its records, in hex; None: an older release intended it, or no proofs were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltDigest:
    """A digest that was signed and is to be put: the same bytes at each try."""

    chain_id: str
    sequence: int
    """1 for the chain's first digest: `chain.sequence + 1` when it is appended."""
    bucket: str
    object_key: str
    start: int
    end: int
    body: bytes
    """Uncompressed JSON."""
    sha256: str
    signature: str
    fingerprint: str
    trail_arn: str
    kms_key_id: str | None = None
    ended: bool = False
    """Whether it is the chain's last one; `append` sets it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHead:
    """The signed head of a chain: a statement that its newest published digest was put."""

    chain_id: str
    sequence: int
    """Of the digest."""
    document: bytes
    """The signed statement (`opentrail.evidence.chain_head`)."""
    bucket: str
    object_key: str
    """Where the digest lies."""
    account_id: str
    region: str
    trail_arn: str


class DigestFailure(NamedTuple):
    """What a try to put a digest came to."""

    chain_id: str
    sequence: int
    error: str
    """The store's error code."""
    is_answered: bool
    """Whether the store answered by a refusal: the object is not there, and will not appear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphans:
    """Delivered files that are to be in a digest and that no running chain will name, of one logging session.

    `object_key`, `bucket` and `trail_arn` are those of the oldest of them: enough to make their chain.
    """

    incarnation: str
    logging_session: int
    account_id: str
    region: str
    bucket: str
    object_key: str
    trail_arn: str
    delivered_at: int
    """Of the oldest, in milliseconds."""


class Chains(Protocol):
    """Heads of the digest chains, the digests that wait to be put, and the signed heads of those that were."""

    def now(self) -> int:
        """The store's clock, never below a time that it recorded or gave to this process."""
        ...

    def ensure_chains(self, chains: Iterable[Chain], at_revision: int | None = None) -> None:
        """Adds the chains that do not exist yet, by (incarnation, logging session, account, region).

        None, if the configuration is not at `at_revision` any more: what they were wanted for may be gone.

        One that has ended (an account that left and came back) goes on with a starting digest. `last_end` and
        `next_end` are raised so that they lie above every stamp used under the chain's place.
        """
        ...

    def due(self, now_seconds: int, limit: int, most_waiting: int = MOST_WAITING) -> Sequence[Chain]:
        """Chains with `next_end` ≤ now, or ending, that have not ended; the longest due first.

        Without those with `most_waiting` digests that wait to be put: what is delivered meanwhile comes
        into a later one, so that a bucket that takes nothing does not fill the store.
        """
        ...

    def orphans(self, limit: int) -> Sequence[Orphans]:
        """Logging sessions with delivered, undigested files and without a chain that runs, the longest waiting first.

        One for each session, account and region, at most `limit`. `ensure_chains` starts the chain, also an ended one.
        """
        ...

    def all_chains(self) -> Sequence[Chain]:
        """Every chain that has not ended, and the newest logging session of each (incarnation, account, region).

        For status and the configuration's follow-up; by incarnation, account, region, session.
        """
        ...

    def undigested(self, chain: Chain, before_seconds: int) -> Sequence[DeliveredFile]:
        """Step 7: delivered files of the chain that no digest names, delivered before a time; by delivery, then key."""
        ...

    def append(self, chain: Chain, digest: BuiltDigest, file_ids: Collection[int], next_end: int, ended: bool) -> bool:
        """Step 8: compare-and-swap of the head on `chain.sequence`; marks exactly these rows.

        False if someone else has moved the head, or another chain of the place has used `digest.end` or a later
        stamp: read the chain again and build again. Raises StateError if the digest does not follow the chain's
        head in sequence and time, or if a file is not the chain's, not delivered before the digest's end, in a digest
        already or one that no digest is to name. A crash after it: redo 9 with the same bytes.
        """
        ...

    def move(self, chain: Chain, bucket: str, key_prefix: str | None, organization_id: str | None, place: str) -> bool:
        """The trail's bucket or prefix changed: the next digest lies in another place and links to this one's.

        A compare-and-swap on `chain.sequence`: False if the head has moved. The stamps of the new place rise too.
        """
        ...

    def mark_ending(self, chain_id: str) -> None:
        """The chain gets one last digest. Idempotent; raises StateError on a chain that does not exist."""
        ...

    def unpublished(
        self, limit: int, without_buckets: Collection[str] = (), without_trails: Collection[tuple[str, str]] = ()
    ) -> Sequence[BuiltDigest]:
        """Step 9: digests that are built and not known to be put, each chain's in their order.

        All chains' first waiting digests come before any chain's second one. Those for `without_buckets`, and for
        `without_trails` as (bucket, trail ARN), are left out, and all that wait behind them in their chains.
        """
        ...

    def begin_puts(self, digests: Collection[tuple[str, int]]) -> Sequence[BuiltDigest]:
        """Step 9 follows for these (chain id, sequence): each put counts as not answered until `fail_puts` says so.

        Returns those that still wait, as they are now, by chain and sequence: only these may be put. One that is
        missing was published or withdrawn since it was read; one that was restamped has other bytes now.
        A crash after it: the digests are never withdrawn, since a put may be under way.
        """
        ...

    def fail_puts(self, failures: Collection[DigestFailure]) -> None:
        """Tries of step 9 failed; an answered one takes back what `begin_puts` counted. The error is shown.

        Once for each try, not again after OutcomeUnknown: what was taken back twice could hide a put under way.
        """
        ...

    def withdraw(self, chain_id: str, left: Target | None = None) -> int:
        """Takes back the chain's waiting digests that every put of was answered by a refusal; returns how many.

        From the newest back to the first that is published, or that may still appear. One transaction: their files
        are in no digest again, the head is the digest before them (none: the chain begins again with a starting
        digest), `last_end` is where the first of them started. Stamps of a place are never lowered, and no sequence is
        given twice: `sequence` rises by one. A chain that has ended gets a last digest again. With `left`: only if the
        chain lies elsewhere by now.
        """
        ...

    def replace_waiting(self, waiting: Sequence[BuiltDigest], restamped: Sequence[BuiltDigest]) -> bool:
        """Step 9, a foreign object lies at a digest's place: the chain's waiting digests get later stamps.

        Both are all digests of one chain from the same sequence to its head. A compare-and-swap: False if one of them
        was published or replaced meanwhile, the head has moved, or the new stamps do not lie above all of the place.
        A crash after it: redo 9 with the new bytes.
        """
        ...

    def mark_published(
        self, chain_id: str, sequence: int, signature: str | None = None, head: bytes | None = None
    ) -> None:
        """Step 10. A crash before it: redo 9. Idempotent; the digest's bytes are forgotten.

        With a `signature`: only the digest that has it, not one that was restamped meanwhile. `head`: the signed
        statement that this digest was put, kept with the chain in the same transaction; without it `unsigned` tells
        of the digest. The number of the digest of which a head is kept never falls.
        """
        ...

    # --- signed heads -------------------------------------------------------------------------------

    def unsigned(self, limit: int, after: str = "") -> Sequence[BuiltDigest]:
        """Step 10: the newest published digests of chains that keep no head of it, by chain id, above `after`.

        Their bytes are forgotten: empty.
        """
        ...

    def keep_head(self, chain_id: str, sequence: int, head: bytes) -> None:
        """Step 10, later: the signed head of a published digest. Nothing if one of it or of a newer one is kept."""
        ...

    def heads_to_put(self, limit: int, after: str = "") -> Sequence[KeptHead]:
        """Step 11: signed heads that are not known to lie in the second place, by chain id, above `after`."""
        ...

    def mark_heads_put(self, heads: Collection[tuple[str, int]]) -> None:
        """Step 11: these (chain id, sequence) lie in the second place. A crash before it: redo 11. Idempotent."""
        ...

    def heads(self) -> Sequence[KeptHead]:
        """Every chain's signed head, of ended chains too, by trail ARN, account, region and chain id."""
        ...

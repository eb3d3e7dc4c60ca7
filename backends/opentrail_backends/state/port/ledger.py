"""The delivery ledger: steps 1 to 6."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from opentrail.events.client_numbers import ClientNumbers


class FileState(StrEnum):
    """Where a log file stands."""

    INTENDED = "intended"
    DELIVERED = "delivered"
    PARKED = "parked"
    EXPIRED = "expired"
    """Its bucket failed for 30 days: it stays in the spool, and is tried again only when an operator says so."""
    LOST = "lost"
    """An operator settled its intent, and the file was neither in its bucket nor in the spool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntendedFile:
    """A log file that an intent fixes (step 3): which trail, where, and the hash of its uncompressed bytes."""

    incarnation: str
    logging_session: int
    account_id: str
    part: int
    """Counts the files of one (trail, account) in one window, from 0."""
    bucket: str
    object_key: str
    sha256: str
    """Lower-case hex over the uncompressed bytes."""
    events: int
    oldest_event_time: int
    newest_event_time: int
    """Epoch seconds."""
    trail_arn: str = ""
    kms_key_id: str | None = None
    owner: str = ""
    """The account or organization of the trail: whose share of the spool the file takes if it is parked."""
    is_digested: bool = True
    """Whether a digest is to name it: log file validation was on, and no digest names it yet."""


class Parking(NamedTuple):
    """Why a file lies in the spool instead of its bucket (steps 4 and 5)."""

    size: int
    """Bytes that its copy takes in the spool."""
    error: str | None
    """The store's error code; None if only our own rate limit holds it, which does not age it."""
    is_answered: bool
    """Whether every put to its place was answered by a refusal: else it may still appear there."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A partition that we own (step 1). Each ledger write names it and returns the next one."""

    region: str
    partition: int
    epoch: int
    token: str
    """The random part of the epoch: a ledger that was restored from a backup does not fit a living owner."""
    last_intent: int
    next_offset: int
    """The offset from which no delivered window has read yet."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A window that was closed (step 3)."""

    number: int
    first_offset: int
    end_offset: int
    body: Mapping[str, Any]
    """What the bytes depend on: format version, settings, revisions, poisoned offsets (`opentrail_delivery.intent`)."""
    files: Sequence[IntendedFile]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedFile:
    """A log file that its bucket would not take; its bytes lie in the spool."""

    id: int
    region: str
    partition: int
    intent: int
    incarnation: str
    logging_session: int
    account_id: str
    part: int
    owner: str
    bucket: str
    object_key: str
    sha256: str
    trail_arn: str
    kms_key_id: str | None
    size: int
    """Bytes that its copy takes in the spool."""
    parked_at: int
    failing_since: int | None
    """When its bucket was first seen to fail since; None if only our own rate limit has held it."""
    error: str | None
    is_answered: bool
    """Whether every put to its place was answered by a refusal: only then it may be re-aimed."""


class ParkedFailure(NamedTuple):
    """What a try to put a parked file came to."""

    id: int
    error: str
    """The store's error code."""
    is_answered: bool
    """Whether the store answered by a refusal: the object is not there, and will not appear."""


class SpoolUsage(NamedTuple):
    """What lies in the spool, in bytes."""

    total: int
    by_owner: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedOfTrail:
    """A trail's files in the spool, of one region; times in milliseconds."""

    incarnation: str
    trail_arn: str
    region: str
    files: int
    size: int
    oldest_parked_at: int
    expired: int
    """How many of the files are not tried any more."""
    error: str | None
    """The newest error code among them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientsOfAccount:
    """What is known of an account's clients in a region, in sum."""

    region: str
    account_id: str
    clients: int
    missing: int
    """Numbers that have not come: events that a client lost, or will send again."""
    repeats: int
    given_up: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostOffsets:
    """Messages that an operator gave up: they were on the bus, and no log file has them."""

    region: str
    partition: int
    topic_id: str
    first_offset: int
    end_offset: int
    reason: str
    accounts: Sequence[str] = ()
    """Accounts of the lost files, as far as intents name them."""
    recorded_at: int = 0
    """Set by the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What an operator's command makes of a partition whose ledger and bus do not fit."""

    topic_id: str
    partitions: int
    """The topic as it is now: recorded for the region."""
    next_offset: int
    """Where delivery goes on."""
    delivered: Collection[str] = ()
    """Object keys of open intents' files that lie in their buckets with the right bytes."""
    digested: Collection[str] = ()
    """Those of them that a digest names already."""
    parked: Mapping[str, Parking] = field(default_factory=dict)
    """Object keys of open intents' files that lie in the spool."""
    lost: Collection[str] = ()
    """Object keys of open intents' files that lie nowhere."""
    lost_offsets: Sequence[LostOffsets] = ()


class KnownTopic(NamedTuple):
    """The topic that the ledger's offsets belong to."""

    topic_id: str
    partitions: int


class Ledger(Protocol):
    """What delivery has promised and done."""

    def now(self) -> int:
        """The store's clock, never below a time that it recorded or gave to this process."""
        ...

    def known_topic(self, region: str) -> KnownTopic | None:
        """The topic recorded for a region."""
        ...

    def record_topic(self, region: str, topic_id: str, partitions: int) -> KnownTopic:
        """Records a region's topic if none is recorded, and returns the recorded one."""
        ...

    def own(self, region: str, partition: int, start_offset: int) -> tuple[Lease, Sequence[Intent]]:
        """Step 1: raises the epoch. Returns the lease and the open intents, oldest first.

        A partition that the ledger does not know starts at `start_offset`.
        A crash after it: the next owner raises the epoch again.
        """
        ...

    def write_intent(self, lease: Lease, intent: Intent) -> Lease:
        """Step 3: fixes the window's files. `intent.number` must be `lease.last_intent + 1`.

        The window begins where the one before it ended (the first: at the lease's next offset), or StateError
        is raised: no offset is left out or read twice.
        A crash after it: redo from step 4 with the same offsets. Raises LedgerLost, OutcomeUnknown.
        """
        ...

    def rename_file(self, lease: Lease, intent_number: int, old_key: str, new_key: str) -> None:
        """Step 4, another object lay at the key: the file's new key is fixed before it is put.

        Raises LedgerLost, also if the intent is not open or has no file of the old key.
        """
        ...

    def client_numbers(self, region: str, account_id: str) -> Mapping[bytes, ClientNumbers]:
        """Step 2: what was known of an account's clients after the last delivered window, by client id."""
        ...

    def deliver(
        self,
        lease: Lease,
        intent: Intent,
        parked: Mapping[str, Parking] = MappingProxyType({}),
        numbers: Mapping[tuple[str, bytes], ClientNumbers | None] = MappingProxyType({}),
    ) -> Lease:
        """Step 5: files delivered (but those that are parked, by object key), next offset, intent closed.

        `numbers` is what the window changed of its clients, by (account, client id); None: the client is forgotten.

        Intents are delivered in their order: raises LedgerLost unless `intent.first_offset` is the next offset.
        The files are those that the ledger holds, under the keys that it holds; a parked key that is not among
        them raises StateError.
        A crash before it: redo step 4, the same files, then 5.
        """
        ...

    def settle(self, lease: Lease, settlement: Settlement) -> Lease:
        """An operator's way on: closes all open intents by what became of their files, moves the next offset.

        One transaction. Raises StateError if a file of an open intent is in none of the settlement's sets, or in two.
        The region's topic is recorded anew; what is lost is recorded, and shown by `lost_offsets`.
        """
        ...

    def lost_offsets(self) -> Sequence[LostOffsets]:
        """What operators gave up, the newest first."""
        ...

    # --- parked files ------------------------------------------------------------------------------

    def parked_files(self, limit: int, after: int = 0) -> Sequence[ParkedFile]:
        """Parked files (not expired ones) with an id above `after`, by id."""
        ...

    def begin_parked(self, ids: Collection[int]) -> Sequence[ParkedFile]:
        """Puts of these files follow: each counts as not answered until `fail_parked` says that it was.

        Returns the files as they are now, by id: only these may be put, and only where they say now. One that is
        missing was delivered or expired; one that was re-aimed since it was read must not appear at its old place.
        A crash after it: the files are never re-aimed, since a put may be under way.
        """
        ...

    def fail_parked(self, failures: Collection[ParkedFailure]) -> None:
        """Tries failed. An answered one takes back what `begin_parked` counted; `failing_since` begins to run.

        Once for each try, not again after OutcomeUnknown: what was taken back twice could hide a put under way.
        """
        ...

    def rename_parked(self, file: ParkedFile, new_key: str) -> None:
        """Another object lies at a parked file's key: its new key is fixed before it is put.

        Raises LedgerLost if the file is not parked under that key any more.
        """
        ...

    def reaim_parked(self, file: ParkedFile, bucket: str, object_key: str, kms_key_id: str | None) -> bool:
        """The trail's target changed: the file is to be put there instead, and ages anew.

        Only if every put to the old place was answered by a refusal, in the ledger's own count; else False.
        """
        ...

    def deliver_parked(self, file: ParkedFile) -> bool:
        """A parked file lies in its bucket now: delivered, for the next digest of its chain.

        If its chain has ended meanwhile, its session is now among `Chains.orphans`: one more digest, a starting one.
        False if it was not parked under that bucket and key any more.
        A crash before it: the file is put again, found to be there, then this.
        """
        ...

    def expire_parked(self, failing_ms: int) -> int:
        """Files whose bucket has failed for so long are not tried any more; returns how many there are new."""
        ...

    def retry_expired(self) -> int:
        """An operator's command: expired files are parked again and age anew; returns how many."""
        ...

    def spool_usage(self) -> SpoolUsage:
        """Bytes of parked and expired files, in all and by owner; owners without any are left out."""
        ...

    def parked_by_trail(self) -> Sequence[ParkedOfTrail]:
        """For `opentrail status`: parked and expired files by trail and region."""
        ...

    # --- for status, and for releases that run side by side ------------------------------------------

    def clients(self) -> Sequence[ClientsOfAccount]:
        """Of each account and region with numbered events: clients, missing numbers, repeats."""
        ...

    def report_worker(self, worker_id: str, formats: Mapping[str, int]) -> Mapping[str, int]:
        """A worker shows that it lives, and the newest format that it knows of each kind (`batch`, `intent`).

        Returns the formats that are switched on. One is switched on (never off) as far as all workers that were
        seen in the last ten minutes know it. A worker that does not know a format that is on must not work.
        """
        ...

    def remove_worker(self, worker_id: str) -> None:
        """The worker has stopped in order: nobody waits for it. Idempotent."""
        ...

    def windows(self) -> Sequence[Mapping[str, Any]]:
        """For `opentrail status`: region, partition, next_offset, open_intents, last_delivered_at of each partition."""
        ...

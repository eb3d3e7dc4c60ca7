"""What the ledger holds: intents and their files, leases, parked files, settlements, and sums of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


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
    sns_topic_arn: str | None = None
    """The topic that is to be told once it is delivered."""
    records_root: str | None = None
    """Of the Merkle tree over its records, in hex; None if there is to be no proof of a record."""


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

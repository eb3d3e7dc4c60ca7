"""The state store: configuration with its revisions, the delivery ledger, digest chains, keys, accounts.

Every method is one transaction. `LedgerLost` means another owner took over: stop and ask the bus again.
`OutcomeUnknown` means that the commit was sent and not confirmed: start again at step 1 (design, section 3).
Times are milliseconds since the epoch by the store's own clock, unless a name says seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from opentrail.trails.configuration import Change, Kind


class StateError(Exception):
    """The state store refused or could not be reached; the message says what to do."""


class OutcomeUnknown(StateError):
    """A transaction was sent and not confirmed: it may have been kept."""


class LedgerLost(StateError):
    """The fence did not hold: another owner has raised the partition's epoch, or the ledger moved on without us."""


class RevisionConflict(StateError):
    """The configuration was changed by someone else since it was read."""


# --- configuration and accounts -------------------------------------------------------------------


class NewChange(NamedTuple):
    """A change that is to get the next revision."""

    kind: Kind
    id: str
    body: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of an account, for the API. The secret is encrypted at rest and shown once."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    account_id: str = ""
    role: str = "admin"


class ConfigurationStore(Protocol):
    """Revisions of trails, organizations and accounts, and credentials."""

    def now(self) -> int:
        """The store's clock."""
        ...

    def changes_after(self, revision: int) -> Sequence[Change]:
        """All changes with a higher revision, in order."""
        ...

    def apply(self, changes: Sequence[NewChange], expected_revision: int | None = None) -> int:
        """Adds changes, each with the next revision, all with rising times; returns the newest revision.

        Raises RevisionConflict if `expected_revision` is given and is not the newest one.
        """
        ...

    def add_token(self, token_hash: bytes, account_id: str, name: str, expires_at: int | None = None) -> None:
        """Keeps the SHA-256 of a producer's bearer token, never the token itself.

        The same hash again replaces account, name and end. Raises ValueError on what is no SHA-256.
        """
        ...

    def account_of_token(self, token_hash: bytes) -> str | None:
        """The account of a token that has not expired."""
        ...

    def remove_token(self, token_hash: bytes) -> None:
        """Makes a token unknown; an unknown one is no error."""
        ...

    def put_access_key(self, key: AccessKey) -> None:
        """Keeps an access key, its secret encrypted; the same id again replaces the rest.

        Raises StateError if the store was opened without a secret key.
        """
        ...

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """An access key with its secret. Raises StateError if the secret key is not the one it was kept under."""
        ...


# --- ledger: steps 1 to 6 -------------------------------------------------------------------------


class FileState(StrEnum):
    """Where a log file stands."""

    INTENDED = "intended"
    DELIVERED = "delivered"
    PARKED = "parked"
    LOST = "lost"


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

    def deliver(self, lease: Lease, intent: Intent, parked: Collection[str] = ()) -> Lease:
        """Step 5: files delivered (but those whose object keys are parked), next offset, intent closed.

        Intents are delivered in their order: raises LedgerLost unless `intent.first_offset` is the next offset.
        The files are those that the ledger holds, under the keys that it holds; a parked key that is not among
        them raises StateError.
        A crash before it: redo step 4, the same files, then 5.
        """
        ...

    def windows(self) -> Sequence[Mapping[str, Any]]:
        """For `opentrail status`: region, partition, next_offset, open_intents, last_delivered_at of each partition."""
        ...


# --- digest chains: steps 7 to 10 -----------------------------------------------------------------


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
    """How many digests the chain has."""
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


class Chains(Protocol):
    """Heads of the digest chains and the digests that wait to be put."""

    def now(self) -> int:
        """The store's clock, never below a time that it recorded or gave to this process."""
        ...

    def ensure_chains(self, chains: Iterable[Chain]) -> None:
        """Adds the chains that do not exist yet, by (incarnation, logging session, account, region).

        `last_end` and `next_end` are raised so that they lie above every stamp used under the chain's place.
        """
        ...

    def due(self, now_seconds: int, limit: int) -> Sequence[Chain]:
        """Chains with `next_end` ≤ now, or ending, that have not ended; the longest due first."""
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
        head in sequence and time, or if a file is not the chain's, not delivered before the digest's end, or in a
        digest already. A crash after it: redo 9 with the same bytes.
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

    def unpublished(self, limit: int) -> Sequence[BuiltDigest]:
        """Step 9: digests that are built and not known to be put, each chain's in their order.

        All chains' first waiting digests come before any chain's second one: a bucket that takes nothing does
        not fill the answer.
        """
        ...

    def mark_published(self, chain_id: str, sequence: int) -> None:
        """Step 10. A crash before it: redo 9. Idempotent; the digest's bytes are forgotten."""
        ...


# --- keys -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A region's signing key as auditors see it, and how to find its private half."""

    region: str
    fingerprint: str
    """MD5 of the DER bytes in lower-case hex (CloudTrail: ListPublicKeys)."""
    der: bytes
    """PKCS#1 RSAPublicKey."""
    valid_from: int
    valid_until: int
    """Seconds since the epoch; a key signs only digests whose end lies in [valid_from, valid_until]."""
    reference: str


class PublicKeys(Protocol):
    """Signing keys of all regions."""

    def add(self, key: PublicKey) -> PublicKey:
        """Adds a key unless one of its region already covers `valid_from`; returns the one that does.

        Of processes that add at once, one wins and all get its key.
        """
        ...

    def covering(self, region: str, seconds: int) -> PublicKey | None:
        """The key whose validity holds a time; of two, the one that became valid later."""
        ...

    def between(self, region: str, start_seconds: int, end_seconds: int) -> Sequence[PublicKey]:
        """Keys whose validity meets a range, by `valid_from` (ListPublicKeys)."""
        ...


class StateStore(Protocol):
    """One database with all of the above."""

    configuration: ConfigurationStore
    ledger: Ledger
    chains: Chains
    public_keys: PublicKeys

    def migrate(self) -> None:
        """Brings the schema to this release; safe to call from several processes at once.

        Raises StateError on a schema that is newer than this release.
        """
        ...

    def trail_status(self, incarnation: str, region: str) -> Mapping[str, Any]:
        """Newest delivery and digest times (ms) of a trail in a region: `delivered_at`, `digest_delivered_at`.

        None before the first.
        """
        ...

    def close(self) -> None:
        """Frees connections."""
        ...

"""The delivery ledger: steps 1 to 6."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from opentrail.events.client_numbers import ClientNumbers


class FileState(StrEnum):
    """Where a log file stands."""

    INTENDED = "intended"
    DELIVERED = "delivered"
    PARKED = "parked"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedFile:
    """A log file that its bucket would not take; its bytes lie in the spool."""

    id: int
    incarnation: str
    bucket: str
    object_key: str
    sha256: str


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
        parked: Collection[str] = (),
        numbers: Mapping[tuple[str, bytes], ClientNumbers | None] = MappingProxyType({}),
    ) -> Lease:
        """Step 5: files delivered (but those whose object keys are parked), next offset, intent closed.

        `numbers` is what the window changed of its clients, by (account, client id); None: the client is forgotten.

        Intents are delivered in their order: raises LedgerLost unless `intent.first_offset` is the next offset.
        The files are those that the ledger holds, under the keys that it holds; a parked key that is not among
        them raises StateError.
        A crash before it: redo step 4, the same files, then 5.
        """
        ...

    def parked_files(self, limit: int, after: int = 0) -> Sequence[ParkedFile]:
        """Parked files with an id above `after`, by id."""
        ...

    def rename_parked(self, file: ParkedFile, new_key: str) -> None:
        """Another object lies at a parked file's key: its new key is fixed before it is put.

        Raises LedgerLost if the file is not parked under that key any more.
        """
        ...

    def deliver_parked(self, file: ParkedFile) -> bool:
        """A parked file lies in its bucket now: delivered, for the next digest of its chain.

        A chain that has ended meanwhile gets one more digest, a starting one. False if it was not parked
        under that key any more.
        A crash before it: the file is put again, found to be there, then this.
        """
        ...

    def windows(self) -> Sequence[Mapping[str, Any]]:
        """For `opentrail status`: region, partition, next_offset, open_intents, last_delivered_at of each partition."""
        ...

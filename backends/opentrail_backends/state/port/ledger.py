"""The delivery ledger: steps 1 to 6."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from opentrail.events.client_numbers import ClientNumbers
from opentrail_backends.state.port.ledger_values import (
    ClientsOfAccount,
    Intent,
    KnownTopic,
    Lease,
    LostOffsets,
    ParkedFailure,
    ParkedFile,
    ParkedOfTrail,
    Parking,
    Settlement,
    SpoolUsage,
)


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

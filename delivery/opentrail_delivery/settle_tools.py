"""What the parts of `opentrail settle` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from opentrail.evidence.log_file import Codec
from opentrail_backends.event_bus.port import EventBus, Partition
from opentrail_backends.object_store.port import ObjectStore
from opentrail_backends.state.port import FileState, LostOffsets, StateStore
from opentrail_backends.state.port.inspection import FileRow, Inspection
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.settle_chains import ChainTools
from opentrail_delivery.spool import HeldFile, Spool

_PAGE = 5_000


@dataclass(frozen=True, kw_only=True)
class SettleTools:
    """Ports and values."""

    event_bus: EventBus
    object_store: ObjectStore
    state: StateStore
    inspection: Inspection
    spool: Spool
    codec: Codec
    settings: DeliverySettings = field(default_factory=DeliverySettings)
    patience: float = 90.0
    """Seconds to wait for a partition: Kafka takes 45 to see that a process was killed."""
    adopt_unproven: bool = False
    """Whether files are adopted that neither the bus nor a digest of ours proves."""

    @property
    def chains(self) -> ChainTools:
        """What looking for digests needs."""
        return ChainTools(
            self.object_store,
            self.state.chains,
            self.state.public_keys,
            self.inspection,
            self.settings.digest_seconds,
        )

    @property
    def checked_store(self) -> CheckedStore:
        """The object store for puts."""
        return CheckedStore(self.object_store)


@dataclass(slots=True, kw_only=True)
class Settled:
    """What was found and done for a partition, or, without `--accept`, what would be done."""

    partition: Partition
    trouble: str
    next_offset_was: int
    next_offset: int
    delivered: int = 0
    """Files of open intents that lie in their buckets."""
    parked: int = 0
    """Files of open intents that lie in the spool."""
    lost: int = 0
    """Files of open intents that lie nowhere and cannot be made again."""
    rebuilt: int = 0
    """Log files that were made again from the bus."""
    adopted: int = 0
    """Log files in buckets and in the spool that the ledger knows again."""
    unproven: list[str] = field(default_factory=list)
    """Log files that may be ours, and that nothing but their place says so of."""
    lost_offsets: list[LostOffsets] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rows:
    """What the ledger's rows say of files, read once. About 300 bytes of memory a file."""

    places: Mapping[tuple[str, str], str]
    """Hashes by (bucket, object key); without files that were given up."""
    copies: frozenset[HeldFile]
    """The places in the spool of parked and expired files."""
    recent: Sequence[FileRow]
    """Delivered and parked files of the partition that may hold events which its windows have not passed: a settlement
    that died may have delivered them."""


def read_rows(inspection: Inspection, partition: Partition, since: int) -> Rows:
    """Reads all file rows; `recent` are those of the partition from a time (ms) on. Raises StateError."""
    places: dict[tuple[str, str], str] = {}
    copies: set[HeldFile] = set()
    recent = []
    after = 0
    while page := inspection.files(_PAGE, after):
        after = page[-1].id
        for row in page:
            if row.state is not FileState.LOST:
                places[row.bucket, row.object_key] = row.sha256
            if row.state in {FileState.PARKED, FileState.EXPIRED}:
                copies.add(held_of(row))
            if (row.region, row.partition) == partition and (
                row.state is FileState.PARKED or (row.delivered_at is not None and row.delivered_at >= since)
            ):
                recent.append(row)
    return Rows(places, frozenset(copies), recent)


def held_of(row: FileRow) -> HeldFile:
    """Where a row's copy lies in the spool."""
    return HeldFile(row.incarnation, row.region, row.partition, row.intent, row.account_id, row.part, row.sha256)

"""`opentrail fsck`: bucket, ledger and bus against each other. Reads only, also while all services run.

The buckets are looked at first, the ledger after them: an object is put after its row is written, so what is seen in a
bucket has its row by then. What may have changed meanwhile is looked at again before it is called wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from opentrail_backends.event_bus.port import EventBus, EventBusError
from opentrail_backends.object_store.port import ObjectStore, ObjectStoreError
from opentrail_backends.state.port import Chain, FileState, StateStore
from opentrail_backends.state.port.inspection import FileRow, Inspection
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.fsck_bucket import BucketCheck, Place, Seen
from opentrail_delivery.fsck_findings import FsckReport, Kind
from opentrail_delivery.fsck_spool import SpoolCheck
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.settle_chains import ChainTools, StrangeDigest, digests_since
from opentrail_delivery.settle_examine import examine
from opentrail_delivery.spool import Spool

_PAGE = 5_000
_THREADS = 16
_ROWS_KEPT_SECONDS = 34 * 24 * 3600
"""A row may be forgotten after that: what no digest names is not known to be wrong then."""
_LATE_SECONDS = 600
_MOST = 10_000


@dataclass(frozen=True, kw_only=True)
class FsckTools:
    """What is compared."""

    event_bus: EventBus
    object_store: ObjectStore
    state: StateStore
    inspection: Inspection
    spool: Spool
    settings: DeliverySettings = field(default_factory=DeliverySettings)


class Fsck:
    """One run."""

    def __init__(self, tools: FsckTools, *, since: int = 0, deep: bool = False) -> None:
        """`since`: objects stamped before it (seconds since the epoch) are passed over. `deep`: reads all log files."""
        self._tools = tools
        self._since = since
        self._deep = deep
        self._report = FsckReport()

    def run(self) -> FsckReport:
        """Compares everything. Raises StateError: without the ledger there is nothing to compare with."""
        with ThreadPoolExecutor(_THREADS) as executor:
            seen = Seen()
            buckets = BucketCheck(
                self._tools.object_store, executor, self._report, self._since, deep=self._deep, seen=seen
            )
            copies = SpoolCheck(self._tools.spool, self._report)
            copies.list_copies()
            folders = self._folders()
            for bucket, root in sorted(folders):
                buckets.folder(bucket, root)
            known = self._rows(buckets, copies)
            self._strays(buckets, folders, known)
            self._chains(buckets)
        copies.check(self._tools.inspection)
        copies.waiting(self._tools.state.ledger)
        self._partitions()
        return self._report

    def _folders(self) -> set[tuple[str, str]]:
        """Where log files and digests of ours lie: of trails as they are, and of chains, also ended ones."""
        feed = ConfigurationFeed(self._tools.state.configuration)
        trails = feed.refresh().trails.values()
        return {
            *((trail.s3_bucket_name, _root(trail.s3_key_prefix)) for trail in trails),
            *((chain.bucket, _root(chain.key_prefix)) for chain in self._tools.state.chains.all_chains()),
        }

    def _rows(self, buckets: BucketCheck, copies: SpoolCheck) -> set[bytes]:
        """Every file that the ledger knows; returns their marks."""
        known: set[bytes] = set()
        now = self._tools.state.ledger.now()
        late = now - (2 * self._tools.settings.digest_seconds + _LATE_SECONDS) * 1000
        suspects: list[FileRow] = []
        after = 0
        while page := self._tools.inspection.files(_PAGE, after):
            after = page[-1].id
            unnamed = []
            for row in page:
                self._report.checked["ledger rows"] += 1
                place = Place(row.bucket, row.object_key)
                if row.state is not FileState.LOST:
                    known.add(place.mark)
                copies.row(row)
                if row.state is not FileState.DELIVERED or (row.delivered_at or 0) < self._since * 1000:
                    continue
                if not buckets.seen.named[place.mark]:
                    unnamed.append((place, row.sha256))
                    if row.digest != 0 and (row.delivered_at or 0) < late:
                        suspects.append(row)
            list(buckets.executor.map(lambda item: buckets.file(*item), unnamed))
        self._late(suspects)
        return known

    def _late(self, suspects: list[FileRow]) -> None:
        """Files that a digest should name by now, unless their chain's digests wait for their bucket."""
        if not suspects:
            return
        chains = {
            (chain.incarnation, chain.account_id, chain.region): chain
            for chain in self._tools.state.chains.all_chains()
        }
        waiting = {digest.chain_id for digest in self._tools.state.chains.unpublished(_MOST)}
        for row in suspects:
            chain = chains.get((row.incarnation, row.account_id, row.region))
            if chain is None or chain.id not in waiting:
                detail = "no digest was built for it" if row.digest is None else f"digest {row.digest} should name it"
                self._report.add(Kind.FILE_IN_NO_DIGEST, str(Place(row.bucket, row.object_key)), detail)

    def _strays(self, buckets: BucketCheck, folders: set[tuple[str, str]], known: set[bytes]) -> None:
        oldest_sure = self._tools.state.ledger.now() // 1000 - _ROWS_KEPT_SECONDS
        named = buckets.seen.named

        def is_stray(mark: bytes) -> bool:
            return mark not in known and not named[mark]

        if not any(is_stray(mark) for mark in buckets.seen.objects):
            return
        for bucket, root in sorted(folders):
            for place, seconds in buckets.strays(bucket, root, is_stray):
                is_old = seconds is not None and seconds < oldest_sure
                self._report.add(Kind.UNPROVEN_OBJECT if is_old else Kind.STRAY_OBJECT, str(place))

    def _chains(self, buckets: BucketCheck) -> None:
        state = self._tools.state
        # In this order: what is appended meanwhile is no head here, and what is published meanwhile lies in its bucket.
        chains = state.chains.all_chains()
        waiting = {(digest.bucket, digest.object_key): digest for digest in state.chains.unpublished(_MOST)}
        for place, digest in waiting.items():
            buckets.waiting(Place(*place), digest.sha256, digest.signature)
        tools = ChainTools(
            self._tools.object_store,
            state.chains,
            state.public_keys,
            self._tools.inspection,
            self._tools.settings.digest_seconds,
        )
        beyond: dict[str, list[tuple[Kind, str, int, str]]] = {}
        for chain in chains:
            if chain.head_bucket is not None and chain.head_key is not None and chain.last_end >= self._since:
                head = (chain.head_bucket, chain.head_key)
                if head not in waiting:
                    buckets.head(Place(*head), chain.head_sha256, chain.head_signature)
            try:
                beyond[chain.id] = list(_beyond(tools, chain))
            except ObjectStoreError as error:
                self._report.unchecked.append((f"chain {chain.id}", str(error)))
        # A builder may have gone on meanwhile: only what still lies beyond the head is called wrong.
        now = self._now_by_place()
        for chain_id, found in beyond.items():
            for kind, subject, end, detail in found:
                if end > now.get(chain_id, 0):
                    self._report.add(kind, subject, detail)
        for orphans in state.chains.orphans(_MOST):
            self._report.add(
                Kind.ORPHANS,
                f"s3://{orphans.bucket}/{orphans.object_key}",
                f"{orphans.trail_arn}, account {orphans.account_id} in {orphans.region}: a chain is started for them",
            )

    def _now_by_place(self) -> Mapping[str, int]:
        """By chain: the newest end of all chains of its place, since an ended one's place may be used by another."""
        chains = self._tools.state.chains.all_chains()
        ends: dict[str, int] = {}
        for chain in chains:
            ends[chain.place] = max(ends.get(chain.place, 0), chain.last_end)
        return {chain.id: ends[chain.place] for chain in chains}

    def _partitions(self) -> None:
        tools = self._tools
        group = tools.settings.group
        try:
            cases = examine(tools.event_bus, tools.state.ledger, tools.inspection, group, None, None)
        except EventBusError as error:
            self._report.unchecked.append(("the event bus", str(error)))
            cases = []
        for case in cases:
            self._report.add(
                Kind.PARTITION_MISFIT,
                f"{case.partition.region}/{case.partition.number}",
                f"{case.trouble.value}: the ledger needs offsets {case.next_offset} to {case.last_needed}, the bus "
                f"holds {case.bounds.start} to {case.bounds.end}"
                if case.bounds
                else case.trouble.value,
            )
        for row in tools.state.ledger.windows():
            self._report.checked["partitions"] += 1
            if row["open_intents"]:
                self._report.add(
                    Kind.OPEN_WINDOWS, f"{row['region']}/{row['partition']}", f"{row['open_intents']} windows"
                )
        for lost in tools.state.ledger.lost_offsets():
            self._report.add(
                Kind.LOST_OFFSETS,
                f"{lost.region}/{lost.partition}",
                f"from offset {lost.first_offset}: {lost.reason}",
            )


def _beyond(tools: ChainTools, chain: Chain) -> list[tuple[Kind, str, int, str]]:
    """Digests in a chain's place that end after its head."""
    strange: list[StrangeDigest] = []
    found = [
        (
            Kind.DIGEST_UNKNOWN,
            str(Place(digest.bucket, str(digest.key))),
            digest.digest.end,
            f"the ledger's newest digest of {chain.trail_name} ends before it: opentrail settle",
        )
        for digest in digests_since(tools, chain, chain.last_end, strange)
    ]
    far = 2**40
    return found + [(Kind.DIGEST_FOREIGN, str(Place(one.bucket, one.object_key)), far, one.reason) for one in strange]


def _root(prefix: str | None) -> str:
    return f"{prefix}/AWSLogs/" if prefix else "AWSLogs/"

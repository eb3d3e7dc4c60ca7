"""What `opentrail settle` finds of log files: in their buckets, in the spool, or nowhere."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import msgspec

from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail.evidence.records_tree import leaf_hash, tree_root
from opentrail.evidence.times import MalformedTime, parse_time
from opentrail_backends.object_store.port import ObjectNotFound, ObjectStore, ObjectTooLarge
from opentrail_backends.state.port import Intent, Parking
from opentrail_delivery.spool import HeldFile, Spool


class _LogFile(msgspec.Struct):
    """A log file, its records left as they are."""

    records: list[msgspec.Raw] = msgspec.field(name="Records")


class _Record(msgspec.Struct):
    event_time: str = msgspec.field(name="eventTime", default="")


def event_hash(record: bytes | memoryview) -> bytes:
    """Tells events apart by the bytes of their records: 16 bytes.

    White space around a record, which a message has as its client sent it, does not count: reading a log file loses it.
    """
    return hashlib.blake2b(bytes(record).strip(b" \t\n\r"), digest_size=16).digest()


@dataclass(frozen=True)
class FoundFile:
    """A log file that lies somewhere, with its bytes' hash and its events."""

    bucket: str
    object_key: str
    sha256: str
    events: Counter[bytes]
    """By `event_hash`."""
    oldest: int | None
    newest: int | None
    """Epoch seconds of its events; None where none says."""
    records_root: str
    """Of the Merkle tree over its records, in hex."""
    held: HeldFile | None = None
    """Its place in the spool, if it lies there and not in its bucket."""
    parking: Parking | None = None

    @cached_property
    def count(self) -> int:
        """Number of events."""
        return self.events.total()


def found_in_bucket(store: ObjectStore, bucket: str, key: str) -> FoundFile | None:
    """The log file at a key; None if there is none, or something that is no log file. Raises ObjectStoreError."""
    try:
        body = store.get(bucket, key).body
    except (ObjectNotFound, ObjectTooLarge):
        return None
    return _found(bucket, key, body)


def found_in_spool(spool: Spool, held: HeldFile) -> FoundFile | None:
    """A copy in the spool, under the key that it was to have. Raises ObjectStoreError (also on a damaged copy)."""
    copy = spool.copy(held)
    found = _found(copy.file.bucket, copy.file.object_key, copy.body)
    if found is None:
        return None
    parking = Parking(len(copy.body), None, is_answered=False)
    return FoundFile(
        found.bucket,
        found.object_key,
        found.sha256,
        found.events,
        found.oldest,
        found.newest,
        found.records_root,
        held=held,
        parking=parking,
    )


def _found(bucket: str, key: str, body: bytes) -> FoundFile | None:
    try:
        data = read_log_file(body)
        records = msgspec.json.decode(data, type=_LogFile).records
    except (MalformedLogFile, msgspec.MsgspecError, RecursionError):
        return None
    times = [time for time in map(_time_of, records) if time is not None]
    events = Counter(event_hash(bytes(record)) for record in records)
    return FoundFile(
        bucket,
        key,
        hashlib.sha256(data).hexdigest(),
        events,
        min(times, default=None),
        max(times, default=None),
        tree_root([leaf_hash(bytes(record)) for record in records]).hex(),
    )


def _time_of(record: msgspec.Raw) -> int | None:
    try:
        return parse_time(msgspec.json.decode(record, type=_Record).event_time)
    except (msgspec.MsgspecError, MalformedTime):
        return None


@dataclass(slots=True)
class Fates:
    """What became of the files of one intent, by object key."""

    intent: Intent
    delivered: set[str] = field(default_factory=set)
    """In their buckets, with the right bytes."""
    parked: dict[str, Parking] = field(default_factory=dict)
    """In the spool."""
    missing: set[str] = field(default_factory=set)
    """Nowhere."""

    @property
    def found(self) -> bool:
        """Whether anything of the window was put."""
        return bool(self.delivered or self.parked)

    @property
    def accounts(self) -> list[str]:
        """Whose files are missing."""
        return sorted({file.account_id for file in self.intent.files if file.object_key in self.missing})


def fates_of(
    intent: Intent, region: str, partition: int, store: ObjectStore, copies: Collection[HeldFile], spool: Spool
) -> Fates:
    """Looks for each file of an open intent. Raises ObjectStoreError: then nothing is known."""
    fates = Fates(intent)
    for file in intent.files:
        there = found_in_bucket(store, file.bucket, file.object_key)
        held = HeldFile(file.incarnation, region, partition, intent.number, file.account_id, file.part, file.sha256)
        if there is not None and there.sha256 == file.sha256:
            fates.delivered.add(file.object_key)
        elif held in copies:
            fates.parked[file.object_key] = Parking(len(spool.copy(held).body), None, is_answered=False)
        else:
            fates.missing.add(file.object_key)
    return fates


def all_fates(
    intents: Sequence[Intent], region: str, partition: int, store: ObjectStore, spool: Spool
) -> Sequence[Fates]:
    """The fates of all open intents' files, in their order. Raises ObjectStoreError."""
    copies = {held for held in spool.held_files() if (held.region, held.partition) == (region, partition)}
    return [fates_of(intent, region, partition, store, copies, spool) for intent in intents]

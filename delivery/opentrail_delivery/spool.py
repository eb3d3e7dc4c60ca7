"""The spool: an object store of the operator's for what cannot be delivered now.

    parked/{incarnation}/{region}/{partition}/{intent}/{account}-{part}-{sha256}
    poison/{region}/{topic id}/{partition}/{offset}
    dead-letters/{region}/{topic id}/{partition}/{offset}
    given-up/{region}/{account}/{client id}/{topic id}-{partition}-{offset}

A parked file's copy begins with one line of JSON, all that the ledger says of the file, so that a row that was lost
can be made again from the spool alone; its gzip member follows. A message is kept as the bus had it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import structlog

from opentrail.events.client_numbers import Ranges
from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail_backends.event_bus.port import Message, Partition
from opentrail_backends.object_store.port import (
    ObjectAlreadyExists,
    ObjectStore,
    ObjectStoreError,
    PutOptions,
)
from opentrail_backends.state.port import IntendedFile, ParkedFile
from opentrail_delivery.client_book import DeadLetter, GivenUpHoles

_log = structlog.get_logger("opentrail.delivery")

_PARKED, _POISON, _DEAD_LETTERS, _GIVEN_UP = "parked", "poison", "dead-letters", "given-up"


@dataclass(frozen=True, slots=True)
class LogFilePut:
    """A log file on its way to its bucket. The body is the same at each try."""

    region: str
    partition: int
    intent: int
    file: IntendedFile
    body: bytes


class HeldMessage(NamedTuple):
    """The place of a message in the spool. `why`: `poison` or `dead-letters`."""

    why: str
    topic_id: str
    partition: Partition
    offset: int

    @property
    def key(self) -> str:
        """Its object's key."""
        region, number = self.partition
        return f"{self.why}/{region}/{self.topic_id}/{number}/{self.offset}"


class HeldFile(NamedTuple):
    """The place of a parked log file's copy in the spool."""

    incarnation: str
    region: str
    partition: int
    intent: int
    account_id: str
    part: int
    sha256: str

    @property
    def key(self) -> str:
        """Its object's key."""
        place = f"{self.incarnation}/{self.region}/{self.partition}/{self.intent}"
        return f"{_PARKED}/{place}/{self.account_id}-{self.part}-{self.sha256}"


class DamagedCopy(ObjectStoreError):
    """A copy in the spool is not what was put there. It is kept for an operator."""


class Spool:
    """Keeps messages that cannot be delivered and log files that their bucket does not take. Encrypted by its store.

    Every put is create-only: keeping a thing again is no error. All methods raise ObjectStoreError.
    """

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    # --- messages ---------------------------------------------------------------------------------

    def keep_poison(self, topic_id: str, message: Message) -> None:
        """Keeps the raw bytes of a message that cannot be read."""
        self._keep(HeldMessage(_POISON, topic_id, message.partition, message.offset), message, {})

    def keep_dead_letter(self, topic_id: str, letter: DeadLetter) -> None:
        """Keeps a message with events that may have been delivered or not, and in which span their numbers lie.

        All numbers of the message within the span are unknown, none outside.
        """
        span = f"{letter.unknown[0][0]}-{letter.unknown[-1][1]}"
        held = HeldMessage(_DEAD_LETTERS, topic_id, letter.message.partition, letter.message.offset)
        self._keep(held, letter.message, {"unknown": span})

    def keep_given_up(self, topic_id: str, given_up: GivenUpHoles) -> None:
        """Keeps the holes that were given up while a message was taken: what fits them was never delivered before."""
        region, number = given_up.message.partition
        folder = _given_up_folder(region, given_up.account_id, given_up.client_id)
        body = json.dumps([list(hole) for hole in given_up.holes]).encode()
        self._put(f"{folder}{topic_id}-{number}-{given_up.message.offset}", body, {})

    def held_messages(self, why: str) -> Iterator[HeldMessage]:
        """All messages that are kept as `poison` or as `dead-letters`. What somebody else laid there is passed over."""
        for info in self._store.list(self._bucket, f"{why}/"):
            held = _held_message_at(why, info.key)
            if held is not None:
                yield held

    def message(self, held: HeldMessage) -> tuple[Message, Ranges]:
        """A kept message as the bus had it, and the span of numbers that may be new (dead letters)."""
        stored = self._store.get(self._bucket, held.key)
        append_time = int(stored.metadata["append-time"])
        first, _, last = stored.metadata.get("unknown", "").partition("-")
        unknown = [(int(first), int(last))] if last else []
        return Message(held.partition, held.offset, append_time, stored.body), unknown

    def given_up(self, region: str, account_id: str, client_id: bytes) -> Ranges:
        """All holes of a client that were given up, in the order in which they rise; none comes twice."""
        folder = _given_up_folder(region, account_id, client_id)
        holes = {
            (first, last)
            for info in self._store.list(self._bucket, folder)
            for first, last in json.loads(self._store.get(self._bucket, info.key).body)
        }
        return sorted(holes)

    def forget_message(self, held: HeldMessage) -> None:
        """Removes a message that was delivered after all."""
        self._store.delete(self._bucket, held.key)

    # --- parked log files -------------------------------------------------------------------------

    def park(self, file: LogFilePut) -> int:
        """Keeps a log file with all that its ledger row says; returns the bytes that the copy takes."""
        body = _copy_of(file)
        self._put(place_of(file).key, body, {})
        return len(body)

    def parked(self, file: ParkedFile) -> LogFilePut:
        """A parked file as it is to be put now: where to is the ledger's word. Raises DamagedCopy."""
        return aimed_at(self.copy(_held(file)), file)

    def copy(self, held: HeldFile) -> LogFilePut:
        """A parked file as it was to be put when it was parked. Raises DamagedCopy."""
        head, _, body = self._store.get(self._bucket, held.key).body.partition(b"\n")
        try:
            copy = LogFilePut(held.region, held.partition, held.intent, IntendedFile(**json.loads(head)), body)
            found = hashlib.sha256(read_log_file(body)).hexdigest()
        except (ValueError, TypeError, MalformedLogFile) as error:
            raise DamagedCopy(f"{held.key} in the spool cannot be read: {error}") from error
        if found != held.sha256:
            raise DamagedCopy(f"{held.key} in the spool holds other bytes than were put there")
        return copy

    def held_files(self) -> Iterator[HeldFile]:
        """All copies of log files, those too whose file was delivered meanwhile."""
        return self._held_below(f"{_PARKED}/")

    def _held_below(self, folder: str) -> Iterator[HeldFile]:
        for info in self._store.list(self._bucket, folder):
            held = _held_at(info.key)
            if held is not None:
                yield held

    def forget(self, file: ParkedFile) -> None:
        """Removes the copy of a file that is delivered now. A crash before it: a copy too many, which fsck finds."""
        self.forget_copy(_held(file))

    def forget_copy(self, held: HeldFile) -> None:
        """Removes a copy that nothing needs."""
        self._store.delete(self._bucket, held.key)

    def forget_copies(self, helds: Sequence[HeldFile]) -> None:
        """Removes what there is of these copies, which nothing needs. Raises nothing: what is left, fsck finds."""
        folders = {held.key.rpartition("/")[0] for held in helds}
        unneeded = set(helds)
        try:
            if next(self._store.list(self._bucket, f"{_PARKED}/"), None) is None:
                return  # as nearly always: no need to look for each
            for folder in sorted(folders):
                for held in self._held_below(f"{folder}/"):
                    if held in unneeded:
                        self.forget_copy(held)
        except ObjectStoreError as error:
            _log.warning("copies of delivered files stay in the spool", error=str(error))

    # --- helpers ----------------------------------------------------------------------------------

    def _keep(self, held: HeldMessage, message: Message, metadata: dict[str, str]) -> None:
        self._put(held.key, message.value, {"append-time": str(message.append_time), **metadata})

    def _put(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        options = PutOptions(metadata=metadata, content_type="application/octet-stream", content_encoding=None)
        try:
            self._store.put(self._bucket, key, body, options)
        except ObjectAlreadyExists:
            return


def copy_size(file: LogFilePut) -> int:
    """The bytes that a file's copy would take in the spool."""
    return len(_head_of(file)) + len(file.body)


def aimed_at(copy: LogFilePut, file: ParkedFile) -> LogFilePut:
    """The copy on its way to where the ledger says now."""
    target = replace(
        copy.file,
        bucket=file.bucket,
        object_key=file.object_key,
        kms_key_id=file.kms_key_id,
        trail_arn=file.trail_arn,
    )
    return replace(copy, file=target)


def _copy_of(file: LogFilePut) -> bytes:
    return _head_of(file) + file.body


def _head_of(file: LogFilePut) -> bytes:
    head = asdict(file.file)
    # Releases before cannot read them; the root can be made again from the records.
    del head["sns_topic_arn"], head["records_root"]
    return json.dumps(head).encode() + b"\n"


def place_of(file: LogFilePut) -> HeldFile:
    """Where a file's copy lies if it is parked."""
    known = file.file
    place = (known.incarnation, file.region, file.partition, file.intent)
    return HeldFile(*place, known.account_id, known.part, known.sha256)


def _held_at(key: str) -> HeldFile | None:
    """None: it is no copy of ours."""
    try:
        _, incarnation, region, partition, intent, name = key.split("/")
        account_id, part, sha256 = name.split("-")
        held = HeldFile(incarnation, region, int(partition), int(intent), account_id, int(part), sha256)
    except ValueError:
        return None
    return held if held.key == key else None


def _held_message_at(why: str, key: str) -> HeldMessage | None:
    """None: it is no message of ours."""
    try:
        _, region, topic_id, number, offset = key.split("/")
        held = HeldMessage(why, topic_id, Partition(region, int(number)), int(offset))
    except ValueError:
        return None
    return held if held.key == key else None


def _held(file: ParkedFile) -> HeldFile:
    place = (file.incarnation, file.region, file.partition, file.intent)
    return HeldFile(*place, file.account_id, file.part, file.sha256)


def _given_up_folder(region: str, account_id: str, client_id: bytes) -> str:
    return f"{_GIVEN_UP}/{region}/{account_id}/{client_id.hex()}/"

"""Finds one record in a log file, by its `eventID`, and its way up the tree. Pure: an object in, a value out."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from opentrail.evidence.digest import LogFileEntry
from opentrail.evidence.records_tree import inclusion_path, leaf_hash, tree_root
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.gzip_member import MAX_LOG_FILE_BYTES, inflate
from opentrail_validator.readers.port import Place, StoredObject

_SPELT_PLAINLY: Final = re.compile(r"[A-Za-z0-9-]+")
_ESCAPE: Final = b"\\u"


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record in its log file; what a proof says of it."""

    record: bytes
    index: int
    count: int
    path: tuple[bytes, ...]


class _LogFile(msgspec.Struct):
    Records: list[msgspec.Raw]


class _Record(msgspec.Struct):
    eventID: Any = None  # noqa: N815 - the record's own name


_LOG_FILE: Final = msgspec.json.Decoder(_LogFile)
_RECORD: Final = msgspec.json.Decoder(_Record)


class RecordFinder:
    """Looks for one event in log files. Safe for use by several threads."""

    def __init__(self, event_id: str) -> None:
        self._event_id = event_id
        # Most records are told apart by a search for these bytes: an id of such letters has no other spelling than
        # with the escape \uXXXX. Any other id is looked for by decoding.
        self._plain = event_id.encode() if _SPELT_PLAINLY.fullmatch(event_id) else None

    def find(self, at: Place, stored: StoredObject, entry: LogFileEntry) -> FoundRecord | Finding | None:
        """The record; None if it is not in there; a finding if the log file is not what its digest's entry says."""
        inflated = inflate(stored.body, MAX_LOG_FILE_BYTES)
        if inflated.kind is not Kind.VALID:
            return Finding(inflated.kind, Subject.LOG_FILE, *at, inflated.detail)
        if hashlib.sha256(inflated.data).hexdigest() != entry.hash_value:
            return Finding(Kind.HASH_MISMATCH, Subject.LOG_FILE, *at)
        if not self._may_be_in(inflated.data):
            return None
        try:
            records = [bytes(raw) for raw in _LOG_FILE.decode(inflated.data).Records]
        except (ValueError, RecursionError) as error:
            return Finding(Kind.MALFORMED, Subject.LOG_FILE, *at, str(error))
        index = next((index for index, record in enumerate(records) if self._is(record)), None)
        if index is None:
            return None
        leaves = [leaf_hash(record) for record in records]
        if len(leaves) != entry.record_count:
            detail = f"it has {len(leaves)} records, not {entry.record_count}"
            return Finding(Kind.ROOT_MISMATCH, Subject.LOG_FILE, *at, detail)
        if tree_root(leaves).hex() != entry.records_root:
            return Finding(Kind.ROOT_MISMATCH, Subject.LOG_FILE, *at)
        return FoundRecord(records[index], index, len(records), tuple(inclusion_path(leaves, index)))

    def _may_be_in(self, data: bytes) -> bool:
        return self._plain is None or self._plain in data or _ESCAPE in data

    def _is(self, record: bytes) -> bool:
        if not self._may_be_in(record):
            return False
        try:
            return bool(_RECORD.decode(record).eventID == self._event_id)
        except (ValueError, RecursionError):
            return False  # Not an object, or nested without end: no event.

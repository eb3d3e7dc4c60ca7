"""Findings: what the validator says of one object. Values of a closed list, never texts in exceptions.

"Invalid" and "could not be checked" are different verdicts: a lost connection is not tampering.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a finding means for the evidence."""

    VALID = "valid"
    INVALID = "invalid"
    UNCHECKED = "unchecked"
    NOTE = "note"
    """Worth telling, not wrong."""


class Subject(StrEnum):
    """What a finding is about."""

    DIGEST = "digest"
    BACKFILL_DIGEST = "backfill digest"
    LOG_FILE = "log"
    LISTING = "listing"
    """The list of a bucket's digests; the finding's key is the prefix listed."""


class Kind(StrEnum):
    """The closed list. The AWS CLI's words for each stand in `report.py`, the meaning in docs/validate-logs.md."""

    VALID = "valid"
    NOT_FOUND = "not-found"
    MALFORMED = "malformed"
    """Not gzip, not JSON, a field that is missing or of the wrong form, or an envelope that cannot be opened."""
    TRAILING_DATA = "trailing-data"
    """Bytes after the end of the gzip member."""
    MOVED = "moved"
    """The digest says that it lies elsewhere."""
    UNKNOWN_KEY = "unknown-key"
    """No public key with the fingerprint that the digest names. `detail`: the fingerprint."""
    MALFORMED_KEY = "malformed-key"
    """The public key is no PKCS#1 key, or not the one that its fingerprint names. `detail`: the fingerprint."""
    BAD_SIGNATURE = "bad-signature"
    """There is no signature, or it is not the key's over this digest."""
    NOT_THE_RECORDED = "not-the-recorded"
    """Signed, but not the digest that the next one recorded. `detail`: what differs, comma-separated."""
    HASH_MISMATCH = "hash-mismatch"
    """The log file is not the one that its digest recorded."""
    GAP = "gap"
    """A starting digest with an older chain before it: nothing was digested from `start` to `end`."""
    NOT_CHECKED = "not-checked"
    """Could not be read or asked for. `detail`: the reason."""

    @property
    def verdict(self) -> Verdict:
        """What this kind means for the evidence."""
        match self:
            case Kind.VALID:
                return Verdict.VALID
            case Kind.NOT_CHECKED:
                return Verdict.UNCHECKED
            case Kind.GAP:
                return Verdict.NOTE
            case _:
                return Verdict.INVALID


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement about one object. `start` and `end`: a valid digest's window, or a gap's, epoch seconds."""

    kind: Kind
    subject: Subject
    bucket: str
    key: str
    detail: str = ""
    start: int | None = None
    end: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What it means for the evidence."""
        return self.kind.verdict

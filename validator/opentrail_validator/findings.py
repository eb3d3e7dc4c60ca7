"""Findings: what the validator says of one object, chain or span of time. Values of a closed list, never exceptions.

"Invalid" and "could not be checked" are different verdicts: a lost connection is not tampering. `FACTS` has each kind's
verdict, severity, meaning and the AWS CLI's words for it; docs/validate-logs.md shows the same table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Verdict(StrEnum):
    """What a finding means for the evidence."""

    VALID = "valid"
    INVALID = "invalid"
    UNCHECKED = "unchecked"
    NOTE = "note"
    """Worth telling, not wrong."""


class Severity(StrEnum):
    """How much it takes to do this, and what it spoils. In falling order."""

    CRITICAL = "critical"
    """Evidence was altered, removed, added or forged."""
    MAJOR = "major"
    """Evidence contradicts itself or is incomplete: altered, or a fault of whoever wrote it."""
    MINOR = "minor"
    """Nothing is known: it could not be checked."""
    NONE = "none"


class Subject(StrEnum):
    """What a finding is about."""

    DIGEST = "digest"
    BACKFILL_DIGEST = "backfill digest"
    LOG_FILE = "log"
    HEAD = "head"
    """A signed chain head; the finding's bucket and key are those of the digest that it names."""
    CHAIN = "chain"
    """The chain in a span of time; the key is the folder of its digests."""
    LISTING = "listing"
    """A list of a bucket's objects; the key is the prefix listed."""
    STATE = "state"
    """The state file of the run before; the key is its path."""


class Kind(StrEnum):
    """The closed list; `FACTS` says what each means."""

    VALID = "valid"
    NOT_FOUND = "not-found"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    TRAILING_DATA = "trailing-data"
    SEVERAL_MEMBERS = "several-members"
    DECOMPRESSION_BOMB = "decompression-bomb"
    MOVED = "moved"
    WRONG_CLAIM = "wrong-claim"
    UNKNOWN_KEY = "unknown-key"
    MALFORMED_KEY = "malformed-key"
    KEY_OUTSIDE_VALIDITY = "key-outside-validity"
    BAD_SIGNATURE = "bad-signature"
    CHAIN_BROKEN = "chain-broken"
    FORK = "fork"
    HASH_MISMATCH = "hash-mismatch"
    ROOT_MISMATCH = "root-mismatch"
    MISPLACED_RECORD = "misplaced-record"
    PLANTED = "planted"
    NEWEST_MISSING = "newest-missing"
    BAD_HEAD = "bad-head"
    BAD_STATE = "bad-state"
    HOUR_WITHOUT_DIGEST = "hour-without-digest"
    GAP = "gap"
    NOTHING_FOUND = "nothing-found"
    NOT_COVERED = "not-covered"
    NOT_CHECKED = "not-checked"

    @property
    def verdict(self) -> Verdict:
        """What this kind means for the evidence."""
        return FACTS[self].verdict

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return FACTS[self].severity


class Facts(NamedTuple):
    """What is fixed about a kind."""

    verdict: Verdict
    severity: Severity
    meaning: str
    aws: str | None
    """What the AWS CLI 1.46 prints for it after `INVALID: ` (or as its line); None: it does not see it."""


_INVALID, _CRITICAL, _MAJOR = Verdict.INVALID, Severity.CRITICAL, Severity.MAJOR

FACTS: Final[Mapping[Kind, Facts]] = {
    Kind.VALID: Facts(Verdict.VALID, Severity.NONE, "everything that was checked fits", "valid"),
    Kind.NOT_FOUND: Facts(_INVALID, _CRITICAL, "a digest or log file that evidence names is not there", "not found"),
    Kind.MALFORMED: Facts(
        _INVALID,
        _CRITICAL,
        "not gzip, not JSON, a field missing or of the wrong form, records that cannot be read, or an envelope that "
        "does not open",
        "invalid format",
    ),
    Kind.TRUNCATED: Facts(_INVALID, _CRITICAL, "the gzip member ends too early", "hash value doesn't match"),
    Kind.TRAILING_DATA: Facts(
        _INVALID,
        _CRITICAL,
        "bytes after the end of the gzip member",
        "unexpected data after end of compressed stream",
    ),
    Kind.SEVERAL_MEMBERS: Facts(
        _INVALID,
        _CRITICAL,
        "another gzip member follows: readers differ in which content they see",
        "unexpected data after end of compressed stream",
    ),
    Kind.DECOMPRESSION_BOMB: Facts(
        _INVALID,
        _CRITICAL,
        "inflates to more than any such file may hold; reading stops there",
        "hash value doesn't match",
    ),
    Kind.MOVED: Facts(
        _INVALID, _CRITICAL, "the digest says that it lies elsewhere", "has been moved from its original location"
    ),
    Kind.WRONG_CLAIM: Facts(
        _INVALID, _MAJOR, "the digest claims another account, region or trail than the chain that it lies in", None
    ),
    Kind.UNKNOWN_KEY: Facts(
        _INVALID,
        _CRITICAL,
        "no public key has the fingerprint that the digest names",
        "public key not found in region {home_region} for fingerprint {detail}",
    ),
    Kind.MALFORMED_KEY: Facts(
        _INVALID,
        _CRITICAL,
        "the public key is no PKCS#1 RSA key of 2048 bits or more, or not the one that its fingerprint names",
        "Unable to load PKCS #1 key with fingerprint {detail}",
    ),
    Kind.KEY_OUTSIDE_VALIDITY: Facts(
        _INVALID, _CRITICAL, "signed with a key that was not valid at the digest's end", None
    ),
    Kind.BAD_SIGNATURE: Facts(
        _INVALID,
        _CRITICAL,
        "there is no signature, or it is not the key's over this digest",
        "signature verification failed",
    ),
    Kind.CHAIN_BROKEN: Facts(
        _INVALID,
        _CRITICAL,
        "well signed, but not the digest that the next one (or a head, or the state file) recorded",
        None,
    ),
    Kind.FORK: Facts(
        _INVALID,
        _CRITICAL,
        "a well signed digest of the chain that no later digest leads to: there are two histories",
        None,
    ),
    Kind.HASH_MISMATCH: Facts(
        _INVALID, _CRITICAL, "the log file's content is not what the digest recorded", "hash value doesn't match"
    ),
    Kind.ROOT_MISMATCH: Facts(
        _INVALID, _MAJOR, "the records are not those whose count and Merkle root the digest recorded", None
    ),
    Kind.MISPLACED_RECORD: Facts(
        _INVALID,
        _MAJOR,
        "a record of another account or region than its log file, or outside of the times that the digest recorded",
        None,
    ),
    Kind.PLANTED: Facts(
        _INVALID, _CRITICAL, "a log file that no digest names, though digests were made since it lies there", None
    ),
    Kind.NEWEST_MISSING: Facts(
        _INVALID, _CRITICAL, "a signed head names a newer digest than any that is there: the newest were removed", None
    ),
    Kind.BAD_HEAD: Facts(_INVALID, _MAJOR, "a chain head that cannot be read or whose signature does not fit", None),
    Kind.BAD_STATE: Facts(
        _INVALID, _MAJOR, "the state file's head does not verify: it is not used, and everything is read", None
    ),
    Kind.HOUR_WITHOUT_DIGEST: Facts(
        _INVALID, _MAJOR, "linked digests whose times do not meet: they leave time out, or tell of it twice", None
    ),
    Kind.GAP: Facts(
        Verdict.NOTE,
        Severity.NONE,
        "a new chain begins after an older one: logging or validation was off in between",
        "No log files were delivered by CloudTrail between {start} and {end}",
    ),
    Kind.NOTHING_FOUND: Facts(_INVALID, _MAJOR, "no digest at all in the time asked for", "No digests found"),
    Kind.NOT_COVERED: Facts(_INVALID, _MAJOR, "a part of the time asked for that no valid digest covers", None),
    Kind.NOT_CHECKED: Facts(
        Verdict.UNCHECKED, Severity.MINOR, "could not be read or asked for; the reason is told", None
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement about one subject.

    `start` and `end` (epoch seconds): a valid digest's window, or the span that a finding about time is about.
    `events` and `size` (uncompressed bytes): a log file's, as far as known: what an invalid finding affects.
    """

    kind: Kind
    subject: Subject
    bucket: str
    key: str
    detail: str = ""
    start: int | None = None
    end: int | None = None
    events: int | None = None
    size: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What it means for the evidence."""
        return self.kind.verdict

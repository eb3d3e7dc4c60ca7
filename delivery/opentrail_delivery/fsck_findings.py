"""What `opentrail fsck` may find: a closed list. Findings are values; what could not be checked is another verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """What a finding asks for."""

    ERROR = "error"
    """Something is lost, altered or doubled, or stands still until an operator acts."""
    NOTICE = "notice"
    """Something waits, or was given up and recorded."""


class Kind(StrEnum):
    """What does not fit."""

    FILE_MISSING = "file-missing"
    """A delivered log file is not in its bucket."""
    FILE_DIFFERENT = "file-different"
    """A delivered log file is there with another hash."""
    FILE_IN_TWO_DIGESTS = "file-in-two-digests"
    FILE_IN_NO_DIGEST = "file-in-no-digest"
    """A file was delivered so long ago that a digest should name it."""
    STRAY_OBJECT = "stray-object"
    """An object among log files and digests that neither the ledger nor a digest names: left over, or planted."""
    UNPROVEN_OBJECT = "unproven-object"
    """The same, but so old that the ledger may have forgotten it (of a trail without log file validation)."""
    DIGEST_MISSING = "digest-missing"
    """A digest that was published, or that the next one links to, is not in its bucket."""
    DIGEST_DIFFERENT = "digest-different"
    """A digest is not what the ledger, or the next digest, says it is."""
    DIGEST_UNKNOWN = "digest-unknown"
    """A digest that we signed lies beyond its chain's head: the ledger went back in time."""
    DIGEST_FOREIGN = "digest-foreign"
    """A digest beyond its chain's head that none of our keys has signed."""
    PARKED_WITHOUT_COPY = "parked-without-copy"
    """A file that the ledger says is parked does not lie in the spool."""
    COPY_WITHOUT_ROW = "copy-without-row"
    """The spool holds a log file that the ledger does not know."""
    COPY_LEFT_OVER = "copy-left-over"
    """The spool still holds a file that was delivered."""
    POISON = "poison"
    DEAD_LETTERS = "dead-letters"
    GIVEN_UP_HOLES = "given-up-holes"
    """Numbers of clients were given up: what fits them later goes to the dead letters."""
    PARKED_FILES = "parked-files"
    """Log files wait in the spool."""
    EXPIRED_FILES = "expired-files"
    """Log files in the spool are not tried any more."""
    PARTITION_MISFIT = "partition-misfit"
    """A partition's ledger and the bus do not fit: `opentrail settle`."""
    OPEN_WINDOWS = "open-windows"
    """Windows are between steps 3 and 5."""
    LOST_OFFSETS = "lost-offsets"
    """Messages that an operator gave up."""
    ORPHANS = "orphans"
    """Delivered files that no running chain will name yet."""


NOTICES = {
    Kind.UNPROVEN_OBJECT, Kind.COPY_LEFT_OVER, Kind.POISON, Kind.DEAD_LETTERS, Kind.GIVEN_UP_HOLES, Kind.PARKED_FILES,
    Kind.EXPIRED_FILES, Kind.OPEN_WINDOWS, Kind.LOST_OFFSETS, Kind.ORPHANS,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit."""

    kind: Kind
    subject: str
    """What it is about: an object's URL, a partition, a trail."""
    detail: str = ""

    @property
    def severity(self) -> Severity:
        """What it asks for."""
        return Severity.NOTICE if self.kind in NOTICES else Severity.ERROR


@dataclass(slots=True)
class FsckReport:
    """What was found, what could not be checked, and how much was looked at."""

    findings: list[Finding] = field(default_factory=list)
    unchecked: list[tuple[str, str]] = field(default_factory=list)
    """What could not be checked, and why."""
    checked: Counter[str] = field(default_factory=Counter)
    """How many log files, digests, rows, partitions, copies were looked at."""

    def add(self, kind: Kind, subject: str, detail: str = "") -> None:
        """Adds a finding."""
        self.findings.append(Finding(kind, subject, detail))

    @property
    def exit_code(self) -> int:
        """0: nothing is wrong; 1: errors; 3: no errors, but not everything could be checked."""
        if any(finding.severity is Severity.ERROR for finding in self.findings):
            return 1
        return 3 if self.unchecked else 0

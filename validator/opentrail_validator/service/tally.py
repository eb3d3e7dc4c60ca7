"""Counts of findings."""

from __future__ import annotations

from dataclasses import dataclass

from opentrail_validator.findings import Finding, Kind, Subject, Verdict

_DIGESTS = (Subject.DIGEST, Subject.BACKFILL_DIGEST)
_NOT_THERE_TO_CHECK = (Kind.NOT_CHECKED, Kind.NOT_FOUND, Kind.NEWEST_MISSING)


@dataclass(slots=True)
class Tally:
    """What a validation came to so far."""

    digests: int = 0
    """That were checked, backfill digests too."""
    log_files: int = 0
    size: int = 0
    """Uncompressed bytes of the log files that were checked, where it is known."""
    invalid: int = 0
    unchecked: int = 0
    notes: int = 0

    def add(self, finding: Finding) -> None:
        """Counts a finding."""
        if finding.kind not in _NOT_THERE_TO_CHECK and finding.verdict is not Verdict.NOTE:
            if finding.subject in _DIGESTS:
                self.digests += 1
            elif finding.subject is Subject.LOG_FILE:
                self.log_files += 1
                self.size += finding.size or 0
        self.invalid += finding.verdict is Verdict.INVALID
        self.unchecked += finding.verdict is Verdict.UNCHECKED
        self.notes += finding.verdict is Verdict.NOTE

    def add_all(self, other: Tally) -> None:
        """Adds another one's counts."""
        self.digests += other.digests
        self.log_files += other.log_files
        self.size += other.size
        self.invalid += other.invalid
        self.unchecked += other.unchecked
        self.notes += other.notes

    @property
    def verdict(self) -> Verdict:
        """Invalid if anything is, else unchecked if anything is, else valid."""
        if self.invalid:
            return Verdict.INVALID
        return Verdict.UNCHECKED if self.unchecked else Verdict.VALID

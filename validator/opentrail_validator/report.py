"""The report as text: the AWS CLI's lines on its streams, its summary, and exit codes.

Facts about `aws cloudtrail validate-logs` 1.46: what is valid goes to the standard output and only with --verbose, what
is not goes to the standard error, set off by blank lines; the summary counts digests, backfill digests and log files.
What could not be checked is ours: the AWS CLI stops there.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, TextIO

from opentrail.evidence.times import format_time
from opentrail_validator.findings import Finding, Kind, Subject, Verdict

EXIT_VALID: Final = 0
EXIT_INVALID: Final = 1
EXIT_NOT_CHECKED: Final = 3
EXIT_FAILED: Final = 255

_NAMES: Final = {
    Subject.DIGEST: "Digest file",
    Subject.BACKFILL_DIGEST: "(backfill) Digest file",
    Subject.LOG_FILE: "Log file",
    Subject.LISTING: "Digest files",
}
_INVALID: Final = {
    Kind.NOT_FOUND: "not found",
    Kind.MALFORMED: "invalid format",
    Kind.TRAILING_DATA: "unexpected data after end of compressed stream",
    Kind.MOVED: "has been moved from its original location",
    Kind.UNKNOWN_KEY: "public key not found in region {home_region} for fingerprint {detail}",
    Kind.MALFORMED_KEY: "Unable to load PKCS #1 key with fingerprint {detail}",
    Kind.BAD_SIGNATURE: "signature verification failed",
    Kind.NOT_THE_RECORDED: "not the digest file that the next one recorded ({detail} differs)",
    Kind.HASH_MISMATCH: "hash value doesn't match",
}


def line(finding: Finding, home_region: str) -> str:
    """A finding in a line. `home_region` is the trail's; the AWS CLI names it where a public key is missing."""
    name = _NAMES[finding.subject]
    if finding.kind is Kind.GAP:
        prefix = "(backfill) " if finding.subject is Subject.BACKFILL_DIGEST else ""
        between = f"{format_time(finding.start or 0)} and {format_time(finding.end or 0)}"
        return f"{prefix}No log files were delivered by CloudTrail between {between}"
    at = f"{name}\ts3://{finding.bucket}/{finding.key}\t"
    match finding.verdict:
        case Verdict.VALID:
            return f"{at}valid"
        case Verdict.UNCHECKED:
            return f"{at}could not be checked: {finding.detail}"
        case _:
            return f"{at}INVALID: " + _INVALID[finding.kind].format(home_region=home_region, detail=finding.detail)


class TextReport:
    """Writes findings as they come, then the summary. `start` and `end`: the range asked for, epoch seconds."""

    def __init__(
        self, trail_arn: str, home_region: str, start: int, end: int, *, verbose: bool, out: TextIO, err: TextIO
    ) -> None:
        self._trail_arn = trail_arn
        self._home_region = home_region
        self._start = start
        self._end = end
        self._verbose = verbose
        self._out = out
        self._err = err
        self._counts: Counter[tuple[Subject, Verdict]] = Counter()
        self._found: tuple[int, int] | None = None
        self._after_blank_line = True

    def begin(self) -> None:
        """The first line."""
        self._out.write(f"Validating log files for trail {self._trail_arn} between {self._requested('and')}\n\n")

    def add(self, finding: Finding) -> None:
        """Counts a finding and writes its line."""
        self._counts[finding.subject, finding.verdict] += 1
        if finding.kind is Kind.VALID and finding.start is not None and finding.end is not None:
            start, end = max(finding.start, self._start), min(finding.end, self._end)
            found = self._found or (start, end)
            self._found = min(start, found[0]), max(end, found[1])
        text = line(finding, self._home_region)
        if finding.verdict is not Verdict.VALID:
            self._out.flush()
            self._err.write(f"{text}\n\n" if self._after_blank_line else f"\n{text}\n\n")
            self._after_blank_line = True
        elif self._verbose:
            self._out.write(f"{text}\n")
            self._after_blank_line = False

    def finish(self) -> int:
        """The summary. Returns the exit code: invalid outranks could not be checked."""
        if not self._after_blank_line:
            self._out.write("\n")
        self._out.write(f"Results requested for {self._requested('to')}\n")
        if not any(self._total(subject) for subject in (Subject.DIGEST, Subject.BACKFILL_DIGEST, Subject.LISTING)):
            self._out.write("No digests found\n")
            return EXIT_VALID
        if self._found is None:
            self._out.write("No valid digests found in range\n")
        else:
            self._out.write(f"Results found for {format_time(self._found[0])} to {format_time(self._found[1])}:\n")
        for subject in (Subject.DIGEST, Subject.BACKFILL_DIGEST, Subject.LOG_FILE):
            self._write_ratio(subject)
        self._out.write("\n")
        return self._exit_code()

    def _requested(self, word: str) -> str:
        return f"{format_time(self._start)} {word} {format_time(self._end)}"

    def _total(self, subject: Subject) -> int:
        return sum(self._counts[subject, verdict] for verdict in (Verdict.VALID, Verdict.INVALID, Verdict.UNCHECKED))

    def _write_ratio(self, subject: Subject) -> None:
        total = self._total(subject)
        if not total:
            return
        files = f"{total} {subject.value} files"
        self._out.write(f"\n{self._counts[subject, Verdict.VALID]}/{files} valid")
        if invalid := self._counts[subject, Verdict.INVALID]:
            self._out.write(f", {invalid}/{files} INVALID")
        if unchecked := self._counts[subject, Verdict.UNCHECKED]:
            self._out.write(f", {unchecked}/{files} could not be checked")

    def _exit_code(self) -> int:
        verdicts = {verdict for (_, verdict), count in self._counts.items() if count}
        if Verdict.INVALID in verdicts:
            return EXIT_INVALID
        return EXIT_NOT_CHECKED if Verdict.UNCHECKED in verdicts else EXIT_VALID

"""The report as text: for each chain the AWS CLI's lines on its streams and its summary, then once a section of ours.

Facts about `aws cloudtrail validate-logs` 1.46: what is valid goes to the standard output and only with --verbose, what
is not goes to the standard error, set off by blank lines; the summary counts digests, backfill digests and log files.
"""

from __future__ import annotations

import os
from typing import Final, TextIO

from opentrail.evidence.times import format_time
from opentrail_validator.findings import Finding, Subject, Verdict
from opentrail_validator.question import Question
from opentrail_validator.reports.port import RunInfo, printable
from opentrail_validator.reports.section import section
from opentrail_validator.reports.words import line
from opentrail_validator.summary import ChainSummary, Summary

_BOLD, _RED, _GREEN, _YELLOW = "1", "31", "32", "33"
_COLOURS: Final = {Verdict.VALID: _GREEN, Verdict.INVALID: _RED, Verdict.UNCHECKED: _YELLOW, Verdict.NOTE: _YELLOW}


class TextReport:
    """Writes findings as they come. Colours appear on a terminal only, and not where NO_COLOR is set."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._out_colours = _wants_colours(out)
        self._err_colours = _wants_colours(err)
        self._run = RunInfo(())
        self._after_blank_line = True

    def begin(self, run: RunInfo) -> None:
        """Nothing: the AWS CLI's first line is a chain's."""
        self._run = run

    def begin_chain(self, question: Question) -> None:
        """The AWS CLI's first line; where there are several chains, which one it is."""
        if len(self._run.questions) > 1:
            place = question.place
            heading = f"{place.account_id} in {place.region} (trail {place.trail_name})"
            self._out.write(self._styled(printable(heading), _BOLD) + "\n")
        between = _times(question, "and")
        self._out.write(f"Validating log files for trail {printable(question.trail_arn)} between {between}\n\n")
        self._after_blank_line = True

    def add(self, question: Question, finding: Finding) -> None:
        """One finding."""
        text = line(finding, question.place.home_region)
        if finding.verdict is Verdict.VALID:
            if self._run.verbose:
                self._out.write(f"{text}\n")
                self._after_blank_line = False
            return
        self._out.flush()
        text = _coloured(text, _COLOURS[finding.verdict]) if self._err_colours else text
        self._err.write(f"{text}\n\n" if self._after_blank_line else f"\n{text}\n\n")
        self._err.flush()
        self._after_blank_line = True

    def end_chain(self, chain: ChainSummary) -> None:
        """The AWS CLI's summary, or why there is none."""
        if chain.failure is not None:
            self._out.flush()
            self._err.write(f"\n{printable(chain.failure)}\n")
            self._err.flush()
        else:
            self._write_results(chain)
        if len(self._run.questions) > 1:
            self._out.write("\n")

    def finish(self, summary: Summary) -> None:
        """Our section."""
        if len(self._run.questions) == 1:
            self._out.write("\n")
        for label, text in section(self._run, summary):
            padded = f"{f'{label}:' if label else '':<14}"
            self._out.write(f"{self._styled(padded, _BOLD)}{printable(text)}\n")
        self._out.flush()

    def _write_results(self, chain: ChainSummary) -> None:
        if not self._after_blank_line:
            self._out.write("\n")
        self._out.write(f"Results requested for {_times(chain.question, 'to')}\n")
        if not chain.total(Subject.DIGEST, Subject.BACKFILL_DIGEST, Subject.LISTING):
            self._out.write("No digests found\n")
            return
        if chain.found is None:
            self._out.write("No valid digests found in range\n")
        else:
            self._out.write(f"Results found for {format_time(chain.found.start)} to {format_time(chain.found.end)}:\n")
        for subject in (Subject.DIGEST, Subject.BACKFILL_DIGEST, Subject.LOG_FILE):
            self._write_ratio(chain, subject)
        self._out.write("\n")

    def _write_ratio(self, chain: ChainSummary, subject: Subject) -> None:
        total = chain.total(subject)
        if not total:
            return
        files = f"{total} {subject.value} files"
        self._out.write(f"\n{chain.counts[subject, Verdict.VALID]}/{files} valid")
        if invalid := chain.counts[subject, Verdict.INVALID]:
            self._out.write(f", {invalid}/{files} INVALID")
        if unchecked := chain.counts[subject, Verdict.UNCHECKED]:
            self._out.write(f", {unchecked}/{files} could not be checked")

    def _styled(self, text: str, style: str) -> str:
        return _coloured(text, style) if self._out_colours else text


def _times(question: Question, word: str) -> str:
    return f"{format_time(question.start)} {word} {format_time(question.end)}"


def _coloured(text: str, style: str) -> str:
    return f"\x1b[{style}m{text}\x1b[0m"


def _wants_colours(stream: TextIO) -> bool:
    """Source: no-color.org. A terminal that is called dumb shows none."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

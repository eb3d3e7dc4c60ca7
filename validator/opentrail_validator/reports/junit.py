"""The report as JUnit XML, as Jenkins and other CI servers read it: a suite for each chain.

A case is an object that is not valid (with --verbose each object); one case is the chain as a whole, so that no suite
is empty. What could not be checked is skipped. A suite's counts stand before its cases: these wait in a temporary file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from typing import IO, Final, TextIO
from xml.sax.saxutils import escape, quoteattr

from opentrail.evidence.times import format_time
from opentrail_validator.findings import FACTS, Finding, Verdict
from opentrail_validator.question import Question
from opentrail_validator.reports.port import RunInfo, printable
from opentrail_validator.reports.words import NAMES, what, where
from opentrail_validator.summary import ChainSummary, Summary

_IN_MEMORY: Final = 1 << 20
"""Bytes of a suite that need no file."""


class JunitReport:
    """Writes `<testsuites>`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._verbose = False
        self._counts: Counter[str] = Counter()
        self._cases: IO[str] | None = None

    def begin(self, run: RunInfo) -> None:
        """The document's beginning."""
        self._verbose = run.verbose
        self._out.write('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="validate-logs">\n')

    def begin_chain(self, question: Question) -> None:  # noqa: ARG002 - a suite is written when it is complete
        """The next suite."""
        self._counts = Counter()
        self._cases = tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8")  # noqa: SIM115 - end_chain closes it

    def add(self, question: Question, finding: Finding) -> None:
        """One case."""
        if finding.verdict is Verdict.VALID and not self._verbose:
            return
        text = what(finding, question.place.home_region)
        about = f"{NAMES[finding.subject]} {where(finding)}: {text}"
        match finding.verdict:
            case Verdict.INVALID:
                meaning = FACTS[finding.kind].meaning
                inner = _tag("failure", text, finding.kind.value, f"{about}\n{finding.kind.severity.value}: {meaning}")
            case Verdict.UNCHECKED:
                inner = f"<skipped message={_attribute(text)}/>"
            case Verdict.NOTE:
                inner = f"<system-out>{_text(text)}</system-out>"
            case Verdict.VALID:
                inner = ""
        self._case(question, f"{NAMES[finding.subject]} {where(finding)}", inner, finding.verdict)

    def end_chain(self, chain: ChainSummary) -> None:
        """Writes the suite."""
        inner, verdict = "", Verdict.VALID
        if chain.failure is not None:
            inner, verdict = f"<skipped message={_attribute(chain.failure)}/>", Verdict.UNCHECKED
        self._case(chain.question, "Chain as a whole", inner, verdict)
        counts = (
            f'tests="{self._counts["tests"]}" failures="{self._counts[Verdict.INVALID]}" errors="0" '
            f'skipped="{self._counts[Verdict.UNCHECKED]}"'
        )
        timestamp = format_time(chain.question.now).removesuffix("Z")
        name = _attribute(_name(chain.question))
        self._out.write(f'<testsuite name={name} {counts} time="0" timestamp="{timestamp}">\n')
        assert self._cases is not None
        with self._cases as cases:
            cases.seek(0)
            shutil.copyfileobj(cases, self._out)
        self._out.write("</testsuite>\n")

    def finish(self, summary: Summary) -> None:  # noqa: ARG002 - JUnit XML has no place for it
        """The document's end."""
        self._out.write("</testsuites>\n")
        self._out.flush()

    def _case(self, question: Question, name: str, inner: str, verdict: Verdict) -> None:
        assert self._cases is not None
        self._counts["tests"] += 1
        self._counts[verdict] += 1
        attributes = f'classname={_attribute(_name(question))} name={_attribute(name)} time="0"'
        self._cases.write(f"<testcase {attributes}>{inner}</testcase>\n" if inner else f"<testcase {attributes}/>\n")


def _name(question: Question) -> str:
    place = question.place
    return f"{place.trail_name}.{place.account_id}.{place.region}"


def _tag(name: str, message: str, kind: str, text: str) -> str:
    return f"<{name} message={_attribute(message)} type={_attribute(kind)}>{_text(text)}</{name}>"


def _attribute(text: str) -> str:
    return quoteattr(printable(text))


def _text(text: str) -> str:
    """XML cannot hold most control characters, not even escaped."""
    return escape("\n".join(printable(line) for line in text.split("\n")))

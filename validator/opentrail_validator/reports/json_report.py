"""The report as one JSON document, for programs: written as findings come, one on a line, keys in a fixed order.

docs/validate-logs.md describes the fields. Times are texts as evidence has them, `null` where there is none.
"""

from __future__ import annotations

import json
from typing import Any, Final, TextIO

from opentrail.evidence.times import format_time
from opentrail_validator.findings import Finding, Subject, Verdict
from opentrail_validator.question import Question, Span
from opentrail_validator.reports.port import RunInfo
from opentrail_validator.reports.words import what
from opentrail_validator.summary import ChainSummary, Summary

FORMAT: Final = "opentrail validate-logs 1"
_COUNTED: Final = {
    Subject.DIGEST: "digests",
    Subject.BACKFILL_DIGEST: "backfillDigests",
    Subject.LOG_FILE: "logFiles",
    Subject.HEAD: "heads",
    Subject.CHAIN: "chain",
    Subject.LISTING: "listings",
    Subject.STATE: "state",
}


class JsonReport:
    """Writes the document. What is valid is among the findings only with --verbose."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._verbose = False
        self._separator = ""

    def begin(self, run: RunInfo) -> None:
        """What is asked, and the beginning of the findings."""
        self._verbose = run.verbose
        asked = {
            "chains": len(run.questions),
            "time": _time(max((question.now for question in run.questions), default=None)),
            "checks": _checks(run),
            "notes": list(run.notices),
        }
        self._out.write(f'{{\n"format": {_json(FORMAT)},\n"asked": {_json(asked)},\n"findings": [')

    def begin_chain(self, question: Question) -> None:
        """Nothing: each finding names its chain."""

    def add(self, question: Question, finding: Finding) -> None:
        """One finding on a line."""
        if finding.verdict is Verdict.VALID and not self._verbose:
            return
        self._out.write(f"{self._separator}\n{_json(_finding(question, finding))}")
        self._separator = ","

    def end_chain(self, chain: ChainSummary) -> None:
        """Nothing: chains stand behind all findings."""

    def finish(self, summary: Summary) -> None:
        """The chains, one on a line, and what the run comes to."""
        chains = ",\n".join(_json(_chain(chain)) for chain in summary.chains)
        self._out.write(f'\n],\n"chains": [\n{chains}\n],\n"summary": {_json(_summary(summary))}\n}}\n')
        self._out.flush()


def _finding(question: Question, finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind.value,
        "verdict": finding.verdict.value,
        "severity": finding.kind.severity.value,
        "subject": finding.subject.value,
        **_chain_name(question),
        "bucket": finding.bucket,
        "key": finding.key,
        "message": what(finding, question.place.home_region),
        "detail": finding.detail,
        "start": _time(finding.start),
        "end": _time(finding.end),
        "events": finding.events,
        "bytes": finding.size,
    }


def _chain(chain: ChainSummary) -> dict[str, Any]:
    place = chain.question.place
    return {
        **_chain_name(chain.question),
        "bucket": place.bucket,
        "folder": place.folder,
        "start": _time(chain.question.start),
        "end": _time(chain.question.end),
        "verdict": chain.verdict.value,
        "failure": chain.failure,
        "counts": {
            name: {verdict.value: chain.counts[subject, verdict] for verdict in Verdict}
            for subject, name in _COUNTED.items()
        },
        "covered": _spans(chain.covered),
        "notCovered": _spans(chain.not_covered()),
        "dueSince": _time(chain.due_since()),
        "verifiedBefore": _time(chain.known_until),
    }


def _summary(summary: Summary) -> dict[str, Any]:
    affected, origins = summary.affected, summary.origins
    return {
        "exitCode": summary.exit_code,
        "valid": summary.count(Verdict.VALID),
        "invalid": summary.count(Verdict.INVALID),
        "unchecked": summary.count(Verdict.UNCHECKED),
        "publicKeys": {
            "pinned": origins.are_pinned,
            "from": [{"origin": origin, "count": count} for origin, count in origins.keys.items()],
        },
        "heads": None if origins.heads is None else {"origin": origins.heads, "count": origins.heads_seen},
        "affected": {
            "accounts": sorted(affected.accounts),
            "hours": len(affected.hours),
            "digests": affected.digests,
            "logFiles": affected.log_files,
            "events": affected.events,
            "bytes": affected.size,
            "complete": affected.all_known,
        },
    }


def _chain_name(question: Question) -> dict[str, str]:
    return {"trailARN": question.trail_arn, "accountId": question.place.account_id, "region": question.place.region}


def _checks(run: RunInfo) -> dict[str, bool]:
    checks = run.questions[0].checks if run.questions else None
    return {
        "coverage": checks is not None and checks.coverage,
        "records": checks is not None and checks.records,
        "unlisted": checks is not None and checks.unlisted,
        "heads": run.has_heads,
    }


def _spans(spans: tuple[Span, ...] | list[Span]) -> list[dict[str, str | None]]:
    return [{"start": _time(span.start), "end": _time(span.end)} for span in spans]


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else format_time(seconds)


def _json(value: Any) -> str:
    return json.dumps(value)

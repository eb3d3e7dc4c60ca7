"""The report as SARIF 2.1.0 (OASIS), for code scanning and security dashboards: a rule for each kind of finding.

Invalid is a result that failed. What could not be checked is `open`, as SARIF calls a rule that could not be decided,
what is only worth telling `informational`; both have the level `none`, as SARIF demands of what did not fail.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, TextIO
from urllib.parse import quote

from opentrail_validator.findings import FACTS, Finding, Kind, Severity, Subject, Verdict
from opentrail_validator.question import Question
from opentrail_validator.reports.port import RunInfo
from opentrail_validator.reports.words import line
from opentrail_validator.summary import ChainSummary, Summary

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
VERSION: Final = "2.1.0"
_KINDS: Final = {
    Verdict.VALID: "pass",
    Verdict.INVALID: "fail",
    Verdict.UNCHECKED: "open",
    Verdict.NOTE: "informational",
}
_LEVELS: Final = {Severity.CRITICAL: "error", Severity.MAJOR: "error", Severity.MINOR: "warning", Severity.NONE: "none"}
_RANKS: Final = {Severity.CRITICAL: 100.0, Severity.MAJOR: 70.0, Severity.MINOR: 30.0, Severity.NONE: 0.0}
_INDEX: Final = {kind: number for number, kind in enumerate(FACTS)}


class SarifReport:
    """Writes the document with one run. What is valid is a result only with --verbose."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._verbose = False
        self._separator = ""

    def begin(self, run: RunInfo) -> None:
        """Up to the results."""
        self._verbose = run.verbose
        driver = {"name": "opentrail validate-logs", "rules": [_rule(kind) for kind in FACTS]}
        head = f'"$schema": {_json(SCHEMA)},\n"version": {_json(VERSION)}'
        self._out.write(f'{{\n{head},\n"runs": [{{\n"tool": {_json({"driver": driver})},\n"results": [')

    def begin_chain(self, question: Question) -> None:
        """Nothing: each result names its chain."""

    def add(self, question: Question, finding: Finding) -> None:
        """One result on a line."""
        if finding.verdict is Verdict.VALID and not self._verbose:
            return
        self._out.write(f"{self._separator}\n{_json(_result(question, finding))}")
        self._separator = ","

    def end_chain(self, chain: ChainSummary) -> None:
        """Nothing: what could not be validated at all stands in the invocation."""

    def finish(self, summary: Summary) -> None:
        """What became of the run."""
        notifications = [_notification(chain) for chain in summary.chains if chain.failure is not None]
        invocation = {
            "executionSuccessful": not notifications,
            "exitCode": summary.exit_code,
            "toolExecutionNotifications": notifications,
        }
        self._out.write(f'\n],\n"columnKind": "unicodeCodePoints",\n"invocations": [{_json(invocation)}]\n}}]\n}}\n')
        self._out.flush()


def _rule(kind: Kind) -> dict[str, Any]:
    facts = FACTS[kind]
    return {
        "id": kind.value,
        "name": "".join(part.capitalize() for part in kind.value.split("-")),
        "shortDescription": {"text": facts.meaning},
        "defaultConfiguration": {"level": _LEVELS[facts.severity], "rank": _RANKS[facts.severity]},
        "properties": {"severity": facts.severity.value, "verdict": facts.verdict.value},
    }


def _result(question: Question, finding: Finding) -> dict[str, Any]:
    failed = finding.verdict is Verdict.INVALID
    named = f"{finding.kind}\n{finding.subject}\n{finding.bucket}\n{finding.key}"
    if finding.subject is Subject.CHAIN:  # several times of a chain are several findings
        named += f"\n{finding.start}"
    return {
        "ruleId": finding.kind.value,
        "ruleIndex": _INDEX[finding.kind],
        "kind": _KINDS[finding.verdict],
        "level": _LEVELS[finding.kind.severity] if failed else "none",
        "message": {"text": line(finding, question.place.home_region).replace("\t", " ")},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": _uri(finding)}},
                "logicalLocations": [_logical(question)],
            }
        ],
        "partialFingerprints": {
            "object/v1": hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest(),
        },
    }


def _logical(question: Question) -> dict[str, str]:
    """The chain. SARIF's `kind` of a logical location may be any word of the tool's."""
    place = question.place
    return {
        "name": place.region,
        "fullyQualifiedName": f"{question.trail_arn}/{place.account_id}/{place.region}",
        "kind": "chain",
    }


def _uri(finding: Finding) -> str:
    """A URI as RFC 3986 has it: what is not allowed in one is percent-encoded."""
    key = quote(finding.key.encode("utf-8", "surrogatepass"), safe="/-._~!$&'()*+,;=:@")
    if finding.subject is Subject.STATE:
        return key
    return f"s3://{quote(finding.bucket.encode('utf-8', 'surrogatepass'), safe='')}/{key}"


def _notification(chain: ChainSummary) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": chain.failure},
        "locations": [{"logicalLocations": [_logical(chain.question)]}],
    }


def _json(value: Any) -> str:
    return json.dumps(value)

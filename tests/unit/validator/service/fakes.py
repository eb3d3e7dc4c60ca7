"""A made-up outside for the service: chains, answers of the validator, a clock, whoever is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from opentrail_validator import Finding, Kind, Question, Sources, Span, Subject, TrailPlace
from opentrail_validator.readers.port import ApiNotReached
from opentrail_validator.service.book import Book
from opentrail_validator.service.changes import Changes
from opentrail_validator.service.cycle import Cycle
from opentrail_validator.service.metrics import ValidatorMetrics
from opentrail_validator.service.port import CatalogueUnavailable, NotDelivered, WatchedChain
from opentrail_validator.service.settings import WatchSettings
from opentrail_validator.walked import ChainResult, VerifiedDigest

HOUR = 3600
DAY = 24 * HOUR
NOW = 1_775_001_600  # 2026-04-01
SINCE = NOW - 60 * DAY
ACCOUNT = "111122223333"
ARN = f"arn:aws:cloudtrail:eu-west-1:{ACCOUNT}:trail/audit"


def watched(bucket: str = "logs", region: str = "eu-west-1", account: str = ACCOUNT, **more: Any) -> WatchedChain:
    place = TrailPlace(
        bucket=bucket,
        prefix=None,
        organization_id=None,
        account_id=account,
        region=region,
        trail_name="audit",
        home_region="eu-west-1",
    )
    return WatchedChain(**{"trail_arn": ARN, "place": place, "since": SINCE} | more)


def log_finding(kind: Kind = Kind.HASH_MISMATCH, name: str = "Abcdefgh12345678", **more: Any) -> Finding:
    folder = f"AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/2026/03/30"
    key = f"{folder}/{ACCOUNT}_CloudTrail_eu-west-1_20260330T1005Z_{name}.json.gz"
    return Finding(kind, Subject.LOG_FILE, "logs", key, **more)


def digest(chain: WatchedChain, end: int, sha256: str = "aa" * 32) -> VerifiedDigest:
    return VerifiedDigest(
        bucket=chain.place.bucket,
        key=str(chain.place.key(end)),
        start=end - HOUR,
        end=end,
        sha256=sha256,
        signature="bb",
        previous_signature=None,
        fingerprint="cc",
    )


@dataclass
class Scripted:
    """Stands for `run.validate_chains`: the next pass over a chain gives these findings, then its result.

    The digests that were the newest at earlier passes are valid, unless something else is said of them, or they would
    be newer than the newest.
    """

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    """By region."""
    failures: dict[str, Exception] = field(default_factory=dict)
    newest_ago: int = HOUR
    first: int = SINCE
    nothing: bool = False
    """No digest at all."""
    asked: list[list[Question]] = field(default_factory=list)
    were_newest: dict[str, list[VerifiedDigest]] = field(default_factory=dict)
    closed: int = 0
    at_answer: Callable[[], None] = lambda: None

    def __call__(
        self, questions: Sequence[Question], sources: Callable[[Question], Sources], state: Any, parallel: int
    ) -> Iterator[Any]:
        assert state is None
        self.asked.append(list(questions))
        try:
            for question in questions:
                if question.place.region in self.failures:
                    yield question, self.failures[question.place.region]
                    continue
                findings = self.findings.get(question.place.region, [])
                for finding in (*findings, *self.older(question, {finding.key for finding in findings})):
                    self.at_answer()
                    yield question, finding
                yield question, self.result(question)
        finally:
            self.closed += 1

    def older(self, question: Question, told: set[str]) -> Iterator[Finding]:
        for known in self.were_newest.get(question.place.region, ()):
            if known.end <= question.now - self.newest_ago and known.key not in told and not self.nothing:
                yield Finding(Kind.VALID, Subject.DIGEST, known.bucket, known.key, "", known.start, known.end)

    def result(self, question: Question) -> ChainResult:
        if self.nothing:
            return ChainResult(question=question, newest=None, covered=())
        end = question.now - self.newest_ago
        newest = digest(watched(question.place.bucket, question.place.region), end)
        self.were_newest.setdefault(question.place.region, []).append(newest)
        start = max(self.first, question.start)
        return ChainResult(question=question, newest=newest, covered=(Span(start, end),))


@dataclass
class MadeUpCatalogue:
    watched: list[WatchedChain]
    is_away: bool = False

    def chains(self) -> Sequence[WatchedChain]:
        if self.is_away:
            raise CatalogueUnavailable("the state store does not answer")
        return list(self.watched)

    def sources(self, question: Question) -> Sources:
        raise ApiNotReached("not asked in these tests")


@dataclass
class Told:
    messages: list[Any] = field(default_factory=list)
    refusals: int = 0

    def notify(self, message: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotDelivered("the topic does not answer")
        self.messages.append(json.loads(message))


class Installation:
    """A cycle and all that it stands on, at a time that only the test moves."""

    def __init__(self, *chains: WatchedChain, book: Book | None = None, validate: Any = None, **settings: Any) -> None:
        """`validate`: how chains are validated; by default as the test says."""
        self.now = float(NOW)
        self.settings = WatchSettings(**settings)
        self.catalogue = MadeUpCatalogue(list(chains) or [watched()])
        self.validate = Scripted()
        self.book = book or Book()
        self.changes = Changes()
        self.registry = CollectorRegistry()
        self.metrics = ValidatorMetrics(self.registry, lambda: self.now)
        self.cycle = Cycle(
            self.settings,
            self.catalogue,
            self.book,
            self.changes,
            self.metrics,
            now=lambda: self.now,
            validate=validate or self.validate,
        )

    def run(self, *findings: Finding, region: str = "eu-west-1") -> tuple[list[Finding], list[Finding]]:
        """One cycle an hour after the last, with these findings; what it opened and repaired."""
        self.now += HOUR
        self.validate.findings = {region: list(findings)}
        before = len(self.book.content.untold.changes)
        self.cycle.run(self.catalogue.watched, lambda: False)
        changes = self.book.content.untold.changes[before:]
        opened = [change.finding for change in changes if change.what == "opened"]
        return opened, [change.finding for change in changes if change.what == "repaired"]

"""What a run comes to: counts and coverage of each chain, what is affected, and the exit code. Pure: findings in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from opentrail.evidence.object_keys import DigestKey, MalformedKey, parse_key
from opentrail.evidence.times import format_time
from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.findings import Finding, Kind, Subject, Verdict
from opentrail_validator.question import HOUR, Question, Span
from opentrail_validator.readers.port import ApiNotReached, ApiRefused
from opentrail_validator.walked import ChainResult

EXIT_VALID: Final = 0
EXIT_INVALID: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOT_CHECKED: Final = 3

DUE_WITHIN: Final = 2 * HOUR
"""A digest is due each hour and may take an hour: time that is nearer to now may have none yet."""

_JUDGED: Final = (Verdict.VALID, Verdict.INVALID, Verdict.UNCHECKED)
_MOST_SPANS: Final = 4096


@dataclass(slots=True)
class ChainSummary:
    """What became of one chain."""

    question: Question
    counts: Counter[tuple[Subject, Verdict]] = field(default_factory=Counter)
    found: Span | None = None
    """From the start of the oldest valid digest to the end of the newest, cut to the time asked for."""
    covered: tuple[Span, ...] = ()
    known_until: int | None = None
    failure: str | None = None
    """Why nothing could be validated; the message is for the user."""
    told_not_covered: list[Span] = field(default_factory=list)
    """By findings."""

    def add(self, finding: Finding) -> None:
        """Counts a finding."""
        self.counts[finding.subject, finding.verdict] += 1
        if finding.kind in {Kind.NOT_COVERED, Kind.NOTHING_FOUND}:
            self.told_not_covered.append(Span(finding.start or 0, finding.end or 0))
        elif finding.verdict is Verdict.VALID and finding.start is not None and finding.end is not None:
            start, end = max(finding.start, self.question.start), min(finding.end, self.question.end)
            self.found = Span(min(start, self.found[0]), max(end, self.found[1])) if self.found else Span(start, end)

    def end(self, said: ChainResult | NoPublicKeys | ApiRefused | ApiNotReached) -> None:
        """What became of the chain as a whole."""
        if isinstance(said, ChainResult):
            self.covered, self.known_until = said.covered, said.known_until
        elif isinstance(said, NoPublicKeys):
            self.failure = f"No public keys found between {format_time(said.start)} and {format_time(said.end)}"
        else:
            self.failure = f"Nothing could be checked: {said}"

    def total(self, *subjects: Subject) -> int:
        """How many objects of these kinds were judged; notes are not."""
        return sum(self.counts[subject, verdict] for subject in subjects for verdict in _JUDGED)

    @property
    def verdict(self) -> Verdict:
        """Invalid outranks could not be checked."""
        verdicts = {verdict for (_, verdict), count in self.counts.items() if count}
        if Verdict.INVALID in verdicts:
            return Verdict.INVALID
        return Verdict.UNCHECKED if self.failure is not None or Verdict.UNCHECKED in verdicts else Verdict.VALID

    def not_covered(self) -> list[Span]:
        """The parts of the time asked for that no valid digest covers, but for those whose digest is not due yet."""
        if self.question.checks.coverage:
            return self.told_not_covered
        due = min(self.question.end, self.question.now - DUE_WITHIN)
        left, at = [], self.question.start
        for start, end in (*self.covered, Span(due, due)):
            if at < min(start, due):
                left.append(Span(at, min(start, due)))
            at = max(at, end)
        return left

    def due_since(self) -> int | None:
        """From when on digests may still be on their way; None if all is covered, or if the chain does not go on."""
        newest = max((end for _, end in self.covered), default=self.question.start)
        return newest if self.question.now - DUE_WITHIN <= newest < self.question.end else None


class Hours:
    """Hours of the clock, each counted once. Bounded memory for any number of them that lie together."""

    def __init__(self) -> None:
        self._spans: list[tuple[int, int]] = []
        self._most = _MOST_SPANS

    def add(self, start: int, end: int) -> None:
        """Adds the hours that a time touches (epoch seconds; at least the one of `start`)."""
        self._spans.append((start // HOUR, max(start, end - 1) // HOUR + 1))
        if len(self._spans) > self._most:
            self._spans = self._merged()
            self._most = max(_MOST_SPANS, 2 * len(self._spans))  # or hours that lie apart were sorted anew each time

    def __len__(self) -> int:
        return sum(end - start for start, end in self._merged())

    def _merged(self) -> list[tuple[int, int]]:
        merged: list[tuple[int, int]] = []
        for start, end in sorted(self._spans):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged


@dataclass(slots=True)
class Affected:
    """What invalid findings are about."""

    accounts: set[str] = field(default_factory=set)
    hours: Hours = field(default_factory=Hours)
    """The hours of invalid digests and log files, by their names, and those that findings about time name."""
    digests: int = 0
    log_files: int = 0
    events: int = 0
    size: int = 0
    """Uncompressed bytes of the log files."""
    all_known: bool = True
    """Whether events and bytes of every invalid log file are known: one that is gone tells neither."""

    def add(self, question: Question, finding: Finding) -> None:
        """Counts an invalid finding."""
        self.accounts.add(question.place.account_id)
        if finding.subject is Subject.LOG_FILE:
            self.log_files += 1
            self.events += finding.events or 0
            self.size += finding.size or 0
            self.all_known &= finding.events is not None and finding.size is not None
        elif finding.subject in {Subject.DIGEST, Subject.BACKFILL_DIGEST}:
            self.digests += 1
        self._add_hours(question, finding)

    def _add_hours(self, question: Question, finding: Finding) -> None:
        if finding.start is not None and finding.end is not None:
            start, end = max(finding.start, question.start), min(finding.end, question.end)
            if start <= end:
                self.hours.add(start, end)
            return
        try:
            key = parse_key(finding.key)
        except MalformedKey:
            return
        if isinstance(key, DigestKey):
            self.hours.add(key.end_seconds - HOUR, key.end_seconds)
        else:
            self.hours.add(key.seconds, key.seconds)


@dataclass(frozen=True, slots=True)
class Origins:
    """Where keys and heads came from, and how many."""

    keys: Mapping[str, int]
    """By where they come from."""
    are_pinned: bool
    """Whether the auditor gave the keys; others are believed."""
    heads: str | None = None
    heads_seen: int = 0


class Summary:
    """Takes findings and ends of chains, one chain after the other."""

    def __init__(self) -> None:
        self.chains: list[ChainSummary] = []
        self.affected = Affected()
        self.origins = Origins({}, are_pinned=False)

    def begin_chain(self, question: Question) -> ChainSummary:
        """The next chain."""
        self.chains.append(ChainSummary(question))
        return self.chains[-1]

    def add(self, finding: Finding) -> None:
        """Counts a finding of the chain that began last."""
        chain = self.chains[-1]
        chain.add(finding)
        if finding.verdict is Verdict.INVALID:
            self.affected.add(chain.question, finding)

    def count(self, verdict: Verdict, *subjects: Subject) -> int:
        """How many findings of a verdict there are, about these kinds of subjects or all."""
        wanted = subjects or tuple(Subject)
        return sum(chain.counts[subject, verdict] for chain in self.chains for subject in wanted)

    @property
    def exit_code(self) -> int:
        """0 all is valid, 1 something is invalid, 3 something could not be checked."""
        verdicts = {chain.verdict for chain in self.chains}
        if Verdict.INVALID in verdicts:
            return EXIT_INVALID
        return EXIT_NOT_CHECKED if Verdict.UNCHECKED in verdicts or not verdicts else EXIT_VALID

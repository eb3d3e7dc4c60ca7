"""One cycle: a pass over every chain, and what it changes in the book.

Each pass reads the time looked back at in full, also what was verified before: what is tampered with today may be last
week's. In each so manyth cycle, and at first, a chain is read from its beginning.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from opentrail_validator.chain_validation import NoPublicKeys
from opentrail_validator.coverage import GRACE
from opentrail_validator.findings import Finding
from opentrail_validator.question import Question, Sources
from opentrail_validator.reports.words import where
from opentrail_validator.run import ChainFailure, validate_chains
from opentrail_validator.service.book import Book, ChainMemory
from opentrail_validator.service.changes import Changes
from opentrail_validator.service.expected import MAY_BE_EXPLAINED, against_memory, is_explained, question_of
from opentrail_validator.service.failures import reason_of
from opentrail_validator.service.metrics import ValidatorMetrics
from opentrail_validator.service.open_findings import Change, PassOverChain, What
from opentrail_validator.service.port import ChainCatalogue, WatchedChain
from opentrail_validator.service.settings import WatchSettings
from opentrail_validator.service.tally import Tally
from opentrail_validator.service.texts import as_unicode, bounded
from opentrail_validator.state_file import StateFile
from opentrail_validator.walked import ChainResult

log = logging.getLogger(__name__)

Answers = Iterator[tuple[Question, Finding | ChainResult | ChainFailure]]
ValidateChains = Callable[[Sequence[Question], Callable[[Question], Sources], StateFile | None, int], Answers]
"""What `run.validate_chains` is."""


@dataclass(slots=True)
class CycleOutcome:
    """What a cycle came to. Not `finished`: it was told to stop."""

    finished: bool = False
    tally: Tally = field(default_factory=Tally)


class Cycle:
    """Runs cycles, one at a time.

    Args:
        now: seconds since the epoch.
        validate: how chains are validated; tests put theirs in its place.
    """

    def __init__(
        self,
        settings: WatchSettings,
        catalogue: ChainCatalogue,
        book: Book,
        changes: Changes,
        metrics: ValidatorMetrics,
        *,
        now: Callable[[], float],
        validate: ValidateChains = validate_chains,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._book = book
        self._changes = changes
        self._metrics = metrics
        self._now = now
        self._validate = validate

    def run(self, chains: Sequence[WatchedChain], should_stop: Callable[[], bool]) -> CycleOutcome:
        """Passes over all chains. What a pass finds is opened at once, what is repaired is known at its end."""
        for chain_id in self._book.begin_cycle(chains):
            log.info("a chain is watched no more: %s", chain_id)
        left = deque(self._pass_over(chain) for chain in chains)
        outcome = CycleOutcome()
        while left and not should_stop():
            try:
                self._pass_over_all(left, outcome, should_stop)
            except Exception:  # no object in one chain's bucket keeps the others from being checked
                log.exception("the validator failed at a chain: %s", left[0].chain.id)
                self._fail(left[0], "the validator failed; its log says more")
                outcome.tally.add_all(left.popleft().tally)
        outcome.finished = not left
        return outcome

    def _pass_over_all(self, left: deque[_Pass], outcome: CycleOutcome, should_stop: Callable[[], bool]) -> None:
        """Takes away what has ended: answers come chain by chain, in their order."""
        questions = [one.question for one in left]
        answers = self._validate(questions, self._catalogue.sources, None, self._settings.parallel)
        try:
            for question, answer in answers:
                one = left[0]
                assert question == one.question
                if isinstance(answer, Finding):
                    self._see(one, answer)
                else:
                    self._end(one, answer)
                    outcome.tally.add_all(left.popleft().tally)
                if should_stop():
                    return
        finally:
            close = getattr(answers, "close", None)
            if close is not None:
                close()

    def _pass_over(self, chain: WatchedChain) -> _Pass:
        memory = self._book.memory(chain)
        is_full = memory.until_full <= 0
        question = question_of(chain, memory, self._settings, int(self._now()), is_full=is_full)
        newest = (memory.newest.bucket, memory.newest.key) if memory.newest else None
        seen = PassOverChain(memory.open, question.start, is_full=is_full, newest=newest)
        return _Pass(chain, memory, question, seen, is_full)

    def _see(self, one: _Pass, finding: Finding) -> None:
        finding = _as_kept(finding)
        if finding.kind in MAY_BE_EXPLAINED:
            one.held_back.append(finding)
            return
        one.tally.add(finding)
        if one.seen.see(finding):
            self._open(one, finding)

    def _open(self, one: _Pass, finding: Finding) -> None:
        change = self._book.open(one.chain, finding, int(self._now()))
        if change is None:
            one.beyond += 1
            return
        self._publish(change)

    def _end(self, one: _Pass, answer: ChainResult | ChainFailure) -> None:
        now = int(self._now())
        if not isinstance(answer, ChainResult):
            if isinstance(answer, NoPublicKeys) and one.memory.newest is None and now < one.chain.since + GRACE:
                log.debug("a chain has no digest yet: %s", one.chain.id)
                self._book.fail_pass(one.chain, one.memory)
                return
            reason = reason_of(answer)
            log.warning("a chain could not be checked: %s: %s", one.chain.id, reason)
            self._fail(one, reason)
            return
        for finding in self._held_back(one, answer):
            one.tally.add(finding)
            if one.seen.see(finding):
                self._open(one, finding)
        self._metrics.chain_checked(one.tally)
        for change in self._book.end_pass(one.chain, one.seen, now, one.beyond, self._learned(one, answer, now)):
            self._publish(change)

    def _fail(self, one: _Pass, reason: str) -> None:
        one.tally.unchecked += 1
        known = replace(one.memory, checked_at=int(self._now()), unchecked=one.tally.unchecked, failure=reason)
        self._book.fail_pass(one.chain, known)

    def _held_back(self, one: _Pass, result: ChainResult) -> Iterator[Finding]:
        """What can be judged only once the whole chain was seen."""
        for finding in one.held_back:
            if not is_explained(finding, one.chain, one.memory, result):
                yield finding
        against = against_memory(one.memory, result, one.seen)
        if against is not None:
            yield against

    def _learned(self, one: _Pass, result: ChainResult, now: int) -> ChainMemory:
        memory, newest = one.memory, result.newest
        if memory.newest is not None and (newest is None or newest.end <= memory.newest.end):
            newest = memory.newest  # also where another one lies in its place: that stays to be told
        starts = [span.start for span in result.covered[:1]]
        if memory.covered_from is not None:
            starts.append(memory.covered_from)
        covered_from = min(starts, default=None)
        # A pass from the beginning that could not read every digest is made again.
        is_done = one.is_full and one.seen.saw_every_digest and covered_from is not None
        until_full = self._settings.full_every - 1 if is_done else max(memory.until_full - 1, 0)
        return replace(
            memory,
            covered_from=covered_from,
            newest=newest,
            until_full=until_full,
            checked_at=now,
            unchecked=one.tally.unchecked,
            failure="",
        )

    def _publish(self, change: Change) -> None:
        finding = change.finding
        level = logging.ERROR if change.what is What.OPENED else logging.WARNING
        log.log(level, "%s: %s %s %s", change.what, finding.kind, finding.subject, where(finding))
        self._metrics.changed(change)
        self._changes.put(change)


def _as_kept(finding: Finding) -> Finding:
    """With texts that the book can hold."""
    if finding.key.isascii() and not finding.detail:
        return finding
    return replace(finding, key=as_unicode(finding.key), detail=bounded(finding.detail))


@dataclass(slots=True)
class _Pass:
    chain: WatchedChain
    memory: ChainMemory
    """As it was when the pass began."""
    question: Question
    seen: PassOverChain
    is_full: bool
    tally: Tally = field(default_factory=Tally)
    held_back: list[Finding] = field(default_factory=list)
    beyond: int = 0

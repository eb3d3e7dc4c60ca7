"""Which of the watched chains a call means, and the validation that it asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from opentrail_validator.findings import Finding
from opentrail_validator.question import Checks, Question
from opentrail_validator.run import ChainFailure
from opentrail_validator.service.book import Book
from opentrail_validator.service.cycle import ValidateChains
from opentrail_validator.service.port import ChainCatalogue, WatchedChain
from opentrail_validator.trail_place import LAST_MOMENT
from opentrail_validator.walked import ChainResult


class BadRequest(ValueError):
    """The call cannot be answered as it is; the message says why."""


class NoSuchChain(Exception):
    """No watched chain is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which chains; an empty set leaves nothing out."""

    trail_arns: frozenset[str] = frozenset()
    account_ids: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    def has(self, chain: WatchedChain) -> bool:
        """Whether a chain is meant."""
        return (
            (not self.trail_arns or chain.trail_arn in self.trail_arns)
            and (not self.account_ids or chain.place.account_id in self.account_ids)
            and (not self.regions or chain.place.region in self.regions)
        )

    def of(self, chains: Sequence[WatchedChain]) -> list[WatchedChain]:
        """Those that are meant, in their order. Raises NoSuchChain where none is."""
        chosen = [chain for chain in chains if self.has(chain)]
        if not chosen:
            raise NoSuchChain(
                "no watched chain is of these trails, accounts and regions; ListChains tells which there are"
            )
        return chosen


def questions_of(
    chains: Sequence[WatchedChain], book: Book, start: int | None, end: int | None, now: int, checks: Checks
) -> dict[Question, WatchedChain]:
    """What is asked of each chain, in their order. Raises BadRequest."""
    until = now if end is None else end
    if any(time is not None and not 0 <= time <= LAST_MOMENT for time in (start, end)):
        raise BadRequest("start and end are seconds since the epoch: not below 0, and not after the year 9998")
    if start is not None and start > until:
        raise BadRequest("start must not be after end; where no end is given, that is now")
    questions = {}
    for chain in chains:
        first = book.memory(chain).covered_from
        since = min(chain.since if first is None else first, until)
        question = Question(
            trail_arn=chain.trail_arn,
            place=chain.place,
            start=since if start is None else start,
            end=until,
            now=now,
            checks=checks,
        )
        questions[question] = chain
    return questions


def validate(
    questions: dict[Question, WatchedChain], catalogue: ChainCatalogue, parallel: int, run: ValidateChains
) -> Iterator[tuple[WatchedChain, Finding | ChainResult | ChainFailure]]:
    """Validates; an iterator that is closed stops reading."""
    answers = run(list(questions), catalogue.sources, None, parallel)
    try:
        for question, answer in answers:
            yield questions[question], answer
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()

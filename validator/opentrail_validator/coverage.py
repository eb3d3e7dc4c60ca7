"""Whether valid digests cover the time that was asked for: what no digest covers has no evidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from opentrail.evidence.times import format_time
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.heads import Heads
from opentrail_validator.question import HOUR, Question, Span
from opentrail_validator.walked import Walked, WalkedDigest

GRACE: Final = 2 * HOUR
"""Before the moment of the question: a digest is due each hour, and may take another to arrive."""


def spans_of(digests: Iterable[WalkedDigest]) -> list[Span]:
    """The time that digests cover, oldest first; spans do not touch."""
    spans: list[Span] = []
    for start, end in sorted((digest.start, digest.end) for digest in digests):
        if end <= start:
            continue
        if spans and start <= spans[-1].end:
            spans[-1] = Span(spans[-1].start, max(spans[-1].end, end))
        else:
            spans.append(Span(start, end))
    return spans


def clamped(spans: Iterable[Span], start: int, end: int) -> list[Span]:
    """The parts of spans from `start` to `end`."""
    parts = (Span(max(span.start, start), min(span.end, end)) for span in spans)
    return [part for part in parts if part.start < part.end]


def coverage_findings(question: Question, covered: Sequence[Span], heads: Heads, walked: Walked) -> Iterator[Finding]:
    """Each span of the time asked for that no valid digest covers; or, if no digest was met at all, that nothing was.

    `covered` as `spans_of` gives it.
    """
    due = _due(question, heads, walked)
    if not question.checks.coverage or due.end <= due.start:
        return
    place = question.place.bucket, question.place.folder
    is_anything_there = covered or len(walked.visited) > len(walked.missing)
    if not is_anything_there and walked.complete and heads.complete:
        yield Finding(Kind.NOTHING_FOUND, Subject.CHAIN, *place, "", *due)
        return
    for span in _between(clamped(covered, *due), due):
        # Digests that could not be read may cover it; a head that could not be read may say that the chain had ended.
        is_sure = walked.complete and (heads.complete or span.end < due.end)
        kind = Kind.NOT_COVERED if is_sure else Kind.NOT_CHECKED
        detail = f"no valid digest covers {format_time(span.start)} to {format_time(span.end)}"
        yield Finding(kind, Subject.CHAIN, *place, detail, *span)


def _due(question: Question, heads: Heads, walked: Walked) -> Span:
    """The time that digests have to cover by now, as far as it was asked for."""
    end = question.now - GRACE
    newest, newest_there = heads.newest, walked.newest_end
    if newest is not None:
        is_last = newest_there is None or newest_there <= newest.end
        end = newest.end if newest.ended and is_last else max(end, newest.end)
    return Span(question.start, min(end, question.end))


def _between(covered: Sequence[Span], due: Span) -> Iterator[Span]:
    """What is left of the time due."""
    reached = due.start
    for span in covered:
        if reached < span.start:
            yield Span(reached, span.start)
        reached = max(reached, span.end)
    if reached < due.end:
        yield Span(reached, due.end)

"""What a pass over a watched chain asks, and which of its answers the chain's history explains. Pure."""

from __future__ import annotations

from typing import Final

from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.question import HOUR, Checks, Question
from opentrail_validator.service.book import ChainMemory
from opentrail_validator.service.open_findings import PassOverChain
from opentrail_validator.service.port import WatchedChain
from opentrail_validator.service.settings import WatchSettings
from opentrail_validator.walked import ChainResult

MAY_BE_EXPLAINED: Final = (Kind.NOT_COVERED, Kind.NOTHING_FOUND)
_BEFORE: Final = HOUR
"""So much before a chain's beginning is looked at too: for what was put there, and because clocks differ."""
_LATE: Final = HOUR
"""A chain's first digest begins up to a digest's interval after logging does."""


def question_of(
    chain: WatchedChain, memory: ChainMemory, settings: WatchSettings, now: int, *, is_full: bool
) -> Question:
    """What a cycle asks of a chain at `now` (epoch seconds)."""
    start = min(chain.since if memory.covered_from is None else memory.covered_from, chain.since) - _BEFORE
    if settings.oldest_seconds is not None:
        start = max(start, now - settings.oldest_seconds)
    if not is_full:
        start = max(start, now - settings.lookback_seconds)
    return Question(
        trail_arn=chain.trail_arn, place=chain.place, start=min(start, now), end=now, now=now, checks=Checks()
    )


def is_explained(finding: Finding, chain: WatchedChain, memory: ChainMemory, result: ChainResult) -> bool:
    """Whether a time without digests is one in which there can be none.

    It lies in a pause of logging, or before the chain's first digest. (A chain of which nothing was ever seen may be
    that of a region that was added a moment ago. If digests were removed, a head of theirs tells.)
    """
    if finding.kind not in MAY_BE_EXPLAINED:
        return False
    start = result.question.start if finding.start is None else finding.start
    end = result.question.end if finding.end is None else finding.end
    first = memory.covered_from
    if first is None:
        first = result.covered[0].start if result.covered else end
    return end <= first or any(pause.start <= start and end <= pause.end + _LATE for pause in chain.pauses)


def against_memory(memory: ChainMemory, result: ChainResult, seen: PassOverChain) -> Finding | None:
    """What does not fit the newest digest that an earlier pass verified: it is gone, or another lies in its place."""
    before, now = memory.newest, result.newest
    # Not asked for: what lies before the pass, and, where the clock was set back, after it.
    if before is None or not result.question.start <= before.end <= result.question.end + HOUR:
        return None
    if now is not None and (now.bucket, now.key) == (before.bucket, before.key):
        if now.sha256 == before.sha256:
            return None
        detail = "another one than the digest that was verified here before, though well signed"
        return Finding(Kind.CHAIN_BROKEN, Subject.DIGEST, before.bucket, before.key, detail)
    if seen.mentioned_newest or not seen.saw_every_digest:
        return None
    detail = "it was verified before, and no digest leads to it any more"
    return Finding(Kind.NEWEST_MISSING, Subject.DIGEST, before.bucket, before.key, detail)

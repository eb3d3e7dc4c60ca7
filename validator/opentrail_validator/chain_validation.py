"""Validates one chain: walks its digests and log files, then looks at the chain as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from opentrail.evidence.chain_head import ChainHead
from opentrail_validator.chain_walk import BackfillWalk, ChainWalk, Step
from opentrail_validator.coverage import clamped, coverage_findings, spans_of
from opentrail_validator.digest_judge import DigestJudge
from opentrail_validator.digest_lists import DigestLists, ListingFailed
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.heads import Heads, check_heads, read_heads
from opentrail_validator.landmarks import Landmarks
from opentrail_validator.log_file_reading import with_log_files
from opentrail_validator.question import HOUR, Question, Sources, Span
from opentrail_validator.readers.port import PublicKey
from opentrail_validator.strays import strays
from opentrail_validator.unlisted import unlisted_log_files
from opentrail_validator.walked import ChainResult, VerifiedDigest, Walked, WalkedDigest


class NoPublicKeys(Exception):
    """There is no public key for the time asked for, so nothing can be validated. Has the times, epoch seconds."""

    def __init__(self, start: int, end: int) -> None:
        super().__init__(start, end)
        self.start = start
        self.end = end


def validate(question: Question, sources: Sources) -> Iterator[Finding]:
    """Validates the log files delivered in the time asked for; yields findings.

    First the digests, newest first, each followed by its log files, then the backfill digests, as the AWS CLI does;
    then what is wrong with the chain as a whole. Whatever is wrong with an object is a finding, and so is an object
    that could not be read. Raises NoPublicKeys, and ApiRefused or ApiNotReached if the keys could not be asked for.
    """
    return ChainValidation(question, sources).findings()


class ChainValidation:
    """One chain's validation. `known`: the newest digest that a run before verified, with everything before it."""

    def __init__(self, question: Question, sources: Sources, known: VerifiedDigest | None = None) -> None:
        self._question = question
        self._sources = sources
        # One that lies outside of the time asked for does not help.
        self._known = known if known is not None and question.start < known.end <= question.end + HOUR else None
        self._heads = Heads()
        self._asked_since = question.start
        self._walked = Walked()
        self._unlistable: set[str] = set()

    def findings(self) -> Iterator[Finding]:
        """As `validate` says. To be asked for once."""
        question, objects = self._question, self._sources.objects
        walked, known = self._walked, self._known
        start, end = question.start, question.end + 2 * HOUR
        keys = self._sources.public_keys.between(start, end)
        if not keys:
            raise NoPublicKeys(start, end)
        since = known.end if known else start
        heads = self._heads_since(since, keys)
        landmarks = Landmarks(question, heads, known, partial(self._heads_since, start, keys))
        judge = DigestJudge(question.place, self._sources.public_keys, keys)
        lists = DigestLists(question, objects, since)
        walk = ChainWalk(question, objects, lists, judge, walked, landmarks, known)
        backfill = BackfillWalk(question, objects, lists, judge, walked, Landmarks(question))
        yield from with_log_files(self._steps(walk), objects, question)
        yield from with_log_files(self._steps(backfill), objects, question)
        yield from with_log_files(strays(walk, lists, objects, judge, walked), objects, question)
        self._add_heads_of_earlier_buckets(walk, keys)
        yield from self._heads.findings
        yield from check_heads(self._heads, walked, question)
        yield from walk.holes
        yield from unlisted_log_files(question, objects, walked, keys, self._sources.public_keys)
        yield from coverage_findings(question, self._covered(), self._heads, walked)

    @property
    def result(self) -> ChainResult:
        """What became of it, once the findings have ended."""
        question, walked = self._question, self._walked
        return ChainResult(
            question=question,
            newest=walked.newest or (self._known if walked.reached_known else None),
            covered=tuple(clamped(self._covered(), question.start, question.end)),
            known_until=walked.known_until,
        )

    def _steps(self, walk: ChainWalk) -> Iterator[Step]:
        """A walk that ends where a bucket cannot be listed; that is told once."""
        try:
            yield from walk.steps()
        except ListingFailed as failure:
            self._walked.complete = False
            if failure.bucket not in self._unlistable:
                self._unlistable.add(failure.bucket)
                place = failure.bucket, self._question.place.folder
                yield Step([Finding(Kind.NOT_CHECKED, Subject.LISTING, *place, failure.reason)])

    def _heads_since(self, since: int, keys: Mapping[str, PublicKey]) -> Sequence[ChainHead]:
        """Reads the heads of digests from a time on: those of before a known digest only if the walk passes it by."""
        asked, place = replace(self._question, start=since), self._question.place
        self._heads = read_heads(asked, self._sources.heads, [place.bucket], keys, self._sources.public_keys)
        self._asked_since = since
        return self._heads.known

    def _add_heads_of_earlier_buckets(self, walk: ChainWalk, keys: Mapping[str, PublicKey]) -> None:
        """Adds the heads of the buckets that the walk came to; only now is it known which these are.

        Those of digests that are newer than the first one of the chain there, seen from now, are another chain's.
        """
        buckets = [bucket for bucket in self._walked.buckets if bucket != self._question.place.bucket]
        if not buckets:
            return
        earlier = read_heads(replace(self._question, start=self._asked_since), self._sources.heads, buckets, keys)
        known = [head for head in earlier.known if head.end <= walk.entered[head.digest_bucket]]
        self._heads = replace(
            self._heads,
            known=(*self._heads.known, *known),
            findings=(*self._heads.findings, *earlier.findings),
            complete=self._heads.complete and earlier.complete,
        )

    def _covered(self) -> list[Span]:
        """The time that valid digests cover, those that a run before had verified among them."""
        digests, known_until = list(self._walked.digests), self._walked.known_until
        if known_until is not None:
            digests.append(WalkedDigest(self._question.start, known_until))
        return spans_of(digests)

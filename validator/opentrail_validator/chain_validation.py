"""Validates one chain: walks its digests and log files, then looks at the chain as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

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
        heads = read_heads(question, self._sources.heads, [question.place.bucket], keys)
        judge = DigestJudge(question.place, self._sources.public_keys, keys)
        lists = DigestLists(question, objects, since=known.end if known else start)
        walk = ChainWalk(question, objects, lists, judge, walked, Landmarks(question, heads.known, known), known)
        backfill = BackfillWalk(question, objects, lists, judge, walked, Landmarks(question))
        yield from with_log_files(self._steps(walk), objects, question)
        yield from with_log_files(self._steps(backfill), objects, question)
        yield from with_log_files(strays(walk, lists, objects, judge, walked), objects, question)
        heads = self._with_earlier_buckets(heads, walk, keys)
        yield from heads.findings
        yield from check_heads(heads, walked, question)
        yield from walk.holes
        yield from unlisted_log_files(question, objects, walked, keys)
        yield from coverage_findings(question, self._covered(), heads, walked)

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

    def _with_earlier_buckets(self, heads: Heads, walk: ChainWalk, keys: Mapping[str, PublicKey]) -> Heads:
        """Adds the heads of the buckets that the walk came to; only now is it known which these are.

        Those of digests that are newer than the first one of the chain there, seen from now, are another chain's.
        """
        place = self._question.place
        buckets = [bucket for bucket in self._walked.buckets if bucket != place.bucket]
        if not buckets:
            return heads
        earlier = read_heads(self._question, self._sources.heads, buckets, keys)
        known = [head for head in earlier.known if head.end <= walk.entered[head.digest_bucket]]
        return replace(
            heads,
            known=(*heads.known, *known),
            findings=(*heads.findings, *earlier.findings),
            complete=heads.complete and earlier.complete,
        )

    def _covered(self) -> list[Span]:
        """The time that valid digests cover, those that a run before had verified among them."""
        digests, known_until = list(self._walked.digests), self._walked.known_until
        if known_until is not None:
            digests.append(WalkedDigest(self._question.start, known_until))
        return spans_of(digests)

"""Digests of a chain that are known from elsewhere: from signed heads, and from the run before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from opentrail.evidence.chain_head import ChainHead
from opentrail.evidence.digest import PreviousDigest
from opentrail_validator.digest_check import Recorded
from opentrail_validator.question import HOUR, Question
from opentrail_validator.readers.port import Place
from opentrail_validator.walked import VerifiedDigest


@dataclass(frozen=True, slots=True)
class Landmark:
    """A digest that must be there, and what it must be. Times are epoch seconds."""

    link: PreviousDigest
    start: int
    end: int
    told_by: str

    @property
    def place(self) -> Place:
        """Where it must lie."""
        return Place(self.link.s3_bucket, self.link.s3_object)

    def as_recorded(self) -> Recorded:
        """For a check of the digest there."""
        return Recorded(self.link, proven=True)


class Landmarks:
    """Those in the time asked for. Heads and the known digest were verified before.

    `all_heads`: gives those from before the known digest, too, for when the chain does not lead to it.
    """

    def __init__(
        self,
        question: Question,
        heads: Sequence[ChainHead] = (),
        known: VerifiedDigest | None = None,
        all_heads: Callable[[], Sequence[ChainHead]] = tuple,
    ) -> None:
        self._all_heads = all_heads
        marks = [_of_head(head) for head in heads if head.end <= question.end + HOUR]
        if known is not None:
            marks.append(_of_known(known))
        self._by_place = {mark.place: mark for mark in marks}
        self.newest = max(marks, key=lambda mark: mark.end, default=None)

    def widen(self) -> None:
        """From the start that was asked for."""
        marks = map(_of_head, self._all_heads())
        self._by_place = {mark.place: mark for mark in marks} | self._by_place

    def at(self, place: Place) -> Landmark | None:
        """The one at a place."""
        return self._by_place.get(place)


def _of_head(head: ChainHead) -> Landmark:
    link = PreviousDigest(head.digest_bucket, head.digest_key, head.digest_hash, head.digest_signature)
    return Landmark(link, head.start, head.end, "a signed head")


def _of_known(known: VerifiedDigest) -> Landmark:
    link = PreviousDigest(known.bucket, known.key, known.sha256, known.signature)
    return Landmark(link, known.start, known.end, "an earlier run")

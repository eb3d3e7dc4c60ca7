"""Walks a chain's digests from the newest to the oldest, judges each, and says which log files it lists.

A well signed digest leads to the one it recorded as its predecessor, whether or not that is listed. After a starting
digest, and after one that is missing, wrong or could not be checked, the walk goes on with the newest listed digest
that is older. These are the AWS CLI's rules. Beyond them: the walk begins at a signed head's digest if that is newer
than any that is listed, ends at the digest that a run before had verified, and never goes in a circle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from opentrail.evidence.digest import Digest, LogFileEntry
from opentrail.evidence.times import format_time
from opentrail_validator.digest_check import PROVEN, DigestCheck, Recorded, differing_from
from opentrail_validator.digest_judge import DigestJudge
from opentrail_validator.digest_lists import DigestLists, DigestsAhead, ListedDigest
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.landmarks import Landmarks
from opentrail_validator.missing_digests import missing_between
from opentrail_validator.question import HOUR, Question, Span
from opentrail_validator.readers.port import ObjectReader, Place
from opentrail_validator.walked import VerifiedDigest, Walked, WalkedDigest


class Step(NamedTuple):
    """What a walk tells next, and the log files whose findings come after it."""

    findings: Sequence[Finding]
    log_files: Sequence[LogFileEntry] = ()


class ChainWalk:
    """The walk along the regular digests. Fills `walked` on the way."""

    subject = Subject.DIGEST
    backfill = False

    def __init__(
        self,
        question: Question,
        objects: ObjectReader,
        lists: DigestLists,
        judge: DigestJudge,
        walked: Walked,
        landmarks: Landmarks,
        known: VerifiedDigest | None = None,
    ) -> None:
        self._question = question
        self._place = question.place
        self._objects = objects
        self._lists = lists
        self._judge = judge
        self._walked = walked
        self._landmarks = landmarks
        self._known = known
        self._bucket = ""
        self._ahead = DigestsAhead(objects, ())
        self._newer: Digest | None = None
        """The valid digest whose link is being followed."""
        self._longest = 0
        """Seconds that the longest digest spans of those that were met."""
        self._joined = True
        self.reached = question.end + HOUR
        """How far back the walk has come, epoch seconds."""
        self.seen: set[Place] = set()
        """The digests that were looked at."""
        self.linked: set[Place] = set()
        """Those that another one recorded as its predecessor."""
        self.entered: dict[str, int] = {}
        """The buckets that the walk came to, and the end of the newest digest there that can belong to it."""
        self.passed: Place | None = None
        """The digest that a run before had verified, if the walk went by without meeting it."""
        self.holes: list[Finding] = []
        """Time between linked digests."""

    def steps(self) -> Iterator[Step]:
        """Digest by digest; each is read and judged only when it is asked for. Raises ListingFailed."""
        here = self._begin()
        while here is not None:
            yield from self._walk_from(here)
            here = self._left_over()

    def _walk_from(self, newest: Place) -> Iterator[Step]:
        here: Place | None = newest
        recorded: Recorded | None = None
        while here is not None and self._question.start <= self.reached:
            if self._ends_before(here, recorded):
                return
            check = self._visit(here, recorded)
            if check.kind is Kind.VALID and here == self._known_place():
                yield Step([self._told(check, here)])  # Its log files were checked by the run before.
                self._reach_known()
                return
            yield Step([self._told(check, here)], check.digest.log_files if check.digest and check.verified else ())
            digest = check.digest
            if digest is not None and (link := digest.previous) is not None:
                there = Place(link.s3_bucket, link.s3_object)
                self.linked.add(there)
                if there not in self.seen:
                    here, recorded = there, Recorded(link, proven=check.kind in PROVEN)
                    self._enter(there.bucket, digest.end)
                    continue
                yield from self._told_of_circle(there)
            found = self._fall_back(self._end_of(here, otherwise=self.reached + 1))
            if found is not None and (between := list(self._between(check, here, found))):
                yield Step(between)
            here, recorded = found.place if found else None, None

    # --- Where the walk goes

    def _begin(self) -> Place | None:
        """The newest listed digest, or an even newer one that must be there."""
        self._enter(self._place.bucket, self._question.end + HOUR)
        newest, mark = self._ahead.newest(), self._landmarks.newest
        if mark is not None and (newest is None or newest.end < mark.end):
            self._enter(mark.place.bucket, mark.end)
            self._longest, self.reached = mark.end - mark.start, mark.end
            return mark.place
        if newest is None:
            return None
        self.reached = newest.end
        return newest.place

    def _left_over(self) -> Place | None:
        """Where to begin again. Regular digests that nothing leads to are looked at by themselves (`strays`)."""
        return None

    def _enter(self, bucket: str, until: int) -> None:
        """Goes on in another bucket, which then gives the digests to fall back on."""
        if bucket == self._bucket:
            return
        self._bucket = bucket
        self._list_again(until)
        if not self.backfill and bucket not in self._walked.buckets:
            self._walked.buckets.append(bucket)

    def _list_again(self, until: int) -> None:
        listed = [digest for digest in self._lists.of(self._bucket) if digest.backfill == self.backfill]
        ahead = [digest for digest in listed if digest.end <= until and digest.place not in self.seen]
        self._ahead = DigestsAhead(self._objects, ahead)
        self.entered[self._bucket] = max(until, self.entered.get(self._bucket, until))

    def _fall_back(self, before: int) -> ListedDigest | None:
        """The newest listed digest that is older and was not looked at."""
        self._newer = None
        found = self._ahead.before(before)
        while found is not None and found.place in self.seen:
            found = self._ahead.before(before)
        if found is None and self._known is not None:
            self._forget_known(passed=True)
            return self._fall_back(before)
        return found

    def _end_of(self, place: Place, *, otherwise: int) -> int:
        """The stamp of a digest's key. A recorded predecessor may have any name: `otherwise` then."""
        digest = self._place.digest_at(place.key)
        return digest.end_seconds if digest else otherwise

    # --- The digest that a run before had verified

    def _known_place(self) -> Place | None:
        return Place(self._known.bucket, self._known.key) if self._known else None

    def _ends_before(self, here: Place, recorded: Recorded | None) -> bool:
        """Whether a proven link leads to the known digest, which is then not read again. Notes if it is passed by."""
        known = self._known
        if known is None:
            return False
        if here == self._known_place():
            is_linked = recorded is not None and recorded.proven and not differing_from(recorded.link, known)
            if is_linked:
                self._note_hole(known.end)
                self._reach_known()
            return is_linked
        if self._end_of(here, otherwise=known.end + 1) <= known.end:
            self._forget_known(passed=True)
        return False

    def _reach_known(self) -> None:
        assert self._known is not None
        self._walked.reached_known = True
        self._walked.known_until = self.reached = self._known.end
        self.seen.add(Place(self._known.bucket, self._known.key))

    def _forget_known(self, *, passed: bool) -> None:
        """The chain does not lead to it: everything is read, as if there had been no run before."""
        if passed:
            self.passed = self._known_place()
        self._known = None
        self._lists.widen()
        self._landmarks.widen()
        self._list_again(self.entered[self._bucket])

    # --- What the walk finds

    def _visit(self, here: Place, recorded: Recorded | None) -> DigestCheck:
        """Reads and judges a digest, and notes what it says."""
        self.seen.add(here)
        self._walked.visited.add(*here)
        mark = self._landmarks.at(here)
        if mark is not None and (recorded is None or not recorded.proven):
            recorded = mark.as_recorded()
        check = self._judge.judge(here, self._ahead.read(here), backfill=self.backfill, recorded=recorded)
        if (
            mark is not None
            and check.verified is not None
            and check.kind in PROVEN
            and (differing := differing_from(mark.link, check.verified))
        ):
            check = replace(check, kind=Kind.CHAIN_BROKEN, detail=f"{', '.join(differing)}, says {mark.told_by}")
        if here == self._known_place() and check.kind is not Kind.VALID:
            self._forget_known(passed=False)
        self._note(check, here)
        return check

    def _note(self, check: DigestCheck, here: Place) -> None:
        if check.kind is Kind.NOT_FOUND:
            self._walked.missing.add(*here)
        elif check.kind is Kind.NOT_CHECKED:
            self._walked.complete = False
        if check.digest is not None and check.kind in PROVEN:
            for entry in check.digest.log_files:
                self._walked.log_files.add(entry.s3_bucket, entry.s3_object)
        if check.kind is Kind.VALID and check.digest is not None and check.verified is not None:
            self._note_valid(check.digest, check.verified, here)
        else:
            self._joined, self._newer = False, None
            if self.backfill:
                end = self._end_of(here, otherwise=self.reached)
                self._walked.doubtful.append(Span(end - HOUR, end))
        if check.digest is not None:
            self.reached = check.digest.start
            self._longest = max(self._longest, check.digest.end - check.digest.start)

    def _note_valid(self, digest: Digest, verified: VerifiedDigest, here: Place) -> None:
        if self.backfill:
            return
        self._note_hole(digest.end)
        walked = self._walked
        walked.digests.append(WalkedDigest(digest.start, digest.end, self._ahead.put_at(here), self._joined))
        walked.prove(*here, verified.sha256, verified.signature)
        walked.newest = walked.newest or verified
        self._joined, self._newer = True, digest if digest.previous else None

    def _note_hole(self, end: int) -> None:
        """If the newer digest does not start when the one ends that its link led to."""
        if self._newer is None or end == self._newer.start:
            return
        span = min(end, self._newer.start), max(end, self._newer.start)
        how = "leave out" if end < self._newer.start else "both tell of"
        detail = f"linked digests {how} {format_time(span[0])} to {format_time(span[1])}"
        place = self._bucket, self._place.folder
        self.holes.append(Finding(Kind.HOUR_WITHOUT_DIGEST, Subject.CHAIN, *place, detail, *span))

    def _told(self, check: DigestCheck, here: Place) -> Finding:
        valid = check.digest if check.kind is Kind.VALID else None
        window = (valid.start, valid.end) if valid else (None, None)
        return Finding(check.kind, self.subject, *here, check.detail, *window)

    def _told_of_circle(self, there: Place) -> Iterator[Step]:
        circle = "the digests link to each other in a circle"
        yield Step([Finding(Kind.CHAIN_BROKEN, self.subject, *there, circle)])

    def _between(self, check: DigestCheck, here: Place, found: ListedDigest) -> Iterator[Finding]:
        """What lies between a digest that leads nowhere and the next older one."""
        if check.kind is Kind.NOT_FOUND and not self.backfill:
            end = self._end_of(here, otherwise=self.reached)
            period = max(self._longest, self._ahead.usual_step(found.end))
            for missing in missing_between(self._place, self._bucket, end, found.end, period):
                if Place(missing.bucket, missing.key) not in self.seen:
                    self._walked.visited.add(missing.bucket, missing.key)
                    self._walked.missing.add(missing.bucket, missing.key)
                    yield missing
        elif check.verified is not None and check.digest is not None and check.digest.previous is None:
            # While validation is off, log files are put that no digest will ever name.
            self._joined = self._joined and found.end >= self.reached
            yield Finding(Kind.GAP, self.subject, *found.place, start=found.end, end=self.reached)


class BackfillWalk(ChainWalk):
    """The walk along the backfill digests. They were made late, in any order, so their links may pass some by."""

    subject = Subject.BACKFILL_DIGEST
    backfill = True

    def _left_over(self) -> Place | None:
        left = [listed for listed in self._lists.listed() if listed.backfill and listed.place not in self.seen]
        if not left:
            return None
        newest = max(left, key=lambda listed: listed.end)
        # Listed anew, with all that was passed by: not one of them at a time.
        self._bucket, self.reached = newest.place.bucket, newest.end
        self._list_again(newest.end)
        return newest.place

    def _told_of_circle(self, there: Place) -> Iterator[Step]:  # noqa: ARG002 - met before from another beginning
        yield from ()

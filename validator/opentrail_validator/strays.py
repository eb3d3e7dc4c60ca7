"""Looks at the listed digests that the walk passed by. The AWS CLI does not see them.

Nothing leads to them. If one is well signed, there are two histories of the chain (a fork), unless it goes on where
the walk found the end of an older chain: that one ended a little later than the next chain began. Any other is
something put there. Only digests of the time and the buckets that the walk went through count, and only those that
were listed before it began: what is older was not asked for, and what is newer will be led to by the next digest.
"""

from __future__ import annotations

from collections.abc import Iterator

from opentrail_validator.chain_walk import ChainWalk, Step
from opentrail_validator.digest_check import DigestCheck
from opentrail_validator.digest_judge import DigestJudge
from opentrail_validator.digest_lists import DigestLists, as_digest
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.readers.port import ObjectMissing, ObjectReader, Place
from opentrail_validator.walked import Walked

_STRAY = "well signed, but no newer digest leads to it"
_PASSED = "verified by an earlier run, but now no newer digest leads to it"


def strays(
    walk: ChainWalk, lists: DigestLists, objects: ObjectReader, judge: DigestJudge, walked: Walked
) -> Iterator[Step]:
    """What there is to say of each, newest first; then of what has no digest's name. `walk` has ended."""
    told = []
    for place, outcome in objects.read_all(_places(walk, lists), as_digest):
        walked.visited.add(*place)
        if isinstance(outcome, ObjectMissing) and place != walk.passed:
            continue  # Taken away since it was listed, and nothing says that it should be there.
        check = judge.judge(place, outcome, backfill=False)
        if check.kind is Kind.VALID and _goes_on(check, walk, walked):
            told.append(_step_of_end(check, place, walk, walked))
        else:
            told.append(Step([_finding(check, place, _PASSED if place == walk.passed else _STRAY)]))
    yield from reversed(told)
    for place in sorted(lists.strangers - walk.seen):
        walked.visited.add(*place)
        yield Step(
            [Finding(Kind.MALFORMED, Subject.DIGEST, *place, "it lies among the digests and has no digest's name")]
        )


def _places(walk: ChainWalk, lists: DigestLists) -> list[Place]:
    """Oldest first: each may go on where the one before ends."""
    places = [
        digest.place
        for digest in sorted(lists.listed(), key=lambda digest: (digest.end, digest.place))
        if not digest.backfill
        and digest.place not in walk.seen
        and walk.reached < digest.end <= walk.entered.get(digest.place.bucket, 0)
    ]
    if walk.passed is not None and walk.passed not in places and walk.passed not in walk.seen:
        places.append(walk.passed)
    return places


def _goes_on(check: DigestCheck, walk: ChainWalk, walked: Walked) -> bool:
    """Whether it recorded a valid digest as its predecessor that no other digest recorded."""
    link = check.digest.previous if check.digest else None
    if link is None or Place(link.s3_bucket, link.s3_object) in walk.linked:
        return False
    return walked.is_as_recorded(link.s3_bucket, link.s3_object, link.hash_value, link.signature) is True


def _step_of_end(check: DigestCheck, place: Place, walk: ChainWalk, walked: Walked) -> Step:
    digest, verified = check.digest, check.verified
    assert digest is not None
    assert digest.previous is not None
    assert verified is not None
    walk.linked.add(Place(digest.previous.s3_bucket, digest.previous.s3_object))
    walked.prove(*place, verified.sha256, verified.signature)
    for entry in digest.log_files:
        walked.log_files.add(entry.s3_bucket, entry.s3_object)
    return Step([Finding(Kind.VALID, Subject.DIGEST, *place, "", digest.start, digest.end)], digest.log_files)


def _finding(check: DigestCheck, place: Place, fork: str) -> Finding:
    if check.kind is Kind.VALID:
        return Finding(Kind.FORK, Subject.DIGEST, *place, fork)
    return Finding(check.kind, Subject.DIGEST, *place, check.detail)

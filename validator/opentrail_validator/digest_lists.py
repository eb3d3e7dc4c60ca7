"""Which digests of the chain lie in each bucket, by its own listing, and reading them ahead of the walk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median_low
from typing import Final, NamedTuple

from opentrail.evidence.object_keys import DigestKey, MalformedKey, parse_key
from opentrail_validator.question import HOUR, Question
from opentrail_validator.readers.port import (
    CouldNotRead,
    ObjectDamaged,
    ObjectMissing,
    ObjectReader,
    Outcome,
    Place,
    StoredObject,
)

_MAX_STORED: Final = 1 << 24
"""Bytes of a digest as it lies there: compressed, it names a hundred thousand log files."""
_SOME: Final = 25
"""Digests that show how often there are some."""


class ListingFailed(Exception):
    """The digests of a bucket could not be listed."""

    def __init__(self, bucket: str, reason: str) -> None:
        super().__init__(bucket, reason)
        self.bucket = bucket
        self.reason = reason


class ListedDigest(NamedTuple):
    """A digest as its bucket lists it. `end` is its name's stamp, epoch seconds."""

    place: Place
    end: int
    backfill: bool
    put_at: float | None


class DigestLists:
    """The digests that end from `since` (epoch seconds) to an hour after the end asked for. Each bucket is listed once.

    A bucket that cannot be listed is asked once, too.
    """

    def __init__(self, question: Question, objects: ObjectReader, since: int) -> None:
        self._question = question
        self._objects = objects
        self._since = since
        self._lists: dict[str, tuple[int, list[ListedDigest] | ListingFailed]] = {}
        self.strangers: set[Place] = set()
        """What lies among the digests under names that no digest of any trail has."""

    def widen(self) -> None:
        """From the start that was asked for, and no later one: a bucket is listed again when it is asked for."""
        self._since = min(self._since, self._question.start)

    def of(self, bucket: str) -> Sequence[ListedDigest]:
        """A bucket's digests, oldest first. Raises ListingFailed."""
        since, found = self._lists.get(bucket, (None, None))
        if found is None or since != self._since:
            try:
                found = list(self._list(bucket))
            except CouldNotRead as error:
                found = ListingFailed(bucket, str(error))
            self._lists[bucket] = self._since, found
        if isinstance(found, ListingFailed):
            raise found
        return found

    def listed(self) -> Iterator[ListedDigest]:
        """All digests of the buckets that could be listed."""
        for _, found in self._lists.values():
            if not isinstance(found, ListingFailed):
                yield from found

    def _list(self, bucket: str) -> Iterator[ListedDigest]:
        place, until = self._question.place, self._question.end + HOUR
        for listed in self._objects.list(bucket, place.folder, str(place.key(self._since - 1))):
            digest = place.digest_at(listed.key)
            if digest is not None and digest.end_seconds > until:
                return
            if digest is not None and digest.end_seconds >= self._since:
                yield ListedDigest(Place(bucket, listed.key), digest.end_seconds, digest.backfill, listed.modified)
            elif digest is None and not is_digest(listed.key) and not listed.key.endswith("/"):
                self.strangers.add(Place(bucket, listed.key))


class DigestsAhead:
    """The listed digests that a walk may go to, the newest next, and their objects, read ahead."""

    def __init__(self, objects: ObjectReader, digests: Sequence[ListedDigest]) -> None:
        self._objects = objects
        self._older = list(digests)
        self._put_at = {digest.place: digest.put_at for digest in digests}
        self._unread = set(self._put_at)
        self._stream = objects.read_all((digest.place for digest in reversed(digests)), as_digest)

    def before(self, end: int) -> ListedDigest | None:
        """The newest listed digest with an older stamp; none is offered twice."""
        while self._older and self._older[-1].end >= end:
            self._older.pop()
        return self._older.pop() if self._older else None

    def newest(self) -> ListedDigest | None:
        """The newest listed digest."""
        return self._older[-1] if self._older else None

    def usual_step(self, end: int) -> int:
        """Seconds from one digest to the next, where they are older than `end`: an hour, if they do not show less.

        A digest that was cut short, as when logging stopped, says nothing of the others: most of them count.
        """
        ends = [end, *(digest.end for digest in reversed(self._older[-_SOME:]))]
        steps = [newer - older for newer, older in pairwise(ends)]
        return min(HOUR, median_low(steps)) if steps else HOUR

    def put_at(self, place: Place) -> float | None:
        """When a digest was put, if it was listed and the list says so."""
        return self._put_at.get(place)

    def read(self, place: Place) -> Outcome:
        """A digest; mostly it has been read ahead, because digests lead from one to the next as they are listed."""
        if place in self._unread:
            for found, outcome in self._stream:
                self._unread.discard(found)
                if found == place:
                    return outcome
        return read_one(self._objects, place)


def is_digest(key: str) -> bool:
    """Whether it is the key of a digest, of whatever trail."""
    try:
        return isinstance(parse_key(key), DigestKey)
    except MalformedKey:
        return False


def read_one(objects: ObjectReader, place: Place) -> Outcome:
    """What became of reading an object: the reader's errors as values."""
    try:
        return as_digest(place, objects.get(*place))[1]
    except (ObjectMissing, ObjectDamaged, CouldNotRead) as error:
        return error


def as_digest(place: Place, outcome: Outcome) -> tuple[Place, Outcome]:
    """What is kept of a digest that was read ahead: of one that is larger than any, nothing. Many would fill memory."""
    if isinstance(outcome, StoredObject) and len(outcome.body) > _MAX_STORED:
        return place, ObjectDamaged(f"it has {len(outcome.body):,} bytes, no digest has more than {_MAX_STORED:,}")
    return place, outcome

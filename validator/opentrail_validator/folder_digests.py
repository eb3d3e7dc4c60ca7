"""The digests of a folder, of all trails that share it, looked at by themselves: what they list, and when.

Each must be well signed by a key that is known. That a chain is whole is the business of its own trail's validation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

from opentrail.evidence.digest import Digest, MalformedDigest, parse_digest
from opentrail.evidence.object_keys import DigestKey, MalformedKey, parse_key
from opentrail.evidence.times import utc
from opentrail_validator.digest_check import PROVEN, DigestCheck, Recorded, check_digest
from opentrail_validator.digest_lists import as_digest
from opentrail_validator.findings import Kind
from opentrail_validator.gzip_member import MAX_DIGEST_BYTES, inflate
from opentrail_validator.question import Span
from opentrail_validator.readers.port import (
    CouldNotRead,
    ListedObject,
    ObjectReader,
    Place,
    PublicKey,
    StoredObject,
)
from opentrail_validator.trail_place import TrailPlace
from opentrail_validator.walked import NameSet, WalkedDigest

ON_TIME: Final = 900
"""A digest that was put within so many seconds of its end shows that the writer was alive then."""
_SETTLING: Final = 900
"""Seconds after validation was switched on: files of what was logged before are put then, and come into no digest."""


class Sibling(NamedTuple):
    """A trail by what its digests' names say of it."""

    name: str
    home_region: str


class SeenDigest(NamedTuple):
    """A regular digest that proves something: its window, when it was put, and whether it starts a chain."""

    start: int
    end: int
    put_at: float | None
    starts_chain: bool


@dataclass(frozen=True, slots=True)
class FolderDigests:
    """What the digests of a folder list."""

    log_files: NameSet = field(default_factory=NameSet)
    """Log files that proven digests list."""
    unproven: NameSet = field(default_factory=NameSet)
    """Log files listed by digests of which nobody can say here whether they are good: no key, or no signature."""
    trails: dict[Sibling, list[SeenDigest]] = field(default_factory=dict)


def joined(seen: Sequence[SeenDigest], newer_start: int | None = None) -> list[WalkedDigest]:
    """Digests of one trail, newest first; each joins the next newer one if that begins where it ends."""
    digests: list[WalkedDigest] = []
    for digest in sorted(seen, key=ending, reverse=True):
        is_joined = newer_start is None or digest.end >= newer_start
        digests.append(WalkedDigest(digest.start, digest.end, digest.put_at, is_joined))
        newer_start = digest.start
    return digests


def ending(digest: SeenDigest) -> tuple[int, int]:
    """To sort by."""
    return digest.end, digest.start


def without_times(digests: Sequence[WalkedDigest]) -> list[WalkedDigest]:
    """The same, where nobody knows when they were put."""
    return [replace(digest, put_at=None) for digest in digests]


def judged(digests: Iterable[WalkedDigest]) -> list[Span]:
    """When a file must have been put so that one of these digests (newest first) would name it.

    For each row of digests that join: from its first window's start, and a little, to the start of its last window at
    which the writer was alive.
    """
    spans = []
    for row in _rows(digests):
        since = min(row[-1].start + _SETTLING, row[-2:][0].end)
        alive = (newer.start for newer, older in pairwise(row) if _is_on_time(older, newer))
        span = Span(since, next(alive, since))
        if span.start < span.end:
            spans.append(span)
    return spans


def _rows(digests: Iterable[WalkedDigest]) -> Iterator[list[WalkedDigest]]:
    row: list[WalkedDigest] = []
    for digest in digests:
        if row and not digest.joined:
            yield row
            row = []
        row.append(digest)
    if row:
        yield row


def _is_on_time(older: WalkedDigest, newer: WalkedDigest) -> bool:
    return older.put_at is None or older.put_at <= newer.start + ON_TIME


def day_of(seconds: int) -> str:
    """The folder of a day: `YYYY/MM/DD`."""
    moment = utc(seconds)
    return f"{moment.year:04}/{moment:%m/%d}"


class FolderReading:
    """Reads digests of one account and source region, and adds what they say."""

    def __init__(self, place: TrailPlace, objects: ObjectReader, keys: Mapping[str, PublicKey]) -> None:
        self._place = place
        self._objects = objects
        self._keys = keys
        self.found = FolderDigests()

    def read(self, bucket: str, ends: Span, own_ends: Span | None, *, all_keys_known: bool = True) -> None:
        """Reads the digests that end in `ends`, both included; of the place's own trail: in `own_ends`, or none.

        Newest first, as a digest without metadata has its signature from the next one. Raises CouldNotRead.
        `all_keys_known`: whether a digest of a key that is not known is a forgery; else nothing is known of it.
        """
        listed = self._list(bucket, ends, own_ends)
        links: dict[Place, Recorded] = {}
        objects = self._objects.read_all((Place(bucket, entry.key) for _, entry in listed), as_digest)
        for (digest, entry), (here, outcome) in zip(listed, objects, strict=True):
            if isinstance(outcome, CouldNotRead):
                raise outcome
            if isinstance(outcome, StoredObject):
                check = self._check(outcome, here, digest, links.pop(here, None))
                proven = check.kind in PROVEN
                if check.digest is not None and (previous := check.digest.previous):
                    links[Place(previous.s3_bucket, previous.s3_object)] = Recorded(previous, proven=proven)
                if check.digest is not None and proven:
                    self._add(check.digest, digest, entry)
                elif check.kind is Kind.NOT_CHECKED or (
                    check.kind is Kind.UNKNOWN_KEY and (digest.backfill or not all_keys_known)
                ):
                    self._add_unproven(outcome)

    def _list(self, bucket: str, ends: Span, own_ends: Span | None) -> list[tuple[DigestKey, ListedObject]]:
        found = []
        for entry in listed_between(self._objects, bucket, self._place.folder, day_of(ends.start), day_of(ends.end)):
            digest = _digest_key(entry.key)
            within = own_ends if self._place.digest_at(entry.key) else ends
            if digest is not None and within is not None and within.start <= digest.end_seconds <= within.end:
                found.append((digest, entry))
        return sorted(found, key=lambda pair: (pair[0].end_seconds, pair[1].key), reverse=True)

    def _check(self, stored: StoredObject, here: Place, digest: DigestKey, recorded: Recorded | None) -> DigestCheck:
        place = replace(self._place, trail_name=digest.trail_name, home_region=digest.home_region)
        return check_digest(
            stored, *here, lambda name, _: self._keys.get(name), place, backfill=digest.backfill, recorded=recorded
        )

    def _add(self, digest: Digest, key: DigestKey, entry: ListedObject) -> None:
        for log_file in digest.log_files:
            self.found.log_files.add(log_file.s3_bucket, log_file.s3_object)
        if key.backfill:
            return
        seen = SeenDigest(digest.start, digest.end, entry.modified, digest.previous is None)
        self.found.trails.setdefault(Sibling(key.trail_name, key.home_region), []).append(seen)

    def _add_unproven(self, stored: StoredObject) -> None:
        try:
            digest = parse_digest(inflate(stored.body, MAX_DIGEST_BYTES).data)
        except MalformedDigest:
            return
        for log_file in digest.log_files:
            self.found.unproven.add(log_file.s3_bucket, log_file.s3_object)


def listed_between(objects: ObjectReader, bucket: str, folder: str, first: str, last: str) -> Iterator[ListedObject]:
    """What lies in a folder's days from `first` to `last` (`YYYY/MM/DD`), in order. Raises CouldNotRead."""
    for entry in objects.list(bucket, folder, f"{folder}{first}/"):
        if entry.key[len(folder) : len(folder) + len(last)] > last:
            return
        yield entry


def _digest_key(key: str) -> DigestKey | None:
    try:
        digest = parse_key(key)
    except MalformedKey:
        return None
    return digest if isinstance(digest, DigestKey) else None

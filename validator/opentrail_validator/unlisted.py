"""Log files that lie among a trail's and that no digest names: someone planted them.

The writer puts a log file first and names it in a digest later, so a file without a digest is not yet a planted one. It
is one if digests were made since that would name it: it lay there before a digest's window began, all digests from then
on are valid and join, and the writer was alive when that window began, as the digest before was put on time. After an
outage digests are put late; a file put right before it is then named only by a digest of after it.

* Between two chains of digests validation may have been off, and then log files are put that no digest will ever name.
* Several trails may write to one folder. A file may be any one's: the digests of all that have some there are read.
  (A trail without digests looks like a planter.)
* Digests before the time asked for are not read: only files that were put in that time are judged.
* Digests after it may name a parked file of its days: they are read too before anything is said.
* A copy's times are those of the copying, and some stores tell none. The stamp in a file's name, and an hour, stand in
  for the time of its put then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from opentrail.evidence.object_keys import LogFileKey, LogKind, MalformedKey, parse_key
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.folder_digests import FolderReading, SeenDigest, Sibling, day_of, listed_between
from opentrail_validator.question import HOUR, Question, Span
from opentrail_validator.readers.port import CouldNotRead, ListedObject, ObjectReader, PublicKey
from opentrail_validator.walked import Walked, WalkedDigest

ON_TIME: Final = 900
"""A digest that was put within so many seconds of its end shows that the writer was alive then."""
_CLOCKS: Final = 900
"""Seconds by which the store's clock may be before the writer's."""
_DAY: Final = 24 * HOUR
_READ_AGAIN: Final = _DAY
"""Seconds: a run that goes on from a known digest judges the files of so much time before it once more."""
_PARKED: Final = 31 * _DAY
"""Seconds after which a file that a bucket did not take is delivered at the latest."""
_LAST_DAY: Final = "9999/12/31"


def unlisted_log_files(
    question: Question, objects: ObjectReader, walked: Walked, keys: Mapping[str, PublicKey]
) -> Iterator[Finding]:
    """PLANTED for each log file of the days asked for, of the account and region, that a digest would name by now.

    NOT_CHECKED instead if not all digests and lists could be read. After a walk that stopped at a known digest, only
    the days since then are looked at.
    """
    if not question.checks.unlisted:
        return
    search = _Search(question, objects, walked, keys)
    folder = question.place.bucket, search.folders[0]
    if not walked.complete:
        yield Finding(Kind.NOT_CHECKED, Subject.LISTING, *folder, "log files in no digest: not all digests were read")
        return
    try:
        yield from search.findings()
    except CouldNotRead as error:
        yield Finding(Kind.NOT_CHECKED, Subject.LISTING, *folder, f"log files in no digest: {error}")


def judged(digests: Iterable[WalkedDigest]) -> list[Span]:
    """When a file must have been put so that one of these digests (newest first) would name it.

    For each row of digests that join: from its first window's start to the start of its last window at which the writer
    was alive.
    """
    spans = []
    for row in _rows(digests):
        alive = (newer.start for newer, older in pairwise(row) if _is_on_time(older, newer))
        span = Span(row[-1].start, next(alive, row[-1].start))
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


@dataclass(frozen=True, slots=True)
class _Trail:
    """Another trail of the folder: when it may have put files, and those of which it would have told."""

    life: Span
    judged: list[Span]

    def may_owe(self, put: Span) -> bool:
        """Whether a file put in this time may be one of its, and in no digest yet, or in one that is lost."""
        return _touch(self.life, put) and not any(_holds(span, put) for span in self.judged)


class _Search:
    def __init__(
        self, question: Question, objects: ObjectReader, walked: Walked, keys: Mapping[str, PublicKey]
    ) -> None:
        place = question.place
        self._question = question
        self._objects = objects
        self._walked = walked
        self._keys = keys
        self._buckets = list(dict.fromkeys([place.bucket, *walked.buckets]))
        self._since = max(question.start, (walked.known_until or question.start) - _READ_AGAIN)
        self._reading = FolderReading(place, objects, keys)
        self.folders = [f"{place.root}{place.account_id}/{kind}/{place.region}/" for kind in LogKind]

    def findings(self) -> Iterator[Finding]:
        self._read_digests()
        own = [*self._walked.digests, *self._own_known()]
        if len(own) < 2:  # noqa: PLR2004 - a window and the one before it
            return
        judge = self._judge(own)
        if next(self._suspects(judge), None) is None:
            return
        later = self._read_later()
        for bucket, key in self._suspects(judge):
            if later.found.log_files.has(bucket, key):
                continue
            if later.found.unproven.has(bucket, key) or self._reading.found.unproven.has(bucket, key):
                detail = "only digests name it of which nobody can say here whether they are good"
                yield Finding(Kind.NOT_CHECKED, Subject.LOG_FILE, bucket, key, detail)
            else:
                yield Finding(Kind.PLANTED, Subject.LOG_FILE, bucket, key, "in no digest of any trail here")

    def _read_digests(self) -> None:
        """Those of other trails in the time asked for; of this one, those that the walk did not go back to."""
        known_until = self._walked.known_until
        own = Span(self._since, known_until) if known_until is not None else None
        for bucket in self._buckets:
            self._reading.read(bucket, Span(self._since, self._question.end + HOUR), own)

    def _read_later(self) -> FolderReading:
        """Digests after the time asked for, which may name files of its days; their keys may not be known."""
        reading = FolderReading(self._question.place, self._objects, self._keys)
        end = self._question.end + HOUR
        later = Span(end + 1, end + _PARKED)
        for bucket in self._buckets:
            reading.read(bucket, later, later, all_keys_known=False)
        return reading

    def _own_known(self) -> list[WalkedDigest]:
        place = self._question.place
        seen = self._reading.found.trails.get(Sibling(place.trail_name, place.home_region), [])
        return _joined(seen, self._walked.digests[-1].start if self._walked.digests else None)

    def _judge(self, own: list[WalkedDigest]) -> _Judge:
        place, newest = self._question.place, own[0].end
        others = [
            (_joined(seen), min(seen, key=_end).starts_chain)
            for sibling, seen in sorted(self._reading.found.trails.items())
            if sibling != (place.trail_name, place.home_region)
        ]
        times_tell = self._times_tell(own)
        if not times_tell:
            own = _without_times(own)
            others = [(_without_times(digests), starts) for digests, starts in others]
        since = self._since + (_CLOCKS if times_tell else 0)
        spans = [Span(max(span.start, since), span.end) for span in judged(own)]
        trails = [_Trail(_life(digests, newest, starts=starts), judged(digests)) for digests, starts in others]
        return _Judge(spans, trails, self._walked.doubtful, times_tell=times_tell)

    def _times_tell(self, own: Sequence[WalkedDigest]) -> bool:
        """Whether the store's times are those at which the writer put things.

        Not if all digests were put after the last of them ends, as after an outage, and so was a log file that one of
        them names: it must have been there before.
        """
        newest = own[0].end
        if any(digest.put_at is not None and digest.put_at <= newest for digest in own):
            return True
        for bucket, entry in self._listed():
            if self._is_named(bucket, entry.key):
                return entry.modified is not None and entry.modified <= newest
        return True

    def _suspects(self, judge: _Judge) -> Iterator[tuple[str, str]]:
        for bucket, entry in self._listed():
            if not self._is_named(bucket, entry.key) and judge.condemns(entry):
                yield bucket, entry.key

    def _listed(self) -> Iterator[tuple[str, ListedObject]]:
        """What lies in the days asked for; if that is up to now, in days to come too."""
        question = self._question
        is_past = question.end < question.now - HOUR
        last = day_of(question.end) if is_past else _LAST_DAY
        for bucket in self._buckets:
            for folder in self.folders:
                for entry in listed_between(self._objects, bucket, folder, day_of(self._since), last):
                    yield bucket, entry

    def _is_named(self, bucket: str, key: str) -> bool:
        return self._walked.log_files.has(bucket, key) or self._reading.found.log_files.has(bucket, key)


@dataclass(frozen=True, slots=True)
class _Judge:
    """Tells of an object that no digest names whether one would by now."""

    spans: list[Span]
    """When it must have been put for one of this trail's digests to name it."""
    others: list[_Trail]
    doubtful: list[Span]
    """When files were put that backfill digests may name which are missing or wrong."""
    times_tell: bool

    def condemns(self, entry: ListedObject) -> bool:
        named = _stamp(entry.key)
        put = named
        if self.times_tell and entry.modified is not None:
            put = Span(int(entry.modified), int(entry.modified))
        if put is None:
            return True  # No writer gives such a name, so no digest will ever name it.
        if named is not None and any(_touch(span, named) for span in self.doubtful):
            return False
        return any(_holds(span, put) for span in self.spans) and not any(other.may_owe(put) for other in self.others)


def _stamp(key: str) -> Span | None:
    """When a log file was put by its name, at the earliest and latest; None: it is no log file's name."""
    try:
        parsed = parse_key(key)
    except MalformedKey:
        return None
    return Span(parsed.seconds, parsed.seconds + HOUR) if isinstance(parsed, LogFileKey) else None


def _joined(seen: Sequence[SeenDigest], newer_start: int | None = None) -> list[WalkedDigest]:
    """Newest first; each joins the next newer one if that begins where it ends."""
    digests: list[WalkedDigest] = []
    for digest in sorted(seen, key=_end, reverse=True):
        joined = newer_start is None or digest.end >= newer_start
        digests.append(WalkedDigest(digest.start, digest.end, digest.put_at, joined))
        newer_start = digest.start
    return digests


def _end(digest: SeenDigest) -> tuple[int, int]:
    return digest.end, digest.start


def _without_times(digests: Sequence[WalkedDigest]) -> list[WalkedDigest]:
    return [WalkedDigest(digest.start, digest.end, None, digest.joined) for digest in digests]


def _life(digests: Sequence[WalkedDigest], newest: int, *, starts: bool) -> Span:
    """When a trail may have put files: to no end, if it has made digests up to lately."""
    is_alive = digests[0].end + 2 * HOUR >= newest
    return Span(digests[-1].start if starts else 0, newest + _PARKED if is_alive else digests[0].end)


def _holds(span: Span, put: Span) -> bool:
    return span.start <= put.start and put.end < span.end


def _touch(span: Span, put: Span) -> bool:
    return span.start <= put.end and put.start < span.end

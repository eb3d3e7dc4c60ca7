"""Log files that lie among a trail's and that no digest names: someone planted them.

The writer puts a log file first and names it in a digest later, so a file without a digest is not yet a planted one. It
is one if digests were made since that would name it: it lay there before a digest's window began, all digests from then
on are valid and join, and the writer was alive when that window began, as the digest before was put on time. After an
outage digests are put late; a file put right before it is then named only by a digest of after it.

* Between two chains of digests validation may have been off, and then log files are put that no digest will ever name.
* Several trails may write to one folder. A file may be any one's: the digests of all that have some there are read.
  (A trail without digests looks like a planter.)
* Digests before the time asked for are not read: only files that were put in that time are judged.
* Digests after it may name a parked file of its days: they are read too before anything is said. They also tell of a
  file that was put into its days only then.
* A copy's times are those of the copying, and some stores tell none. The stamp in a file's name, and an hour, stand in
  for the time of its put then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from opentrail.evidence.object_keys import LogFileKey, LogKind, MalformedKey, parse_key
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.folder_digests import (
    FolderDigests,
    FolderReading,
    SeenDigest,
    Sibling,
    day_of,
    ending,
    joined,
    judged,
    listed_between,
    without_times,
)
from opentrail_validator.question import HOUR, Question, Span
from opentrail_validator.readers.port import (
    ApiNotReached,
    ApiRefused,
    CouldNotRead,
    ListedObject,
    ObjectReader,
    PublicKey,
    PublicKeySource,
)
from opentrail_validator.trail_place import LAST_MOMENT
from opentrail_validator.walked import Walked, WalkedDigest

_CLOCKS: Final = 900
"""Seconds by which the store's clock may be before the writer's."""
_DAY: Final = 24 * HOUR
_READ_AGAIN: Final = _DAY
"""Seconds: a run that goes on from a known digest judges the files of so much time before it once more."""
_PARKED: Final = 31 * _DAY
"""Seconds within which a file that a bucket did not take is delivered, if nobody has to help."""
_TO_THE_END: Final = "\U0010ffff"


def unlisted_log_files(
    question: Question,
    objects: ObjectReader,
    walked: Walked,
    keys: Mapping[str, PublicKey],
    later_keys: PublicKeySource | None = None,
) -> Iterator[Finding]:
    """PLANTED for each log file of the days asked for, of the account and region, that a digest would name by now.

    NOT_CHECKED instead if not all digests and lists could be read. After a walk that stopped at a known digest, only
    the days since then are looked at. `later_keys` is asked for the keys of digests after the time asked for.
    """
    if not question.checks.unlisted:
        return
    search = _Search(question, objects, walked, keys, later_keys)
    folder = question.place.bucket, search.folders[0]
    if not walked.complete:
        yield Finding(Kind.NOT_CHECKED, Subject.LISTING, *folder, "log files in no digest: not all digests were read")
        return
    try:
        yield from search.findings()
    except (CouldNotRead, ApiRefused, ApiNotReached) as error:
        yield Finding(Kind.NOT_CHECKED, Subject.LISTING, *folder, f"log files in no digest: {error}")


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
        self,
        question: Question,
        objects: ObjectReader,
        walked: Walked,
        keys: Mapping[str, PublicKey],
        later_keys: PublicKeySource | None,
    ) -> None:
        place = question.place
        self._own = Sibling(place.trail_name, place.home_region)
        self._later_keys = later_keys
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
        times_tell = self._times_tell(own)
        judge = self._judge(own, self._reading.found, times_tell=times_tell)
        suspects = (
            entry.modified or 0 if times_tell else 0
            for _, entry in self._unnamed()
            if judge.condemns(entry) or (times_tell and self._is_late(entry, own[0].end))
        )
        last_put = max(suspects, default=None)
        if last_put is None:
            return
        later = self._read_later(int(min(last_put, LAST_MOMENT - _PARKED)))
        judge = self._judge(self._with_later(own, later), self._reading.found, later.found, times_tell=times_tell)
        for bucket, entry in self._unnamed():
            key = entry.key
            if not judge.condemns(entry) or later.found.log_files.has(bucket, key):
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

    def _read_later(self, last_put: int) -> FolderReading:
        """Digests after the time asked for, which may name files of its days; their keys may not be known."""
        question, keys = self._question, dict(self._keys)
        end = question.end + HOUR
        later = Span(end + 1, max(end, last_put) + _PARKED)
        if self._is_past and self._later_keys is not None:
            keys |= self._later_keys.between(later.start, min(later.end, question.now))
        reading = FolderReading(question.place, self._objects, keys)
        for bucket in self._buckets:
            reading.read(bucket, later, later, all_keys_known=False)
        return reading

    def _own_known(self) -> list[WalkedDigest]:
        seen = self._reading.found.trails.get(self._own, [])
        return joined(seen, self._walked.digests[-1].start if self._walked.digests else None)

    def _with_later(self, own: list[WalkedDigest], later: FolderReading) -> list[WalkedDigest]:
        newer = joined(later.found.trails.get(self._own, []))
        if not newer:
            return own
        return [*newer, replace(own[0], joined=own[0].end >= newer[-1].start), *own[1:]]

    def _judge(self, own: list[WalkedDigest], *found: FolderDigests, times_tell: bool) -> _Judge:
        newest = own[0].end
        trails: dict[Sibling, list[SeenDigest]] = {}
        for sibling, seen in (one for digests in found for one in digests.trails.items()):
            if sibling != self._own:
                trails.setdefault(sibling, []).extend(seen)
        others = [(joined(seen), min(seen, key=ending).starts_chain) for _, seen in sorted(trails.items())]
        if not times_tell:
            own = without_times(own)
            others = [(without_times(digests), starts) for digests, starts in others]
        since = self._since + (_CLOCKS if times_tell else 0)
        spans = [Span(max(span.start, since), span.end) for span in judged(own)]
        rest = [_Trail(_life(digests, newest, starts=starts), judged(digests)) for digests, starts in others]
        return _Judge(spans, rest, self._walked.doubtful, times_tell=times_tell)

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

    def _unnamed(self) -> Iterator[tuple[str, ListedObject]]:
        return ((bucket, entry) for bucket, entry in self._listed() if not self._is_named(bucket, entry.key))

    def _is_late(self, entry: ListedObject, newest: int) -> bool:
        """Whether it was put into the time asked for when that was past: the digests of then tell what it is."""
        if not self._is_past or entry.modified is None or entry.modified < newest:
            return False
        named = _stamp(entry.key)
        return named is None or named.start <= self._question.end

    @property
    def _is_past(self) -> bool:
        return self._question.end < self._question.now - HOUR

    def _listed(self) -> Iterator[tuple[str, ListedObject]]:
        """What lies in the days asked for; if that is up to now, all that follows. Folders of a console are nothing."""
        last = day_of(self._question.end) if self._is_past else _TO_THE_END
        for bucket in self._buckets:
            for folder in self.folders:
                for entry in listed_between(self._objects, bucket, folder, day_of(self._since), last):
                    if not entry.key.endswith("/"):
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


def _life(digests: Sequence[WalkedDigest], newest: int, *, starts: bool) -> Span:
    """When a trail may have put files: to no end, if it has made digests up to lately."""
    is_alive = digests[0].end + 2 * HOUR >= newest
    return Span(digests[-1].start if starts else 0, newest + _PARKED if is_alive else digests[0].end)


def _holds(span: Span, put: Span) -> bool:
    return span.start <= put.start and put.end < span.end


def _touch(span: Span, put: Span) -> bool:
    return span.start <= put.end and put.start < span.end

"""Makes the proof of one event: finds its record in the trail's bucket, and takes out what proves it alone.

Every digest that is used is verified, every log file is compared with what its digest says of it, and the finished
proof is checked like any other. So a proof that was made is good, whoever keeps the bucket.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from opentrail.evidence.digest import Digest, LogFileEntry, PreviousDigest
from opentrail.evidence.object_keys import DigestKey, MalformedKey, parse_key
from opentrail.evidence.times import format_time
from opentrail_validator.digest_check import PROVEN, Recorded, check_digest
from opentrail_validator.digest_judge import kind_of
from opentrail_validator.findings import FACTS, Finding, Kind, Subject, Verdict
from opentrail_validator.proof import FACTS as PROOF_FACTS
from opentrail_validator.proof import check_proof
from opentrail_validator.proof_file import MalformedProof, Proof, read_event
from opentrail_validator.proof_record import FoundRecord, RecordFinder
from opentrail_validator.question import HOUR, Question, Sources
from opentrail_validator.readers.port import CouldNotRead, Outcome, Place, PublicKey, StoredObject
from opentrail_validator.trail_place import TrailPlace

MARGIN: Final = 60
"""Seconds that the time of an event may be off: people round it to the minute."""
_DIGESTS_AT_ONCE: Final = 64
_TOLD: Final = 5


class Reason(StrEnum):
    """Why there is no proof."""

    NOT_FOUND = "not-found"
    NO_ROOTS = "no-roots"
    """The digests have no Merkle roots: nothing in them can be proven without the whole log file."""
    INVALID = "invalid"
    """Evidence that holds the event, or may hold it, is not valid."""
    NOT_CHECKED = "not-checked"
    """What may hold the event could not be read."""


class CannotProve(Exception):
    """There is no proof; the message tells the user why, and what was searched."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def prove(event_id: str, question: Question, sources: Sources, event_time: int | None = None) -> bytes:
    """The proof of the event in a log file that was delivered in the question's time: a proof file's bytes.

    `event_time`: when the event happened, epoch seconds, if that is known: then only log files that may hold such an
    event are read. The same bucket and question give the same bytes; of several records the newest digest's first one
    is taken. Raises CannotProve; ApiRefused, ApiNotReached if the public keys could not be asked for.
    """
    end = question.end + 2 * HOUR
    keys = sources.public_keys.between(question.start, end)
    if not keys:
        between = f"{format_time(question.start)} and {format_time(end)}"
        raise CannotProve(Reason.NOT_CHECKED, f"No public keys found between {between}")
    search = _Search(event_id, event_time, question, sources, keys)
    for digests in search.digests():
        found = search.look_into(digests)
        if found is not None:
            return _checked(found, keys)
    raise search.found_nothing()


def _checked(proof: Proof, keys: Mapping[str, PublicKey]) -> bytes:
    """The proof's bytes, if whoever checks them will find them proven."""
    try:
        read_event(proof.record)
        data = proof.to_bytes()
        faults = [f"{PROOF_FACTS[fault.outcome].meaning} ({fault.detail})" for fault in check_proof(data, keys).faults]
    except MalformedProof as error:
        faults = [str(error)]
    if not faults:
        return data
    at = f"s3://{proof.log_file.bucket}/{proof.log_file.key}"
    raise CannotProve(Reason.INVALID, f"The event is in {at}, but no proof can be made: {'; '.join(faults)}")


class _UsableDigest(NamedTuple):
    """A verified digest, and what a proof takes of it."""

    digest: Digest
    file: bytes
    signature: str
    key: PublicKey


@dataclass(slots=True)
class _Searched:
    """What was looked at."""

    digests: int = 0
    log_files: int = 0
    without_root: int = 0
    unusable: Counter[Verdict] = field(default_factory=Counter)
    """Objects that are not what they should be, or could not be read."""
    told: list[Finding] = field(default_factory=list)
    """The first of them."""

    def cannot_use(self, finding: Finding) -> None:
        self.unusable[finding.verdict] += 1
        if len(self.told) < _TOLD:
            self.told.append(finding)


class _Search:
    """Goes through a trail's digests, from the newest to the oldest, and through their log files."""

    def __init__(
        self, event_id: str, event_time: int | None, question: Question, sources: Sources, keys: Mapping[str, PublicKey]
    ) -> None:
        self._record = RecordFinder(event_id)
        self._event_id = event_id
        self._event_time = event_time
        self._question = question
        self._objects = sources.objects
        self._keys = keys
        self._recorded: dict[Place, Recorded] = {}
        """What digests say of those before them."""
        self._read_already: set[Place] = set()
        self._searched = _Searched()

    def digests(self) -> Iterator[list[_UsableDigest]]:
        """Verified digests, some at a time: those that are listed, then those that are not, but to which others link.

        Also in the places that the trail had before.
        """
        places = [self._question.place]
        for place in places:
            listed = self._list(place)
            for start in range(0, len(listed), _DIGESTS_AT_ONCE):
                digests = self._read(listed[start : start + _DIGESTS_AT_ONCE])
                for digest in digests:
                    before = _place_before(place, digest.digest.previous)
                    if before not in places:
                        places.append(before)
                yield digests
        while unlisted := [at for at in self._recorded if self._is_asked_for(at)]:
            yield self._read(unlisted)

    def look_into(self, digests: list[_UsableDigest]) -> Proof | None:
        """The event, if it is in a log file of these digests."""
        candidates = [
            (digest, entry) for digest in digests for entry in digest.digest.log_files if self._may_hold(entry)
        ]
        entries = {_place_of(entry): entry for _, entry in candidates}

        def look(at: Place, outcome: Outcome) -> FoundRecord | Finding | None:
            if not isinstance(outcome, StoredObject):
                return Finding(kind_of(outcome), Subject.LOG_FILE, *at, str(outcome))
            return self._record.find(at, outcome, entries[at])

        looks = self._objects.read_all([_place_of(entry) for _, entry in candidates], look)
        for (digest, entry), seen in zip(candidates, looks, strict=True):
            self._searched.log_files += 1
            if isinstance(seen, Finding):
                self._searched.cannot_use(seen)
            elif seen is not None:
                return Proof(
                    record=seen.record,
                    index=seen.index,
                    count=seen.count,
                    path=seen.path,
                    log_file=_place_of(entry),
                    digest_file=digest.file,
                    signature=digest.signature.lower(),
                    public_key=digest.key,
                )
        return None

    def found_nothing(self) -> CannotProve:
        """Says what was searched."""
        return CannotProve(self._reason(), "\n".join(self._lines()))

    def _list(self, place: TrailPlace) -> list[Place]:
        """Where the digests lie that may name a log file delivered in the question's time, newest first."""
        question, found = self._question, []
        try:
            for listed in self._objects.list(place.bucket, place.folder, str(place.key(question.start - 1))):
                digest = place.digest_at(listed.key)
                if digest is None or digest.backfill:
                    continue
                if digest.end_seconds > question.end + HOUR:
                    break
                found.append(Place(place.bucket, listed.key))
        except CouldNotRead as error:
            unread = Finding(Kind.NOT_CHECKED, Subject.LISTING, place.bucket, place.folder, str(error))
            self._searched.cannot_use(unread)
        return found[::-1]

    def _is_asked_for(self, at: Place) -> bool:
        """Whether a digest to which another one links is of the time asked for, and was not read yet."""
        try:
            key = parse_key(at.key)
        except MalformedKey:
            return False
        new = at not in self._read_already
        return new and isinstance(key, DigestKey) and key.end_seconds >= self._question.start

    def _read(self, places: Sequence[Place]) -> list[_UsableDigest]:
        self._read_already.update(places)
        outcomes = self._objects.read_all(places, lambda _, outcome: outcome)
        checked = [self._verify(at, outcome) for at, outcome in zip(places, outcomes, strict=True)]
        return [digest for digest in checked if digest is not None]

    def _verify(self, at: Place, outcome: Outcome) -> _UsableDigest | None:
        self._searched.digests += 1
        recorded = self._recorded.pop(at, None)
        if not isinstance(outcome, StoredObject):
            self._searched.cannot_use(Finding(kind_of(outcome), Subject.DIGEST, *at, str(outcome)))
            return None
        place, keys = self._question.place, self._keys
        check = check_digest(outcome, *at, lambda name, _: keys.get(name), place, recorded=recorded)
        previous = check.digest and check.digest.previous
        if previous:
            before = Place(previous.s3_bucket, previous.s3_object)
            self._recorded[before] = Recorded(previous, proven=check.kind in PROVEN)
        if check.kind is not Kind.VALID or check.digest is None or check.verified is None:
            self._searched.cannot_use(Finding(check.kind, Subject.DIGEST, *at, check.detail))
            return None
        return _UsableDigest(check.digest, outcome.body, check.verified.signature, keys[check.digest.fingerprint])

    def _may_hold(self, entry: LogFileEntry) -> bool:
        """Whether a log file may hold the event, and could prove it; counts those that could not."""
        time, oldest, newest = self._event_time, entry.oldest_event_time, entry.newest_event_time
        if time is not None and (
            (oldest is not None and time < oldest - MARGIN) or (newest is not None and time > newest + MARGIN)
        ):
            return False
        if entry.records_root is None or entry.record_count is None:
            self._searched.without_root += 1
            return False
        return True

    def _reason(self) -> Reason:
        unusable = self._searched.unusable
        if unusable[Verdict.INVALID]:
            return Reason.INVALID
        if unusable:
            return Reason.NOT_CHECKED
        return Reason.NO_ROOTS if self._searched.without_root else Reason.NOT_FOUND

    def _lines(self) -> Iterator[str]:
        question, place, searched = self._question, self._question.place, self._searched
        yield f"The event {self._event_id} was not found."
        holding = "" if self._event_time is None else f" with events of {format_time(self._event_time)}"
        yield (
            f"Searched: {question.trail_arn}, account {place.account_id}, {place.region}, log files{holding} delivered "
            f"from {format_time(question.start)} to {format_time(question.end)}: {searched.digests} digests in "
            f"s3://{place.bucket}/{place.folder}, {searched.log_files} log files."
        )
        if searched.without_root:
            yield (
                f"{searched.without_root} log files were not read: their digests have no Merkle root over the records "
                "(they come from AWS CloudTrail, or were made with record_proofs off). The event may be in one, but "
                "can be proven only with the whole log file: validate-logs."
            )
        if searched.unusable:
            yield f"{searched.unusable.total()} objects that may lead to it could not be used:"
        for finding in searched.told:
            detail = finding.detail or FACTS[finding.kind].meaning
            yield f"  {finding.subject} s3://{finding.bucket}/{finding.key}: {finding.kind}: {detail}"


def _place_of(entry: LogFileEntry) -> Place:
    return Place(entry.s3_bucket, entry.s3_object)


def _place_before(place: TrailPlace, link: PreviousDigest | None) -> TrailPlace:
    """Where the digest before lies: the trail's bucket or prefix may have been another one then."""
    try:
        key = None if link is None else parse_key(link.s3_object)
    except MalformedKey:
        return place
    if link is None or not isinstance(key, DigestKey):
        return place
    return replace(place, bucket=link.s3_bucket, prefix=key.prefix, organization_id=key.organization_id)

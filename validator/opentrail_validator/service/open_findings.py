"""Which findings are open: the rules, for one pass over one chain. Pure.

A finding is opened when a pass has it first, and repaired when a later pass that could read what it is about has it no
more. What a pass could not read, or did not come to, stays as it is: nothing is repaired by a lost connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from opentrail.evidence.object_keys import DigestKey, MalformedKey, parse_key
from opentrail_validator.findings import Finding, Kind, Subject, Verdict

_OBJECTS: Final = (Subject.DIGEST, Subject.BACKFILL_DIGEST, Subject.LOG_FILE)
_DIGESTS: Final = (Subject.DIGEST, Subject.BACKFILL_DIGEST)
_MOVING: Final = (Kind.NOT_COVERED, Kind.NOTHING_FOUND, Kind.NEWEST_MISSING)
"""Their spans reach up to about now, or begin where the pass does: another pass has the same finding with another."""
_HIDES_NOTHING: Final = (Kind.FORK, Kind.HOUR_WITHOUT_DIGEST)
"""Findings about digests after which it is known all the same what the others say."""
_HIDES_DIGESTS: Final = (Kind.NEWEST_MISSING, Kind.NOTHING_FOUND)
_MOST_SEEN: Final = 1_000
"""New findings of a pass that are told apart; of more than are kept of a chain only the number matters."""


@dataclass(frozen=True, slots=True)
class OpenFinding:
    """A finding that is open, and when (epoch seconds) it was opened."""

    finding: Finding
    opened_at: int


class What(StrEnum):
    """What happened to a finding."""

    OPENED = "opened"
    REPAIRED = "repaired"


@dataclass(frozen=True, slots=True)
class Change:
    """A finding was opened or repaired, at a time in epoch seconds."""

    what: What
    chain: str
    finding: Finding
    at: int


class Identity(NamedTuple):
    """What makes a finding the same one at another pass over its chain."""

    kind: Kind
    bucket: str
    key: str
    start: int | None
    end: int | None


def identity_of(finding: Finding) -> Identity:
    """The identity of a finding."""
    span = (None, None) if finding.kind in _MOVING else (finding.start, finding.end)
    return Identity(finding.kind, finding.bucket, finding.key, *span)


class PassOverChain:
    """One pass: takes each finding, then says what is repaired.

    Args:
        open_findings: what is open of the chain.
        start: where the pass begins (epoch seconds).
        is_full: whether that is the chain's beginning, so that it comes to everything.
        newest: place of the newest digest that an earlier pass verified.
    """

    def __init__(
        self,
        open_findings: Sequence[OpenFinding],
        start: int,
        *,
        is_full: bool,
        newest: tuple[str, str] | None = None,
    ) -> None:
        self.open_before = len(open_findings)
        self._open = {identity: each for each in open_findings for identity in [_identity_among_spans(each.finding)]}
        self._places = {(each.finding.bucket, each.finding.key) for each in self._open.values()}
        self._start = start
        self._is_full = is_full
        self._seen: dict[Identity, Finding] = {}
        self._valid: set[tuple[str, str]] = set()
        self._otherwise_wrong: set[tuple[str, str]] = set()
        self._unread: set[tuple[str, str]] = set()
        self._newest = newest
        self.mentioned_newest = False
        """Whether a finding was about that digest."""
        self.saw_every_digest = True
        self._is_whole = True
        """Whether no digest is gone or not believed: what one says of others, and of log files, is not told then."""

    def see(self, finding: Finding) -> bool:
        """Takes a finding; whether it is one that is to be opened."""
        place = (finding.bucket, finding.key)
        self.mentioned_newest |= place == self._newest
        match finding.verdict:
            case Verdict.VALID if place in self._places and finding.subject in _OBJECTS:
                self._valid.add(place)
            case Verdict.UNCHECKED if finding.subject is Subject.LOG_FILE:
                self._unread |= {place} & self._places
            case Verdict.UNCHECKED:
                self.saw_every_digest = False
            case Verdict.INVALID:
                return self._see_invalid(finding, place)
        return False

    def repaired(self) -> list[OpenFinding]:
        """What was open and is not so any more, as far as this pass can tell. Asked after the last finding."""
        return [each for identity, each in self._open.items() if identity not in self._seen and self._is_repaired(each)]

    def kept(self) -> list[OpenFinding]:
        """What was open and stays so, as the pass told it now."""
        gone = {id(each) for each in self.repaired()}
        return [
            replace(each, finding=_as_told_now(each.finding, self._seen.get(identity), self._start))
            for identity, each in self._open.items()
            if id(each) not in gone
        ]

    def _see_invalid(self, finding: Finding, place: tuple[str, str]) -> bool:
        if (finding.subject in _DIGESTS and finding.kind not in _HIDES_NOTHING) or finding.kind in _HIDES_DIGESTS:
            self._is_whole = False
        if finding.subject in _OBJECTS:
            self._otherwise_wrong |= {place} & self._places
        identity = self._known_identity(finding)
        if identity in self._seen:
            return False
        if identity in self._open:
            self._seen[identity] = finding
            return False
        if len(self._seen) < _MOST_SEEN:
            self._seen[identity] = finding
        return True

    def _known_identity(self, finding: Finding) -> Identity:
        """Time that is not covered is the same finding as an open one that it overlaps: it grows, or is filled."""
        if finding.kind is Kind.NOT_COVERED:
            for identity, each in self._open.items():
                if identity.kind is Kind.NOT_COVERED and _meet(each.finding, finding):
                    return identity
        return _identity_among_spans(finding)

    def _is_repaired(self, each: OpenFinding) -> bool:
        finding = each.finding
        place = (finding.bucket, finding.key)
        if place in self._unread:
            return False
        is_of_object = finding.subject in _OBJECTS or finding.kind is Kind.NEWEST_MISSING
        if is_of_object and (place in self._valid or place in self._otherwise_wrong):
            return True  # it was read: what is wrong with it now, if anything, is another finding
        # Who deletes the digest that tells of a finding has not repaired it.
        return self.saw_every_digest and self._is_whole and self._came_to(finding)

    def _came_to(self, finding: Finding) -> bool:
        """Whether a pass that begins where this one does would have told it."""
        if self._is_full or finding.kind is Kind.NOTHING_FOUND:
            return True
        if finding.subject is Subject.CHAIN and finding.start is not None:
            return finding.start >= self._start
        try:
            key = parse_key(finding.key)
        except MalformedKey:
            return False
        # A log file is in a digest that ends after the file's stamp.
        stamp = key.end_seconds if isinstance(key, DigestKey) else key.seconds
        return stamp >= self._start


def _identity_among_spans(finding: Finding) -> Identity:
    """As `identity_of`, but several spans of a chain that are not covered are told apart by where they begin."""
    identity = identity_of(finding)
    return identity._replace(start=finding.start) if finding.kind is Kind.NOT_COVERED else identity


def _meet(one: Finding, other: Finding) -> bool:
    return (one.start or 0) <= (other.end or 0) and (other.start or 0) <= (one.end or 0)


def _as_told_now(before: Finding, now: Finding | None, start: int) -> Finding:
    """The newer words; a span keeps the beginning that lies before where the pass began."""
    if now is None:
        return before
    if now.kind is Kind.NOT_COVERED and before.start is not None and before.start < start:
        return replace(now, start=before.start)
    return now

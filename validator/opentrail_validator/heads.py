"""Chain heads: signed statements, kept in a second place, that a digest was published.

They are read and verified before the digests are listed, so that each names a digest that must be there, and compared
with what the walk found afterwards: so that nobody can remove the newest digests, or all of them, unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from opentrail.evidence.chain_head import ChainHead, MalformedHead, parse_head
from opentrail.evidence.object_keys import DigestKey, MalformedKey, parse_key
from opentrail.evidence.signature import BadSignature, MalformedKeyError, fingerprint, verify
from opentrail.evidence.times import format_time
from opentrail_validator.findings import Finding, Kind, Subject
from opentrail_validator.question import HOUR, Question, Span
from opentrail_validator.readers.port import (
    ApiNotReached,
    ApiRefused,
    CouldNotRead,
    HeadSource,
    PublicKey,
    PublicKeySource,
)
from opentrail_validator.walked import Walked

_DAY: Final = 24 * HOUR
_LONGEST_LOOK_BACK: Final = 4096
"""Days: more than OpenTrail has been there."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of one chain of digests, in the time asked for."""

    known: tuple[ChainHead, ...] = ()
    """Verified ones, newest first, one for each digest."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with others, and heads that contradict each other."""
    complete: bool = True
    """Whether all could be read."""
    earlier: ChainHead | None = None
    """The newest one before the time asked for; looked for only if there is none in it."""

    @property
    def newest(self) -> ChainHead | None:
        """The newest, whether in the time asked for or before it."""
        return self.known[0] if self.known else self.earlier


def read_heads(
    question: Question,
    source: HeadSource | None,
    buckets: Sequence[str],
    keys: Mapping[str, PublicKey],
    earlier_keys: PublicKeySource | None = None,
) -> Heads:
    """Reads the heads of the chain's digests in these buckets that end from the start to an hour after the end.

    `keys`: those of this time; `earlier_keys` is asked for those of an earlier one, where there are heads of no other.
    """
    if source is None:
        return Heads()
    reading = _Reading(question, source, buckets, keys)
    heads: list[ChainHead] = []
    findings: list[Finding] = []
    earlier = None
    try:
        heads.extend(reading.between(question.start, question.end + HOUR, findings))
        if question.checks.coverage and not heads:
            earlier = reading.last_before(question.start, earlier_keys)
    except (CouldNotRead, ApiRefused, ApiNotReached) as error:
        place = question.place.bucket, question.place.folder
        unread = Finding(Kind.NOT_CHECKED, Subject.HEAD, *place, f"{source.origin()}: {error}")
        return Heads(_one_for_each_digest(heads), (*findings, *_contradictions(heads), unread), complete=False)
    return Heads(_one_for_each_digest(heads), (*findings, *_contradictions(heads)), earlier=earlier)


def check_heads(heads: Heads, walked: Walked, question: Question) -> Iterator[Finding]:
    """Compares the heads with the walk: the digest of each must be there, and be the one that it names.

    What the walk found wrong with a digest is not told again.
    """
    newest_there = walked.newest_end
    for head in heads.known:
        if head.end <= (walked.known_until or 0):
            continue
        place = _place(head)
        as_recorded = walked.is_as_recorded(*place, head.digest_hash, head.digest_signature)
        if as_recorded is False:
            yield Finding(Kind.CHAIN_BROKEN, Subject.HEAD, *place, "a signed head recorded another hash or signature")
        if as_recorded is not None or not walked.complete:
            continue
        is_visited = walked.visited.has(*place)
        if head is heads.known[0] and _is_newest(head, newest_there) and (walked.missing.has(*place) or not is_visited):
            start = question.start if newest_there is None else newest_there
            detail = f"the head of {format_time(head.signed_at)} has the number {head.sequence} in its chain"
            yield Finding(Kind.NEWEST_MISSING, Subject.HEAD, *place, detail, start, head.end)
        elif not is_visited:
            yield Finding(Kind.NOT_FOUND, Subject.DIGEST, *place, "a signed head names it")


def signature_defect(
    keys: Mapping[str, PublicKey], name: str, digest_end: int, signature: str, message: bytes
) -> str | None:
    """Why a signature does not prove a statement about a digest that ends at `digest_end`; None: it does.

    `name` is the public key's fingerprint.
    """
    key = keys.get(name)
    if key is None:
        return f"no public key has the fingerprint {name}"
    if fingerprint(key.der) != name:
        return f"the public key given for the fingerprint {name} is another one"
    try:
        verify(key.der, signature, message)
    except (BadSignature, MalformedKeyError) as error:
        return str(error)
    if not key.may_sign(digest_end):
        return "signed with a key that was not valid at the digest's end"
    return None


class _Reading:
    """Reads one chain's heads from a source that may have those of others."""

    def __init__(
        self, question: Question, source: HeadSource, buckets: Sequence[str], keys: Mapping[str, PublicKey]
    ) -> None:
        self._place = question.place
        self._source = source
        self._buckets = buckets
        self._keys = dict(keys)
        self._lacks_key = False
        self._malformed: set[bytes] = set()
        """What was told of: a source may give it again each time that it is asked."""

    def between(self, start: int, end: int, findings: list[Finding]) -> Iterator[ChainHead]:
        """Verified heads of digests with ends from `start` to `end`; what is wrong with others goes to `findings`.

        All heads of the folder are verified: one that was altered may name another trail or bucket now.
        """
        bad: set[tuple[str, str, str]] = set()
        try:
            for bucket in self._buckets:
                for data in self._source.heads(bucket, self._place.folder, start, end):
                    head = self._verified(data, Span(start, end), bucket, bad)
                    if head is not None and head.digest_bucket == bucket and self._is_ours(head):
                        yield head
        finally:
            findings += [Finding(Kind.BAD_HEAD, Subject.HEAD, *what) for what in sorted(bad)]

    def last_before(self, moment: int, earlier_keys: PublicKeySource | None) -> ChainHead | None:
        """The newest verified head before `moment`. Others are not this question's: nothing is said of them."""
        until, days = moment - 1, 1
        while until >= 0 and days <= _LONGEST_LOOK_BACK:
            since = max(0, moment - days * _DAY)
            self._lacks_key = False
            found = _one_for_each_digest(self.between(since, until, []))
            if not found and self._lacks_key and earlier_keys is not None:
                self._keys |= earlier_keys.between(since, until)
                found = _one_for_each_digest(self.between(since, until, []))
            if found:
                return found[0]
            until, days = since - 1, days * 2
        return None

    def _verified(self, data: bytes, ends: Span, bucket: str, bad: set[tuple[str, str, str]]) -> ChainHead | None:
        """The head, if it is good, and of a digest whose name has an end that was asked for."""
        if data in self._malformed:
            return None
        try:
            head = parse_head(data)
        except MalformedHead as error:
            self._malformed.add(data)
            bad.add((bucket, self._place.folder, f"from {self._source.origin()}: {error}"))
            return None
        digest = _digest_key(head)
        if digest is not None and not ends.start <= digest.end_seconds <= ends.end:
            return None
        self._lacks_key = self._lacks_key or head.fingerprint not in self._keys
        if (defect := self._defect(head, digest)) is not None:
            bad.add((head.digest_bucket, head.digest_key, defect))
            return None
        return head

    def _is_ours(self, head: ChainHead) -> bool:
        digest = self._place.digest_at(head.digest_key)
        return digest is not None and not digest.backfill

    def _defect(self, head: ChainHead, digest: DigestKey | None) -> str | None:
        defect = signature_defect(self._keys, head.fingerprint, head.end, head.signature, head.message())
        if defect is not None:
            return defect
        if digest is None or not head.digest_key.startswith(self._place.folder):
            return f"it lies with those of {self._place.folder} and names no digest there"
        if (head.account_id, head.region, head.end) != (digest.account_id, digest.region, digest.end_seconds):
            return "it claims another account, region or end than its digest's name"
        return None


def _digest_key(head: ChainHead) -> DigestKey | None:
    try:
        digest = parse_key(head.digest_key)
    except MalformedKey:
        return None
    return digest if isinstance(digest, DigestKey) else None


def _contradictions(heads: Sequence[ChainHead]) -> Iterator[Finding]:
    """Well signed heads that cannot all be true: whoever has the key told two histories."""
    for one, other in pairwise(sorted(heads, key=lambda head: (_place(head), head.signature))):
        if _place(one) == _place(other) and _content(one) != _content(other):
            yield _fork(one, "two signed heads record different digests in this place")
    by_number = sorted(heads, key=lambda head: (head.chain_id, head.sequence, head.end, head.signature))
    for older, newer in pairwise(by_number):
        if older.chain_id != newer.chain_id or _place(older) == _place(newer):
            continue
        if older.sequence == newer.sequence:
            yield _fork(newer, f"two signed heads give different digests the number {newer.sequence} in their chain")
        elif newer.end <= older.end:
            yield _fork(newer, f"signed heads: number {newer.sequence} in its chain is older than {older.sequence}")


def _one_for_each_digest(heads: Iterable[ChainHead]) -> tuple[ChainHead, ...]:
    """Newest first; of several of one digest the one signed last. It does not matter in which order they came."""
    first: dict[tuple[str, str], ChainHead] = {}
    for head in sorted(heads, key=lambda head: (head.end, head.signed_at, head.signature), reverse=True):
        first.setdefault(_place(head), head)
    return tuple(first.values())


def _place(head: ChainHead) -> tuple[str, str]:
    return head.digest_bucket, head.digest_key


def _content(head: ChainHead) -> tuple[str, str]:
    return head.digest_hash, head.digest_signature.lower()


def _fork(head: ChainHead, detail: str) -> Finding:
    return Finding(Kind.FORK, Subject.HEAD, *_place(head), detail)


def _is_newest(head: ChainHead, newest_there: int | None) -> bool:
    return newest_there is None or newest_there < head.end

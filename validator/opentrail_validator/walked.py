"""What a walk along a chain has seen, for the checks that look at the chain as a whole."""

from __future__ import annotations

import hashlib
import secrets
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field

from opentrail.evidence.digest import string_to_sign
from opentrail.evidence.times import format_time
from opentrail_validator.question import Question, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedDigest:
    """A digest that was verified, with all that its signature is over. Times are epoch seconds."""

    bucket: str
    key: str
    start: int
    end: int
    sha256: str
    """Of its uncompressed bytes, lower-case hex."""
    signature: str
    """Hex."""
    previous_signature: str | None
    fingerprint: str

    def message(self) -> bytes:
        """What the signature is over."""
        return string_to_sign(format_time(self.end), self.bucket, self.key, self.sha256, self.previous_signature)


@dataclass(frozen=True, slots=True)
class WalkedDigest:
    """A valid digest: its window, and when its bucket says that it was put (epoch seconds; None: not known)."""

    start: int
    end: int
    put_at: float | None = None
    joined: bool = True
    """Whether it ends where the next newer valid one begins, without a missing or wrong digest, or a gap, between."""


class NameSet:
    """The places of very many objects: 8 bytes each, under a key of this process that nobody can aim collisions at."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._hashes = array("Q")
        self._sorted = True

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, bucket: str, key: str) -> None:
        """Adds a place."""
        self._hashes.append(self._hash(bucket, key))
        self._sorted = False

    def has(self, bucket: str, key: str) -> bool:
        """Whether the place was added. Once all are added: each addition makes the next question sort again."""
        if not self._sorted:
            self._hashes = array("Q", sorted(self._hashes))
            self._sorted = True
        hashed = self._hash(bucket, key)
        index = bisect_left(self._hashes, hashed)
        return index < len(self._hashes) and self._hashes[index] == hashed

    def _hash(self, bucket: str, key: str) -> int:
        name = f"{bucket}/{key}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(name, digest_size=8, key=self._key).digest())


@dataclass(slots=True)
class Walked:
    """The walk along the regular digests, and the names that they and the backfill digests list."""

    digests: list[WalkedDigest] = field(default_factory=list)
    """Valid ones, newest first."""
    visited: NameSet = field(default_factory=NameSet)
    """Every digest that was looked at, valid or not, listed or not."""
    log_files: NameSet = field(default_factory=NameSet)
    """Log files that valid digests list."""
    newest: VerifiedDigest | None = None
    """The newest valid digest."""
    buckets: list[str] = field(default_factory=list)
    """The buckets that the chain lies in, newest first."""
    proven: NameSet = field(default_factory=NameSet)
    """Valid digests: each as a place, and as a place with its hash and signature. `prove` adds to it."""
    missing: NameSet = field(default_factory=NameSet)
    """Those of the visited digests that are not there."""
    doubtful: list[Span] = field(default_factory=list)
    """The hours of backfill digests that are missing or wrong: log files of then may have been listed by them."""
    reached_known: bool = False
    """Whether the walk came to the digest that a run before had verified, and stopped there."""
    known_until: int | None = None
    """The end of that digest: older ones were not visited."""
    complete: bool = True
    """Whether every list and digest could be read: else nothing is said of what should be there."""

    @property
    def newest_end(self) -> int | None:
        """The end of the newest digest that is valid or was known before; None: there is none."""
        return self.digests[0].end if self.digests else self.known_until

    def prove(self, bucket: str, key: str, sha256: str, signature: str) -> None:
        """Notes a valid digest, for comparison with what others recorded of it."""
        self.proven.add(bucket, key)
        self.proven.add(bucket, _exact(key, sha256, signature))

    def is_as_recorded(self, bucket: str, key: str, sha256: str, signature: str) -> bool | None:
        """Whether the valid digest at this place has this hash and signature (hex). None: no valid one is there."""
        if not self.proven.has(bucket, key):
            return None
        return self.proven.has(bucket, _exact(key, sha256, signature))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainResult:
    """What became of a question about one chain, beside its findings."""

    question: Question
    newest: VerifiedDigest | None
    """The newest valid digest, or the known one where there is none newer."""
    covered: tuple[Span, ...]
    """The time that valid digests cover, oldest first, clamped to the question's; spans do not touch."""
    known_until: int | None = None
    """Up to where a run before had verified the chain: older digests were not read again."""


def _exact(key: str, sha256: str, signature: str) -> str:
    return f"{key}\n{sha256}\n{signature.lower()}"

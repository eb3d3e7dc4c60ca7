"""What the validator needs of the outside, and the errors that may come from there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

MAX_BYTES: Final = (1 << 30) + (1 << 20)
"""Of an object: no file of evidence is larger, were it stored as it is."""


class ObjectMissing(Exception):
    """The store says that there is no such object."""


class ObjectDamaged(Exception):
    """There is an object, but its envelope cannot be opened: it was altered."""


class CouldNotRead(Exception):
    """The object or list may be there, but could not be read; the message says why. Not a sign of tampering."""


class ApiRefused(Exception):
    """The API answered with an error; the message is for the user."""


class ApiNotReached(Exception):
    """The API gave no answer; the message says why."""


class ReaderUnavailable(Exception):
    """The reader cannot work here: a library or file that it needs is missing; the message says what to do."""


class Place(NamedTuple):
    """Where an object lies."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes and its metadata, names in lower case. None: a copy that has lost its metadata."""

    body: bytes
    metadata: Mapping[str, str] | None


class ListedObject(NamedTuple):
    """An object as its bucket lists it."""

    key: str
    modified: float | None = None
    """When it was put, epoch seconds, by the store's clock; None: not known."""


Outcome: TypeAlias = StoredObject | ObjectMissing | ObjectDamaged | CouldNotRead
"""What became of reading an object: errors as values, where many are read at once."""


class ObjectReader(Protocol):
    """Reads buckets. Safe for use by several threads."""

    def get(self, bucket: str, key: str) -> StoredObject:
        """Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
        ...

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """Reads many objects, several at a time, and yields what `look` makes of each, in the order of `places`.

        `places` is drawn from as there is room, a bounded number ahead of what was yielded, on the caller's thread:
        drawing may itself read. `look` gets the very place that was drawn, as soon as the object is there, perhaps on
        another thread and out of order; it must not raise. An iterator that is given up stops reading.
        """
        ...

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """Objects whose keys start with `prefix` and sort after `start_after`, in UTF-8 order. Raises CouldNotRead."""
        ...

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """The next parts of keys that go on after `prefix` (which ends in `/` or is empty) with a part and a `/`.

        Sorted, each once, without the slash. Raises CouldNotRead.
        """
        ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key (PKCS#1 DER) and the ends that its digests may have, both included, epoch s; None: not known."""

    der: bytes
    valid_from: int | None = None
    valid_until: int | None = None

    def may_sign(self, end: int) -> bool:
        """Whether it was valid at a digest's end, as far as its validity is known."""
        is_early = self.valid_from is not None and end < self.valid_from
        return not is_early and (self.valid_until is None or end <= self.valid_until)


class PublicKeySource(Protocol):
    """Gives the public keys that signed digests."""

    def between(self, start: int, end: int) -> Mapping[str, PublicKey]:
        """Keys in use from `start` to `end` (epoch seconds), by fingerprint. Raises ApiRefused, ApiNotReached."""
        ...

    def origin(self) -> str:
        """Where they come from, for the report: `pinned in keys.json`, `asked from the CloudTrail API of eu-west-1`."""
        ...


class HeadSource(Protocol):
    """Gives signed chain heads that were kept in a second place."""

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterable[bytes]:
        """Heads (JSON, `opentrail.evidence.chain_head`) of digests in a bucket whose keys start with `folder`.

        Those of digests that end from `start` to `end` (epoch seconds), in any order. Raises CouldNotRead.
        """
        ...

    def origin(self) -> str:
        """Where they come from, for the report: `the file heads.json`, `s3://heads-bucket`."""
        ...


@dataclass(frozen=True, slots=True)
class TrailInfo:
    """What the API says of a trail."""

    bucket: str
    prefix: str | None
    is_organization_trail: bool


class TrailApi(PublicKeySource, Protocol):
    """The CloudTrail API, and that of Organizations. Every call raises ApiRefused or ApiNotReached."""

    def trail(self, trail_arn: str) -> TrailInfo | None:
        """The trail (DescribeTrails), None if there is none with this ARN."""
        ...

    def organization_id(self) -> str:
        """The caller's organization (DescribeOrganization)."""
        ...

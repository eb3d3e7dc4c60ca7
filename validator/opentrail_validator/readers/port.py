"""What the validator needs of the outside, and the errors that may come from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol


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


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes and its metadata, names in lower case. None: a copy that has lost its metadata."""

    body: bytes
    metadata: Mapping[str, str] | None


class ObjectReader(Protocol):
    """Reads buckets. Safe for use by several threads."""

    def get(self, bucket: str, key: str) -> StoredObject:
        """Raises ObjectMissing, ObjectDamaged, CouldNotRead."""
        ...

    def keys(self, bucket: str, prefix: str, start_after: str) -> Iterator[str]:
        """The keys that start with `prefix` and sort after `start_after`, in UTF-8 order. Raises CouldNotRead."""
        ...


class PublicKeySource(Protocol):
    """Gives the public keys that signed digests."""

    def between(self, start: int, end: int) -> Mapping[str, bytes]:
        """Keys in use from `start` to `end` (epoch seconds): fingerprint to PKCS#1 DER.

        Raises ApiRefused, ApiNotReached.
        """
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

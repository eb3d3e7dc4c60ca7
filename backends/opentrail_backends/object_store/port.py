"""The object store: buckets of immutable objects with metadata.

Every put is create-only. What an answer means is told by the exception's class, because the protocol
(design, steps 4 and 9) acts differently on "refused", "not known" and "already there".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

MAX_OBJECT_BYTES = 1 << 27
"""No object of ours is larger: log files, and their copies in the spool, end at 50 MB. A larger one is not read: who
else may put things into a bucket must not fill our memory."""


@dataclass(frozen=True, slots=True)
class PutOptions:
    """How an object is to be kept.

    CloudTrail: content type `application/json`, content encoding `gzip`, ACL bucket-owner-full-control,
    SSE-S3 or SSE-KMS with the encryption context `aws:cloudtrail:arn`.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    """User metadata, lower-case names without the `x-amz-meta-` prefix, ASCII values."""
    content_type: str = "application/json"
    content_encoding: str | None = "gzip"
    kms_key_id: str | None = None
    """The key for SSE-KMS; None: the store's own keys (SSE-S3)."""
    encryption_context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes, as stored, and its metadata."""

    body: bytes
    metadata: Mapping[str, str]


class ObjectInfo(NamedTuple):
    """An entry of a listing. `size` is the length of the body in bytes."""

    key: str
    size: int


class ObjectStoreError(Exception):
    """Base of what a store may answer. `answered`: the store itself said so (else the outcome is not known)."""

    answered = True


class ObjectAlreadyExists(ObjectStoreError):
    """The key is taken (S3: 412). The object that lies there may or may not be ours."""


class ObjectNotFound(ObjectStoreError):
    """There is no such object."""


class ObjectTooLarge(ObjectStoreError):
    """The object is larger than any of ours, and was not read."""


class BucketNotFound(ObjectStoreError):
    """There is no such bucket."""


class PutRefused(ObjectStoreError):
    """The store answered with a refusal (access denied, key disabled, no such bucket): the object is not there.

    `code` is the store's error code, as GetTrailStatus shows it.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class StoreThrottled(ObjectStoreError):
    """The store asks to slow down (503 SlowDown, 429): the object is not there."""


class OutcomeUnknown(ObjectStoreError):
    """No answer, or a server error: the object may be there or may still appear."""

    answered = False


class ObjectStore(Protocol):
    """A store of buckets. Safe for use by several threads. Keys are UTF-8, `/`-separated."""

    keeps_policies: bool
    """Whether its buckets have owners who say by a policy who may write there; False: they are all the operator's."""

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        """Creates an object; durable on return. Never replaces one.

        Raises ObjectAlreadyExists, BucketNotFound, PutRefused, StoreThrottled, OutcomeUnknown.
        """
        ...

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object.

        Raises ObjectNotFound, ObjectTooLarge, BucketNotFound, PutRefused, StoreThrottled, OutcomeUnknown.
        """
        ...

    def metadata(self, bucket: str, key: str) -> Mapping[str, str]:
        """An object's user metadata, without its body. Raises as `get`, however large it is."""
        ...

    def list(self, bucket: str, prefix: str = "", start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with `prefix` and sorts after `start_after`, in UTF-8 byte order."""
        ...

    def delete(self, bucket: str, key: str) -> None:
        """Removes an object; one that is not there is no error. For the spool only: evidence is never removed.

        Raises BucketNotFound, PutRefused, StoreThrottled, OutcomeUnknown.
        """
        ...

    def probe(self, bucket: str) -> None:
        """Checks at start that create-only puts are honoured; leaves nothing behind that looks like evidence.

        Raises PutRefused with the code `ConditionalWritesUnsupported` where the store would overwrite.
        """
        ...

    def create_bucket(self, bucket: str) -> None:
        """Makes a bucket if there is none; where buckets are the operator's, and for tests."""
        ...

    def bucket_policy(self, bucket: str) -> str | None:
        """The bucket's policy, as JSON; None: it has none.

        Raises BucketNotFound, PutRefused, StoreThrottled, OutcomeUnknown.
        """
        ...

    def bucket_region(self, bucket: str) -> str | None:
        """The region of a bucket that is there; None: the store does not say. Raises nothing."""
        ...

    def close(self) -> None:
        """Frees connections."""
        ...

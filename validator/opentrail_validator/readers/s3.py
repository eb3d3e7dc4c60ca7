"""Evidence in S3. Endpoints, credentials and profiles are found as the AWS CLI finds them (`AWS_ENDPOINT_URL_S3`, …).

Objects are read by libcurl, many at a time (adr/0018). Lists go through the AWS SDK, as do the few objects with keys
that a URL has to escape or could change (`a b`, `a/../b`): evidence must be read by exactly the key that it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from opentrail_validator.readers.port import (
    MAX_BYTES,
    CouldNotRead,
    ListedObject,
    ObjectDamaged,
    ObjectMissing,
    Outcome,
    Place,
    ReaderUnavailable,
    StoredObject,
)

try:
    from botocore.exceptions import BotoCoreError

    from opentrail_validator.readers.s3_answers import SDK_ERRORS, meaning_of
    from opentrail_validator.readers.s3_buckets import PATIENCE, Bucket, Buckets
    from opentrail_validator.readers.s3_transfer import Request
    from opentrail_validator.readers.s3_transfers import Transfers
except ImportError:
    raise ReaderUnavailable("Reading from S3 needs pycurl and boto3: pip install 'opentrail[s3]'") from None

T = TypeVar("T")

_PLAIN_KEY: Final = re.compile(r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)*")
"""A key that stands in a URL as it is, and that nobody writes in another way: those of CloudTrail all do."""


class S3Reader:
    """Reads objects and lists from S3. `concurrency`: how many objects are read at a time, for all threads."""

    def __init__(self, region: str, *, concurrency: int = 128, endpoint_url: str | None = None) -> None:
        """`region`: for buckets that do not tell theirs. `endpoint_url`: another server than the one found so.

        Raises ReaderUnavailable.
        """
        try:
            self._buckets = Buckets(region, endpoint_url)
        except (BotoCoreError, ValueError) as error:  # a profile that is not there, a setting that is no number
            raise ReaderUnavailable(f"S3 cannot be read with these AWS settings: {error}") from None
        self._transfers = Transfers(concurrency, PATIENCE)

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises ObjectMissing, ObjectDamaged (it is absurdly large), CouldNotRead."""
        (outcome,) = self.read_all([Place(bucket, key)], lambda _, outcome: outcome)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """Reads many objects, many at a time; results come in the order of `places`. `look`: see the port."""
        return self._transfers.read_all(self._begin, iter(places), look, self._buckets.attempts)

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """Objects whose keys start with `prefix` and sort after `start_after`, in UTF-8 order. Raises CouldNotRead."""
        for page in self._pages(bucket, Prefix=prefix, StartAfter=start_after):
            yield from map(_listed, page.get("Contents", ()))

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """The next parts of keys that go on after `prefix` with a part and a `/`, each once. Raises CouldNotRead."""
        pages = self._pages(bucket, Prefix=prefix, Delimiter="/")
        found = [entry["Prefix"][len(prefix) : -1] for page in pages for entry in page.get("CommonPrefixes", ())]
        yield from sorted(found, key=str.encode)  # S3 sorts them with the slash

    def _pages(self, bucket: str, **asked: str) -> Iterator[Mapping[str, Any]]:
        opened = self._buckets.open(bucket)
        try:
            for page in opened.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, **asked):
                if "IsTruncated" not in page:  # the SDK takes any XML for an empty list
                    raise CouldNotRead(f"the answer of {opened.host} is no list of objects")
                yield page
        except SDK_ERRORS as error:
            raise CouldNotRead(str(meaning_of(error, opened.host, opened.region))) from None

    def _begin(self, place: Place) -> Request | Callable[[], Outcome]:
        """The request, or for a key that is not plain how the SDK reads it."""
        bucket = self._buckets.open(place.bucket)
        key = place.key
        if _PLAIN_KEY.fullmatch(key):
            return self._buckets.request(bucket, key)
        if not key or not _is_text(key):
            raise ObjectMissing(f"no object can have the key {key!r}")
        return partial(_read_by_sdk, bucket, key)


def _listed(entry: Mapping[str, Any]) -> ListedObject:
    """An object in a list. Raises CouldNotRead."""
    try:
        return ListedObject(entry["Key"], datetime.fromisoformat(entry["LastModified"]).timestamp())
    except (KeyError, ValueError, OverflowError) as error:
        raise CouldNotRead(f"a list has an object without its key or time: {error}") from None


def _read_by_sdk(bucket: Bucket, key: str) -> Outcome:
    try:
        answer = bucket.client.get_object(Bucket=bucket.name, Key=key)
        body = answer["Body"]  # not by `with`: that would give the stream within, and its own errors
        try:
            if "ContentLength" not in answer:
                return CouldNotRead(f"{bucket.host} answered without Content-Length")
            if answer["ContentLength"] > MAX_BYTES:
                return ObjectDamaged(f"it has {answer['ContentLength']:,} bytes, more than any file of evidence")
            return StoredObject(body.read(), {name.lower(): text for name, text in answer["Metadata"].items()})
        finally:
            body.close()
    except SDK_ERRORS as error:
        return meaning_of(error, bucket.host, bucket.region)


def _is_text(key: str) -> bool:
    """Whether a key can be written as UTF-8: JSON can name halves of characters."""
    return key.isascii() or not any("\ud800" <= character <= "\udfff" for character in key)

"""Evidence in S3. Endpoints, credentials and profiles are found as the AWS CLI finds them (`AWS_ENDPOINT_URL_S3`, …).

Objects are read by obstore, many at a time. Lists go through the AWS SDK, as do the few objects whose keys obstore
would write in another way (`a//b`, `a/`): evidence must be read by exactly the key that it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

from opentrail_validator.readers.port import (
    CouldNotRead,
    ListedObject,
    ObjectMissing,
    Outcome,
    Place,
    ReaderUnavailable,
    StoredObject,
)
from opentrail_validator.readers.threads import Begun, ReadingThreads, read_one

try:
    import obstore
    from botocore.exceptions import BotoCoreError, ClientError
    from obstore.exceptions import BaseError

    from opentrail_validator.readers.s3_answers import meaning_of
    from opentrail_validator.readers.s3_buckets import Bucket, Buckets
except ImportError:
    raise ReaderUnavailable("Reading from S3 needs obstore and boto3: pip install 'opentrail[s3]'") from None

T = TypeVar("T")

_ERRORS: Final = (BaseError, BotoCoreError, ClientError, OSError, ValueError)
"""What obstore and the SDK raise."""
_PLAIN_KEY: Final = re.compile(r"(?!\.{1,2}(?:/|\Z))[^/\x00-\x1f\x7f]+(?:/(?!\.{1,2}(?:/|\Z))[^/\x00-\x1f\x7f]+)*")
"""A key that obstore sends as it is."""


class S3Reader:
    """Reads objects and lists from S3. `concurrency`: how many objects are read at a time, for all threads."""

    def __init__(self, region: str, *, concurrency: int = 128, endpoint_url: str | None = None) -> None:
        """`region`: for buckets that do not tell theirs. `endpoint_url`: another server than the one found so."""
        self._buckets = Buckets(region, endpoint_url)
        self._threads = ReadingThreads(concurrency)

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises ObjectMissing, ObjectDamaged (it is absurdly large), CouldNotRead."""
        return read_one(self._begin, Place(bucket, key))

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """Reads many objects, many at a time; results come in the order of `places`. `look`: see the port."""
        return self._threads.read_all(self._begin, places, look)

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """Objects whose keys start with `prefix` and sort after `start_after`, in UTF-8 order. Raises CouldNotRead."""
        for page in self._pages(bucket, Prefix=prefix, StartAfter=start_after):
            for entry in page.get("Contents", ()):
                yield ListedObject(entry["Key"], datetime.fromisoformat(entry["LastModified"]).timestamp())

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
        except _ERRORS as error:
            raise CouldNotRead(str(meaning_of(error, opened.host, opened.region))) from None

    def _begin(self, place: Place) -> Begun:
        """Sends the request, and receives the answer's headers."""
        bucket = self._buckets.open(place.bucket)
        key = place.key
        if not key or not _is_text(key):
            raise ObjectMissing(f"no object can have the key {key!r}")
        try:
            if _PLAIN_KEY.fullmatch(key):
                return _begin_by_obstore(bucket, key)
            return _begin_by_sdk(bucket, key)
        except _ERRORS as error:
            raise meaning_of(error, bucket.host, bucket.region) from None


def _begin_by_obstore(bucket: Bucket, key: str) -> Begun:
    answer = obstore.get(bucket.store, key)

    def rest() -> StoredObject:
        try:
            body = answer.bytes().to_bytes()
        except _ERRORS as error:
            raise meaning_of(error, bucket.host, bucket.region) from None
        # Standard headers are named in capitals, users' own metadata in lower case.
        metadata = {name: value for name, value in answer.attributes.items() if name == name.lower()}
        return StoredObject(body, metadata)

    return Begun(answer.range[1], rest)


def _begin_by_sdk(bucket: Bucket, key: str) -> Begun:
    answer = bucket.client.get_object(Bucket=bucket.name, Key=key)

    def rest() -> StoredObject:
        body = answer["Body"]  # not by `with`: that would give the stream within, and its own errors
        try:
            return StoredObject(body.read(), {name.lower(): text for name, text in answer["Metadata"].items()})
        except _ERRORS as error:
            raise meaning_of(error, bucket.host, bucket.region) from None
        finally:
            body.close()

    return Begun(answer["ContentLength"], rest)


def _is_text(key: str) -> bool:
    """Whether a key can be written as UTF-8: JSON can name halves of characters."""
    return key.isascii() or not any("\ud800" <= character <= "\udfff" for character in key)

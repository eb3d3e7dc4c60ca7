"""Sources that keep in a bundle what they give, answers and failures, and pass them on unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from opentrail_validator.bundle import BundleWriter, key_fields
from opentrail_validator.readers.port import (
    ApiNotReached,
    ApiRefused,
    CouldNotRead,
    HeadSource,
    ListedObject,
    ObjectDamaged,
    ObjectMissing,
    ObjectReader,
    Outcome,
    Place,
    PublicKey,
    PublicKeySource,
    StoredObject,
)

T = TypeVar("T")
_ENTRIES: Final = 1000
"""Of a list, written at a time."""


class RecordingReader:
    """An ObjectReader that keeps every object, list and failure. Ends the run when the bundle cannot be written."""

    def __init__(self, objects: ObjectReader, bundle: BundleWriter) -> None:
        self._objects = objects
        self._bundle = bundle

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises ObjectMissing, ObjectDamaged, CouldNotRead, ReaderUnavailable."""
        try:
            stored = self._objects.get(bucket, key)
        except (ObjectMissing, ObjectDamaged, CouldNotRead) as error:
            self._bundle.add_outcome(bucket, key, error)
            raise
        self._bundle.add_outcome(bucket, key, stored)
        self._bundle.check()
        return stored

    def read_all(self, places: Iterable[Place], look: Callable[[Place, Outcome], T]) -> Iterator[T]:
        """Reads many objects; raises ReaderUnavailable between results."""

        def keep_and_look(place: Place, outcome: Outcome) -> T:
            self._bundle.add_outcome(*place, outcome)
            return look(place, outcome)

        for result in self._objects.read_all(places, keep_and_look):
            self._bundle.check()
            yield result

    def list(self, bucket: str, prefix: str, start_after: str = "") -> Iterator[ListedObject]:
        """Lists objects. Raises CouldNotRead, ReaderUnavailable."""
        number = self._bundle.begin_list(bucket, prefix, start_after)
        kept: list[ListedObject] = []
        try:
            for listed in self._objects.list(bucket, prefix, start_after):
                kept.append(listed)
                if len(kept) >= _ENTRIES:
                    self._bundle.add_entries(number, kept)
                    self._bundle.check()
                    kept = []
                yield listed
            self._bundle.end_list(number, None)
        except CouldNotRead as error:
            self._bundle.end_list(number, str(error))
            raise
        finally:
            self._bundle.add_entries(number, kept)

    def folders(self, bucket: str, prefix: str) -> Iterator[str]:
        """Lists folders. Raises CouldNotRead."""
        try:
            names = [*self._objects.folders(bucket, prefix)]
        except CouldNotRead as error:
            self._bundle.add_folders(bucket, prefix, None, str(error))
            raise
        self._bundle.add_folders(bucket, prefix, names, None)
        yield from names


class RecordingKeys:
    """A PublicKeySource that keeps every answer. `region`: whose keys are asked for."""

    def __init__(self, keys: PublicKeySource, bundle: BundleWriter, region: str) -> None:
        self._keys = keys
        self._bundle = bundle
        self._region = region

    def between(self, start: int, end: int) -> Mapping[str, PublicKey]:
        """Keys in use from `start` to `end`. Raises ApiRefused, ApiNotReached."""
        try:
            keys = self._keys.between(start, end)
        except ApiRefused as error:
            self._bundle.add_keys(self._region, start, end, {"refused": str(error)})
            raise
        except ApiNotReached as error:
            self._bundle.add_keys(self._region, start, end, {"notReached": str(error)})
            raise
        fields = [key_fields(fingerprint, key) for fingerprint, key in keys.items()]
        self._bundle.add_keys(self._region, start, end, {"PublicKeyList": fields})
        return keys

    def origin(self) -> str:
        """Where they come from."""
        return self._keys.origin()


class RecordingHeads:
    """A HeadSource that keeps every answer."""

    def __init__(self, heads: HeadSource, bundle: BundleWriter) -> None:
        self._heads = heads
        self._bundle = bundle

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterable[bytes]:
        """Heads of digests. Raises CouldNotRead."""
        try:
            heads = [*self._heads.heads(bucket, folder, start, end)]
        except CouldNotRead as error:
            self._bundle.add_heads(bucket, folder, start, end, (), str(error))
            raise
        self._bundle.add_heads(bucket, folder, start, end, heads, None)
        return heads

    def origin(self) -> str:
        """Where they come from."""
        return self._heads.origin()

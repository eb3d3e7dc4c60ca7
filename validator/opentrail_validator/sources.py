"""Where a run reads from: the flags, a bundle, or both opened as sources; and what is told of them afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from opentrail_validator.bundle import BundleWriter
from opentrail_validator.bundle_reader import Bundle, BundleHeads, BundleKeys, BundleReader
from opentrail_validator.bundle_recording import RecordingHeads, RecordingKeys, RecordingReader
from opentrail_validator.head_chains import chains_in_bucket, chains_in_file
from opentrail_validator.head_sources import HeadBucket, HeadFile
from opentrail_validator.options import Options
from opentrail_validator.progress import CountingReader
from opentrail_validator.public_keys import read_public_keys
from opentrail_validator.question import Question, Sources
from opentrail_validator.readers.local_directory import LocalDirectory, read_storage_key
from opentrail_validator.readers.port import (
    HeadSource,
    ObjectReader,
    PublicKey,
    PublicKeySource,
    ReaderUnavailable,
    TrailApi,
)
from opentrail_validator.summary import Origins
from opentrail_validator.trail_place import TrailPlace, parse_trail_arn

T = TypeVar("T")
_S3: Final = "s3://"


class RunSources:
    """Everything that a run reads. Raises ReaderUnavailable; where several cannot be opened, all are told."""

    def __init__(self, options: Options, bundle: Bundle | None = None, writer: BundleWriter | None = None) -> None:
        self._options = options
        self._bundle = bundle
        self._writer = writer
        self._problems: list[str] = []
        self._heads_tell: Callable[[TrailPlace, int], Iterable[TrailPlace]] | None = None
        self._api = cache(self._open_api)
        self._s3 = cache(self._open_s3)
        self._pinned = self._opened(self._open_pinned)
        objects = self._opened(self._open_objects)
        heads = self._opened(self._open_heads)
        if self._problems:
            raise ReaderUnavailable("\n".join(self._problems))
        assert objects is not None
        self.objects = CountingReader(objects if writer is None else RecordingReader(objects, writer))
        self.heads = None if heads is None else CountedHeads(heads if writer is None else RecordingHeads(heads, writer))
        self._keys: dict[str, CountedKeys] = {}
        self._lock = Lock()

    def api_of(self, region: str) -> TrailApi:
        """The CloudTrail API of a region. Raises ReaderUnavailable."""
        return self._api(region)

    def of(self, question: Question) -> Sources:
        """The sources of one chain."""
        return Sources(objects=self.objects, public_keys=self._keys_of(question.place.region), heads=self.heads)

    def chains_with_heads(self, trail: TrailPlace, end: int) -> Iterable[TrailPlace]:
        """The trail's chains that heads up to `end` (epoch seconds) tell of. Raises CouldNotRead."""
        return () if self._heads_tell is None else self._heads_tell(trail, end)

    @property
    def are_pinned(self) -> bool:
        """Whether the auditor gave the keys."""
        return self._pinned is not None

    def origins(self) -> Origins:
        """Where keys and heads came from, once the run is over."""
        keys: dict[str, set[str]] = {}
        for _, counted in sorted(self._keys.items()):
            keys.setdefault(counted.origin(), set()).update(counted.fingerprints)
        return Origins(
            {origin: len(fingerprints) for origin, fingerprints in keys.items()},
            are_pinned=self.are_pinned,
            heads=None if self.heads is None else self.heads.origin(),
            heads_seen=0 if self.heads is None else self.heads.count,
        )

    def _keys_of(self, region: str) -> PublicKeySource:
        """One source for each region: each has keys of its own."""
        with self._lock:
            if region not in self._keys:
                keys = self._pinned or self._unpinned(region)
                if self._writer is not None:
                    keys = RecordingKeys(keys, self._writer, region)
                self._keys[region] = CountedKeys(keys)
            return self._keys[region]

    def _unpinned(self, region: str) -> PublicKeySource:
        return self._api(region) if self._bundle is None else BundleKeys(self._bundle, region)

    def _opened(self, open_one: Callable[[], T | None]) -> T | None:
        try:
            return open_one()
        except ReaderUnavailable as error:
            self._problems.append(str(error))
            return None

    def _open_pinned(self) -> PublicKeySource | None:
        file = self._options.public_keys
        return None if file is None else read_public_keys(file)

    def _open_objects(self) -> ObjectReader:
        if self._bundle is not None:
            return BundleReader(self._bundle)
        if self._options.directory is not None:
            return self._local(self._options.directory)
        return self._s3()

    def _open_heads(self) -> HeadSource | None:
        heads = self._options.heads
        if heads is None:
            return BundleHeads(self._bundle) if self._bundle is not None and self._bundle.has_heads else None
        if heads.startswith(_S3):
            bucket, _, prefix = heads.removeprefix(_S3).partition("/")
            objects, prefix = self._s3(), prefix.strip("/")
            return self._told_by(HeadBucket(objects, bucket, prefix), objects, bucket, prefix)
        path = Path(heads)
        if os.path.isdir(path):  # noqa: PTH112 - a copy of a bucket of heads; Path.is_dir raises on a name too long
            whole = path.resolve()
            copy = self._local(whole.parent)
            return self._told_by(HeadDirectory(copy, whole), copy, whole.name, "")
        file = HeadFile(path)
        self._heads_tell = partial(chains_in_file, file)
        return file

    def _told_by(self, heads: HeadBucket, objects: ObjectReader, bucket: str, prefix: str) -> HeadSource:
        self._heads_tell = lambda trail, _end: chains_in_bucket(objects, bucket, prefix, trail)
        return heads

    def _local(self, root: Path) -> LocalDirectory:
        file = self._options.storage_key
        return LocalDirectory(root, None if file is None else read_storage_key(file))

    def _open_api(self, region: str) -> TrailApi:
        from opentrail_validator.readers.cloudtrail import AwsApi  # noqa: PLC0415 - needs an extra that may be missing

        return AwsApi(region, self._options.endpoint_url)

    def _open_s3(self) -> ObjectReader:
        from opentrail_validator.readers.s3 import S3Reader  # noqa: PLC0415 - as above

        options = self._options
        region = options.regions[0] if options.regions else parse_trail_arn(options.trail_arns[0]).home_region
        return S3Reader(region, concurrency=options.concurrency)


def proof_key_source(options: Options) -> PublicKeySource:
    """Whom the keys of one event's proof are taken from. Raises ReaderUnavailable."""
    if options.public_keys is not None:
        return read_public_keys(options.public_keys)
    from opentrail_validator.readers.cloudtrail import AwsApi  # noqa: PLC0415 - as above

    region = options.regions[0] if options.regions else "us-east-1"
    return AwsApi(region, options.endpoint_url)


class HeadDirectory(HeadBucket):
    """A copy of a bucket of heads, in a directory."""

    def __init__(self, objects: ObjectReader, directory: Path) -> None:
        super().__init__(objects, directory.name, "")
        self._directory = directory

    def origin(self) -> str:
        """For the report."""
        return f"the directory {self._directory}"


class CountedKeys:
    """A PublicKeySource that remembers which keys it gave."""

    def __init__(self, keys: PublicKeySource) -> None:
        self._keys = keys
        self.fingerprints: set[str] = set()

    def between(self, start: int, end: int) -> Mapping[str, PublicKey]:
        """Keys in use from `start` to `end`. Raises ApiRefused, ApiNotReached."""
        keys = self._keys.between(start, end)
        self.fingerprints.update(keys)
        return keys

    def origin(self) -> str:
        """Where they come from."""
        return self._keys.origin()


class CountedHeads:
    """A HeadSource that counts the heads that it gave."""

    def __init__(self, heads: HeadSource) -> None:
        self._heads = heads
        self._lock = Lock()
        self.count = 0

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterable[bytes]:
        """Heads of digests. Raises CouldNotRead."""
        heads = [*self._heads.heads(bucket, folder, start, end)]
        with self._lock:
            self.count += len(heads)
        return heads

    def origin(self) -> str:
        """Where they come from."""
        return self._heads.origin()

"""Tampers with a bucket that a pipeline writes to, and puts everything back as it was."""

from __future__ import annotations

import gzip
import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from opentrail_validator import Finding, Kind

Found = tuple[Kind, str]
"""A finding's kind and key."""
_DIGEST = re.compile(r"/CloudTrail-Digest/.*_(\d{8}T\d{6}Z)\.json\.gz$")
_STAMP = "%Y%m%dT%H%M%SZ"


class Kept(NamedTuple):
    """An object as it was."""

    body: bytes
    metadata: dict[str, str]


@dataclass
class Tampering:
    """What was done, and what a validator has to say of it."""

    expected: set[Found]
    also: Callable[[Finding], bool] = lambda _finding: False
    """What may be said beside: consequences of the same."""
    originals: dict[str, Kept | None] = field(default_factory=dict)
    """None: there was no such object."""


class TamperedBucket:
    """One trail's digests and log files in a bucket; `name` is the trail's."""

    def __init__(self, client: Any, bucket: str, name: str) -> None:
        self._client = client
        self._bucket = bucket
        self._name = name

    # --- what is there ------------------------------------------------------------------------------

    def digests(self) -> list[str]:
        """Keys of the trail's digests, oldest first."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        found = [key for key in keys if (match := _DIGEST.search(key)) and f"_{self._name}_" in key and match]
        return sorted(found, key=lambda key: _DIGEST.search(key)[1])  # type: ignore[index]  # it was found

    def log_files_of(self, digest: str) -> list[str]:
        """Keys of the log files that a digest names."""
        return [entry["s3Object"] for entry in json.loads(gzip.decompress(self.read(digest).body))["logFiles"]]

    def digest_with_files(self, back: int = 4) -> tuple[str, list[str]]:
        """A digest that is not one of the newest, and its log files, of which there are some."""
        for digest in reversed(self.digests()[:-back]):
            if files := self.log_files_of(digest):
                return digest, files
        raise AssertionError("no digest has log files")

    def read(self, key: str) -> Kept:
        answer = self._client.get_object(Bucket=self._bucket, Key=key)
        return Kept(answer["Body"].read(), answer["Metadata"])

    # --- what can be done to it ---------------------------------------------------------------------

    @contextmanager
    def tampered(self, how: Callable[[TamperedBucket, Tampering], None]) -> Iterator[Tampering]:
        """Tampered with for a while."""
        tampering = Tampering(set())
        how(self, tampering)
        yield tampering
        for key, kept in tampering.originals.items():
            if kept is None:
                self._client.delete_object(Bucket=self._bucket, Key=key)
            else:
                self._put(key, kept)

    def put(self, tampering: Tampering, key: str, kept: Kept) -> None:
        self._remember(tampering, key)
        self._put(key, kept)

    def delete(self, tampering: Tampering, key: str) -> None:
        self._remember(tampering, key)
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def _put(self, key: str, kept: Kept) -> None:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=kept.body, Metadata=kept.metadata)

    def _remember(self, tampering: Tampering, key: str) -> None:
        if key in tampering.originals:
            return
        there = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key).get("Contents", ())
        is_there = any(entry["Key"] == key for entry in there)
        tampering.originals[key] = self.read(key) if is_there else None


def _of_digest(bucket: TamperedBucket, digest: str) -> Callable[[Finding], bool]:
    """What follows from a digest that is not believed: its time is not covered."""
    names = {digest}
    return lambda finding: finding.kind is Kind.NOT_COVERED or finding.key in names


def log_file_changed(bucket: TamperedBucket, tampering: Tampering) -> None:
    _, (key, *_) = bucket.digest_with_files()
    kept = bucket.read(key)
    content = gzip.decompress(kept.body).replace(b"RunInstances", b"StopInstances", 1)
    bucket.put(tampering, key, kept._replace(body=gzip.compress(content)))
    tampering.expected = {(Kind.HASH_MISMATCH, key)}


def log_file_truncated(bucket: TamperedBucket, tampering: Tampering) -> None:
    _, (key, *_) = bucket.digest_with_files()
    kept = bucket.read(key)
    bucket.put(tampering, key, kept._replace(body=kept.body[:-9]))
    tampering.expected = {(Kind.TRUNCATED, key)}


def log_file_deleted(bucket: TamperedBucket, tampering: Tampering) -> None:
    _, (key, *_) = bucket.digest_with_files()
    bucket.delete(tampering, key)
    tampering.expected = {(Kind.NOT_FOUND, key)}


def log_files_swapped(bucket: TamperedBucket, tampering: Tampering) -> None:
    digest, (one, *_) = bucket.digest_with_files()
    older = bucket.digests()[: bucket.digests().index(digest)]
    other = next(key for before in reversed(older) for key in bucket.log_files_of(before))
    kept = bucket.read(one), bucket.read(other)
    bucket.put(tampering, one, kept[1])
    bucket.put(tampering, other, kept[0])
    tampering.expected = {(Kind.HASH_MISMATCH, one), (Kind.HASH_MISMATCH, other)}


def log_file_planted(bucket: TamperedBucket, tampering: Tampering) -> None:
    """Told once digests were made that would name it."""
    _, (key, *_) = bucket.digest_with_files()
    planted = _another_name(bucket.log_files_of(bucket.digests()[-1]) or [key])
    bucket.put(tampering, planted, bucket.read(key))
    tampering.expected = {(Kind.PLANTED, planted)}


def log_file_renamed(bucket: TamperedBucket, tampering: Tampering) -> None:
    """It is missed at once, and planted under its new name."""
    _, (key, *_) = bucket.digest_with_files()
    renamed = _another_name([key])
    bucket.put(tampering, renamed, bucket.read(key))
    bucket.delete(tampering, key)
    tampering.expected = {(Kind.NOT_FOUND, key), (Kind.PLANTED, renamed)}


def digest_changed(bucket: TamperedBucket, tampering: Tampering) -> None:
    digest, _ = bucket.digest_with_files()
    kept = bucket.read(digest)
    content = gzip.decompress(kept.body).replace(b'"logFiles"', b' "logFiles"', 1)
    bucket.put(tampering, digest, kept._replace(body=gzip.compress(content)))
    tampering.expected = {(Kind.BAD_SIGNATURE, digest)}
    tampering.also = _of_digest(bucket, digest)


def digest_deleted(bucket: TamperedBucket, tampering: Tampering) -> None:
    digest, _ = bucket.digest_with_files()
    bucket.delete(tampering, digest)
    tampering.expected = {(Kind.NOT_FOUND, digest)}
    tampering.also = _of_digest(bucket, digest)


def digest_renamed(bucket: TamperedBucket, tampering: Tampering) -> None:
    digest, _ = bucket.digest_with_files()
    renamed = _at_another_second(digest, bucket.digests())
    bucket.put(tampering, renamed, bucket.read(digest))
    bucket.delete(tampering, digest)
    tampering.expected = {(Kind.NOT_FOUND, digest), (Kind.MOVED, renamed)}
    tampering.also = _of_digest(bucket, digest)


def newest_digest_deleted(bucket: TamperedBucket, tampering: Tampering) -> None:
    """The head of it is in the state store; the digest that comes next links to it."""
    digest = bucket.digests()[-1]
    bucket.delete(tampering, digest)
    tampering.expected = {(Kind.NOT_FOUND, digest)}
    tampering.also = _of_digest(bucket, digest)


def _at_another_second(digest: str, taken: list[str]) -> str:
    """A digest's key with a time nearby, of the same day, that no digest has."""
    stamp = _DIGEST.search(digest)[1]  # type: ignore[index]  # it is a digest's key
    at = datetime.strptime(stamp, _STAMP)
    moved = [at + timedelta(seconds=seconds) for seconds in (1, -1, 2, -2)]
    keys = [digest.replace(stamp, time.strftime(_STAMP)) for time in moved if time.date() == at.date()]
    return next(key for key in keys if key not in taken)


def _another_name(keys: list[str]) -> str:
    unique = secrets.token_hex(8).upper()
    return re.sub(r"_[^_/]+\.json\.gz$", f"_{unique}.json.gz", keys[0])

"""Where the validator service reads evidence, public keys and heads, and whom it tells.

Evidence is read by the validator's own readers, never through the object store that delivery writes with.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from opentrail.evidence.object_keys import DigestKey, parse_key
from opentrail_backends.notifications.port import NotificationError, Notifications
from opentrail_backends.state.port import KeptHead, StateError, StateStore
from opentrail_cli.composition import Parts
from opentrail_cli.errors import CommandFailed
from opentrail_cli.settings import Settings
from opentrail_validator.head_sources import HeadBucket
from opentrail_validator.public_keys import read_public_keys
from opentrail_validator.question import Question, Sources
from opentrail_validator.readers.local_directory import LocalDirectory, read_storage_key
from opentrail_validator.readers.port import (
    ApiNotReached,
    CouldNotRead,
    HeadSource,
    ObjectReader,
    PublicKey,
    PublicKeySource,
    ReaderUnavailable,
)
from opentrail_validator.service.port import NotDelivered, Notifier

log = logging.getLogger(__name__)

_HEADS_SECONDS = 1.0


class StatePublicKeys:
    """The keys of a region that the state store keeps, as ListPublicKeys gives them."""

    def __init__(self, state: StateStore, region: str) -> None:
        self._state = state
        self._region = region

    def between(self, start: int, end: int) -> Mapping[str, PublicKey]:
        """Keys in use from `start` to `end` (epoch seconds), by fingerprint. Raises ApiNotReached."""
        try:
            keys = self._state.public_keys.between(self._region, start, end)
        except StateError as error:
            raise ApiNotReached(str(error)) from error
        return {key.fingerprint: PublicKey(key.der, key.valid_from, key.valid_until) for key in keys}

    def origin(self) -> str:
        """Where they come from."""
        return f"kept in the state store for {self._region}"


class StateHeads:
    """The heads that the state store keeps: the newest of each chain. Safe for use by several threads."""

    def __init__(self, state: StateStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: Sequence[KeptHead] = ()
        self._read_again_at = 0.0

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterator[bytes]:
        """Heads of digests in a bucket below a folder that end from `start` to `end`. Raises CouldNotRead."""
        for head in self._all():
            if head.bucket == bucket and head.object_key.startswith(folder) and start <= _end_of(head) <= end:
                yield head.document

    def origin(self) -> str:
        """Where they come from."""
        return "the state store"

    def _all(self) -> Sequence[KeptHead]:
        """Read once for the many chains of a cycle: an older head names a digest that has to be there as well."""
        with self._lock:
            if self._clock() >= self._read_again_at:
                try:
                    self._kept = self._state.chains.heads()
                except StateError as error:
                    raise CouldNotRead(str(error)) from error
                self._read_again_at = self._clock() + _HEADS_SECONDS
            return self._kept


def _end_of(head: KeptHead) -> int:
    key = parse_key(head.object_key)
    assert isinstance(key, DigestKey)
    return key.end_seconds


class AllHeads:
    """Several sources' heads: what one of them has lost another may have."""

    def __init__(self, sources: Sequence[HeadSource]) -> None:
        self._sources = sources

    def heads(self, bucket: str, folder: str, start: int, end: int) -> Iterator[bytes]:
        """The heads of all. Raises CouldNotRead, after those of the sources that could be read."""
        failure = None
        for source in self._sources:
            try:
                yield from source.heads(bucket, folder, start, end)
            except CouldNotRead as error:
                failure = error
        if failure is not None:
            raise failure

    def origin(self) -> str:
        """Where they come from."""
        return " and ".join(source.origin() for source in self._sources)


class ChainSources:
    """The sources of every chain: one reader for all, keys by region. Safe for use by several threads."""

    def __init__(self, parts: Parts) -> None:
        """Raises CommandFailed where something that the settings name cannot be read."""
        settings = parts.settings
        try:
            self._objects = _objects(settings)
            self._pinned = read_public_keys(settings.validator_public_keys) if settings.validator_public_keys else None
        except (ReaderUnavailable, ValueError) as error:
            raise CommandFailed(str(error)) from error
        self._state = parts.state
        self._heads = AllHeads([StateHeads(parts.state), *_heads_bucket(settings, self._objects)])

    def sources(self, question: Question) -> Sources:
        """Where the answer to a question comes from."""
        keys: PublicKeySource = self._pinned or StatePublicKeys(self._state, question.place.region)
        return Sources(objects=self._objects, public_keys=keys, heads=self._heads)


class TopicNotifier:
    """Tells a topic of Amazon SNS, or of a server that speaks as it does."""

    def __init__(self, notifications: Notifications, topic_arn: str) -> None:
        self._notifications = notifications
        self._topic_arn = topic_arn

    def notify(self, message: str) -> None:
        """Publishes the message. Raises NotDelivered; it may have been published then."""
        try:
            self._notifications.publish(self._topic_arn, message)
        except NotificationError as error:
            raise NotDelivered(str(error)) from error


class LogNotifier:
    """Tells the log, where no topic is set."""

    def notify(self, message: str) -> None:
        """Writes the message as one line."""
        log.error("findings: %s", message)


def notifier_of(parts: Parts) -> Notifier:
    """Whom the settings name. Raises CommandFailed."""
    topic = parts.settings.validator_topic
    return LogNotifier() if topic is None else TopicNotifier(parts.notifications, topic)


def _objects(settings: Settings) -> ObjectReader:
    url = settings.url_of("object_store")
    if url.startswith("file:"):
        return _local_directory(Path(unquote(urlsplit(url).path)), settings.url_of("keys"))
    from opentrail_backends.object_store.s3_settings import parse_s3_url  # only when chosen
    from opentrail_validator.readers.s3 import S3Reader  # as above

    of_store = parse_s3_url(url, os.environ)
    return S3Reader(of_store.region or "us-east-1", endpoint_url=of_store.endpoint)


def _heads_bucket(settings: Settings, objects: ObjectReader) -> list[HeadSource]:
    if settings.heads_bucket is None:
        return []
    bucket, _, prefix = settings.heads_bucket.partition("/")
    return [HeadBucket(objects, bucket, prefix.strip("/"))]


def _local_directory(root: Path, keys_url: str) -> LocalDirectory:
    """The directory and its storage key, as `opentrail_backends.key_management.local_keys` lays them out."""
    root.mkdir(parents=True, exist_ok=True)
    storage_key = Path(unquote(urlsplit(keys_url).path)) / "storage.key"
    has_key = keys_url.startswith("file:") and storage_key.exists()
    return LocalDirectory(root, read_storage_key(storage_key) if has_key else None)

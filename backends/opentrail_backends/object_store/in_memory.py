"""A strict store in memory, for tests: it remembers every attempt to put and misbehaves as a script tells it.

store = InMemoryObjectStore(["trail-logs"])
store.script("*/CloudTrail/*", LoseAnswer(kept=True))       # the next put of a log file: kept, reported as failed
store.script("*", Refuse("AccessDenied"), times=None)       # then each put is refused until clear_script()
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from opentrail_backends.object_store.names import check_bucket, check_key, check_metadata, check_size
from opentrail_backends.object_store.port import (
    BucketNotFound,
    ObjectAlreadyExists,
    ObjectInfo,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
    StoredObject,
    StoreThrottled,
)


@dataclass(frozen=True, slots=True)
class Refuse:
    """The put or read is answered by a refusal with this code; nothing is kept."""

    code: str = "AccessDenied"


@dataclass(frozen=True, slots=True)
class Throttle:
    """The store asks to slow down; nothing is kept."""


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """The answer is lost. The object is there (`kept`), is not there, or appears with `release_late()`."""

    kept: bool | Literal["late"]


@dataclass(frozen=True, slots=True)
class Hold:
    """The call tells `entered` and waits for `release`, then goes on as if nothing had been scripted."""

    entered: threading.Event
    release: threading.Event


Behaviour = Refuse | Throttle | LoseAnswer | Hold


@dataclass(frozen=True, slots=True)
class PutAttempt:
    """One call of `put`. `outcome`: `stored`, or the name of the exception's class."""

    bucket: str
    key: str
    body: bytes
    options: PutOptions
    outcome: str


@dataclass(slots=True)
class _Rule:
    pattern: str
    operation: Literal["put", "read"]
    behaviour: Behaviour
    times: int | None


@dataclass(frozen=True, slots=True)
class _Kept:
    body: bytes
    options: PutOptions


class ObjectReplaced(AssertionError):
    """Somebody tried to replace an object behind the port's back."""


class _WriteOnce(dict[str, _Kept]):
    """Objects of a bucket by key. Replacing one is a defect of the program under test."""

    def __setitem__(self, key: str, value: _Kept) -> None:
        if key in self:
            raise ObjectReplaced(f"object {key!r} would be replaced")
        super().__setitem__(key, value)


class InMemoryObjectStore:
    """Buckets in memory behind the ObjectStore port; see the module's text for the script."""

    keeps_policies = False

    def __init__(self, buckets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[str, _WriteOnce] = {}
        self._rules: list[_Rule] = []
        self._late: list[tuple[str, str, _Kept]] = []
        self.attempts: list[PutAttempt] = []
        """Every put, in the order in which they ended."""
        for bucket in buckets:
            self.create_bucket(bucket)

    def script(
        self, pattern: str, *behaviours: Behaviour, times: int | None = 1, operation: Literal["put", "read"] = "put"
    ) -> None:
        """Adds behaviours for keys that match a shell pattern (`*` also matches `/`).

        They are used up in order, each `times` times; None: for ever.
        """
        with self._lock:
            self._rules += [_Rule(pattern, operation, behaviour, times) for behaviour in behaviours]

    def clear_script(self) -> None:
        """The store behaves again."""
        with self._lock:
            self._rules.clear()

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        """Creates an object, or does what the script says. Raises as the port tells."""
        outcome = "stored"
        try:
            self._put(bucket, key, bytes(body), options)
        except (ObjectStoreError, ObjectReplaced) as error:
            outcome = type(error).__name__
            raise
        finally:
            with self._lock:
                self.attempts.append(PutAttempt(bucket, key, bytes(body), options, outcome))

    def _put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        check_bucket(bucket)
        check_key(key)
        check_metadata(options.metadata)
        kept = _Kept(body, options)
        match self._behaviour("put", key):
            case LoseAnswer(kept=True):
                self._create(bucket, key, kept)
                raise OutcomeUnknown(f"scripted: the answer for {key} was lost, the object was kept")
            case LoseAnswer(kept="late"):
                with self._lock:
                    self._late.append((bucket, key, kept))
                raise OutcomeUnknown(f"scripted: the answer for {key} was lost, the object may still appear")
            case _:
                self._create(bucket, key, kept)

    def _create(self, bucket: str, key: str, kept: _Kept) -> None:
        with self._lock:
            objects = self._objects(bucket)
            if key in objects:
                raise ObjectAlreadyExists(f"s3://{bucket}/{key} already exists")
            objects[key] = kept

    def _behaviour(self, operation: Literal["put", "read"], key: str) -> Behaviour | None:
        """The scripted behaviour for this call, carried out as far as it is the same for puts and reads."""
        behaviour = self._next_rule(operation, key)
        match behaviour:
            case Refuse(code=code):
                raise PutRefused(f"scripted: {key} refused", code)
            case Throttle():
                raise StoreThrottled(f"scripted: slow down ({key})")
            case LoseAnswer(kept=False):
                raise OutcomeUnknown(f"scripted: no answer for {key}")
            case Hold(entered=entered, release=release):
                entered.set()
                release.wait()
        return behaviour

    def _next_rule(self, operation: Literal["put", "read"], key: str) -> Behaviour | None:
        with self._lock:
            for rule in self._rules:
                if rule.operation == operation and fnmatchcase(key, rule.pattern):
                    if rule.times is not None:
                        rule.times -= 1
                    if rule.times == 0:
                        self._rules.remove(rule)
                    return rule.behaviour
        return None

    def release_late(self) -> int:
        """Lets the late objects appear where nothing lies yet; answers how many did."""
        with self._lock:
            late, self._late = self._late, []
            appeared = 0
            for bucket, key, kept in late:
                objects = self._objects(bucket)
                if key not in objects:
                    objects[key] = kept
                    appeared += 1
            return appeared

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises as the port tells."""
        kept = self._read(bucket, key)
        check_size(len(kept.body), f"s3://{bucket}/{key}")
        return StoredObject(kept.body, dict(kept.options.metadata))

    def metadata(self, bucket: str, key: str) -> Mapping[str, str]:
        """An object's user metadata. Raises as the port tells."""
        return dict(self._read(bucket, key).options.metadata)

    def options(self, bucket: str, key: str) -> PutOptions:
        """How an object was put; for tests."""
        with self._lock:
            return self._objects(bucket)[key].options

    def _read(self, bucket: str, key: str) -> _Kept:
        check_bucket(bucket)
        check_key(key)
        if isinstance(self._behaviour("read", key), LoseAnswer):
            raise OutcomeUnknown(f"scripted: no answer for {key}")
        with self._lock:
            try:
                return self._objects(bucket)[key]
            except KeyError:
                raise ObjectNotFound(f"there is no s3://{bucket}/{key}") from None

    def list(self, bucket: str, prefix: str = "", start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects in UTF-8 byte order, as of the call."""
        check_bucket(bucket)
        with self._lock:
            found = [
                ObjectInfo(key, len(kept.body))
                for key, kept in self._objects(bucket).items()
                if key.startswith(prefix) and key.encode() > start_after.encode()
            ]
        return iter(sorted(found, key=lambda info: info.key.encode()))

    def _objects(self, bucket: str) -> _WriteOnce:
        try:
            return self._buckets[bucket]
        except KeyError:
            raise BucketNotFound(f"there is no bucket {bucket!r}") from None

    def probe(self, bucket: str) -> None:
        """Create-only puts are honoured by construction; checks that the bucket is there."""
        check_bucket(bucket)
        with self._lock:
            self._objects(bucket)

    def create_bucket(self, bucket: str) -> None:
        """Makes a bucket if there is none."""
        check_bucket(bucket)
        with self._lock:
            self._buckets.setdefault(bucket, _WriteOnce())

    def bucket_policy(self, bucket: str) -> None:
        """There are no policies here. Raises BucketNotFound."""
        check_bucket(bucket)
        with self._lock:
            self._objects(bucket)

    def bucket_region(self, bucket: str) -> None:
        """Memory is in no region."""

    def tamper(self, bucket: str, key: str, body: bytes) -> None:
        """Replaces an object's bytes, as an intruder would; for tests of the validator."""
        with self._lock:
            objects = self._objects(bucket)
            options = objects.pop(key).options
            objects[key] = _Kept(body, options)

    def delete(self, bucket: str, key: str) -> None:
        """Removes an object; one that is not there is no error."""
        check_bucket(bucket)
        check_key(key)
        with self._lock:
            self._objects(bucket).pop(key, None)

    def close(self) -> None:
        """Nothing to free."""

"""Step 4: putting log files, create-only, until each lies in its bucket or in the spool."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail_backends.object_store.port import (
    ObjectAlreadyExists,
    ObjectNotFound,
    ObjectStoreError,
    ObjectTooLarge,
    PutOptions,
)
from opentrail_backends.state.port import Parking
from opentrail_delivery.bucket_health import BucketHealth, error_code
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.spool import LogFilePut, Spool, copy_size
from opentrail_delivery.spool_space import SpoolSpace
from opentrail_delivery.status import DeliveryStatus

HASH_METADATA = "opentrail-sha256"
"""User metadata of a log file: the hash of its uncompressed bytes, lower-case hex."""

_FIRST_DELAY, _LONGEST_DELAY = 0.2, 30.0
_IN_FLIGHT_DELAY = 1.0


class PutResult(Enum):
    """What became of a put."""

    DONE = auto()
    """The file lies at its key."""
    OTHER_OBJECT = auto()
    """Something else lies there: the file needs a new key, fixed in the ledger first."""
    PARKED = auto()
    """Its bucket takes nothing for too long, or our own limit holds it: the file lies in the spool."""
    STOPPED = auto()
    """The worker was told to stop; the outcome is not known."""


class PutOutcome(NamedTuple):
    """What became of a put, and why the file is parked if it is."""

    result: PutResult
    parking: Parking | None = None
    has_copy: bool = False
    """Whether a file that lies in its bucket may have left a copy in the spool, too."""


class KeyTaken(ObjectStoreError):
    """Something lies at the file's key and cannot be read: it may be the file itself, from an earlier try."""

    answered = False

    def __init__(self, error: ObjectStoreError) -> None:
        super().__init__(f"something lies at the key, and reading it failed: {error}")
        self.code = error_code(error)


@dataclass(frozen=True, slots=True)
class PutTools:
    """What puts of log files share."""

    store: CheckedStore
    spool: Spool | None
    health: BucketHealth
    metrics: DeliveryMetrics
    status: DeliveryStatus
    space: SpoolSpace | None = None
    """None: the spool has no limit of ours."""
    park_soon_seconds: float = 1.0
    """A file that is refused again after so long is parked."""
    park_seconds: float = 60.0
    """A file that was tried for so long is parked, however its bucket fails."""
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random

    @property
    def can_park(self) -> bool:
        """Whether there is a spool, and it was not full when it was last asked."""
        return self.spool is not None and (self.space is None or not self.space.is_full)

    def spool_or_fail(self) -> Spool:
        """The spool, where parked files are known to lie in one. Raises ObjectStoreError if none is configured."""
        if self.spool is None:
            raise ObjectStoreError("files are parked in a spool, and none is configured: set OPENTRAIL_SPOOL")
        return self.spool


class Put:
    """A log file on its way, over all its tries. A crash in it: redo step 4 with the same file.

    Where its bucket fails the file is parked, so that it holds up nobody else's. Without a spool, or with a full one,
    it is tried for ever. Tries follow each other; one that has no answer may be overtaken by parking the file. Safe for
    use by several threads: once it is parked no try begins, and what becomes of it is decided once.
    """

    def __init__(self, file: LogFilePut, tools: PutTools, *, redone: bool) -> None:
        self.file = file
        self._tools = tools
        self._is_answered = not redone
        """Whether every put so far was answered by a refusal. An earlier owner's put may be under way still."""
        self._trying_since: float | None = None
        self._failing_since: float | None = None
        self._failed_at = 0.0
        self._failures = 0
        self._error: str | None = None
        self._delay = _FIRST_DELAY
        self._spool_failed = False
        """Whether the last try was of the spool, in vain: the next one is of the bucket."""
        self._lock = threading.Lock()
        self._is_parking = False
        """Whether a thread parks the file, or has parked it."""
        self._has_copy = False
        """Whether a copy may lie in the spool. A put removes none: the file's next owner may need it."""
        self._result: PutResult | None = None
        """What became of it: DONE or PARKED, whichever was first."""

    @property
    def wants_parking(self) -> bool:
        """Whether the file is to be parked instead of being tried: its bucket is given up, or it has failed enough.

        Never without a spool, or while it is full.
        """
        return self._is_hopeless() and self._has_room()

    def _is_hopeless(self) -> bool:
        known = self.file.file
        since = self._failing_since if self._failing_since is not None else self._trying_since
        until = self._tools.monotonic() if self._trying_since is not None else self._failed_at
        lasted = 0.0 if since is None else until - since
        return (
            lasted >= self._tools.park_seconds
            or (self._failures > 1 and lasted >= self._tools.park_soon_seconds)
            or self._tools.health.is_given_up(known.bucket, known.trail_arn)
        )

    def attempt(self) -> PutOutcome | float:
        """One try, of the bucket or of the spool: what became of it, or the seconds after which to try again."""
        if self.wants_parking and not self._spool_failed:
            outcome = self.park()
            if outcome is not None:
                return outcome
        self._spool_failed = False
        return self._try()

    def park(self) -> PutOutcome | float | None:
        """Parks the file. None: there is no spool, or no room in it; seconds: it failed, try again after them.

        The reason is the bucket's error; without one our own rate limit, which does not age the file.
        """
        if self._tools.spool is None or not self._has_room():
            return None
        with self._lock:
            if self._is_parking:
                return _IN_FLIGHT_DELAY
            self._is_parking = self._has_copy = True
        try:
            return self._park(self._tools.spool)
        finally:
            if self._result is None:
                self._is_parking = False

    def _park(self, spool: Spool) -> PutOutcome | float:
        tools, known = self._tools, self.file.file
        try:
            size = spool.park(self.file)
        except ObjectStoreError as error:
            tools.metrics.put_failures.labels(f"spool: {type(error).__name__}").inc()
            self._spool_failed = True
            return self._next_delay()
        if not self._becomes(PutResult.PARKED):  # a try that seemed to have no answer was taken meanwhile
            return PutOutcome(PutResult.DONE, has_copy=True)
        if tools.space is not None:
            tools.space.took(size)
        # In this order: a try says what came of it before it ends.
        is_answered = self._trying_since is None and self._is_answered
        error_of_bucket = tools.health.error(known.bucket, known.trail_arn) or self._error
        return PutOutcome(PutResult.PARKED, Parking(size, error_of_bucket, is_answered))

    def _has_room(self) -> bool:
        tools = self._tools
        if tools.spool is None:
            return False
        has_room = tools.space is None or tools.space.has_room(copy_size(self.file))
        tools.metrics.spool_full.set(not has_room)
        return has_room

    def _try(self) -> PutOutcome | float:
        tools, known = self._tools, self.file.file
        with self._lock:
            if self._is_parking or self._trying_since is not None:
                return _IN_FLIGHT_DELAY
            started_at = self._trying_since = tools.monotonic()
        try:
            result = put_once(tools.store, self.file)
        except ObjectStoreError as error:
            self._failed(error, started_at)
            return 0.0 if self.wants_parking else self._next_delay()
        finally:
            self._trying_since = None
        tools.health.succeeded(known.bucket, known.trail_arn)
        if result is PutResult.DONE and not self._becomes(result):
            return _IN_FLIGHT_DELAY  # parked meanwhile: whoever tries the parked file finds it there
        return PutOutcome(result, has_copy=self._has_copy)

    def _becomes(self, result: PutResult) -> bool:
        """Whether this is what becomes of the file: the first one wins."""
        with self._lock:
            self._result = self._result or result
            return self._result is result

    def _failed(self, error: ObjectStoreError, started_at: float) -> None:
        tools, known = self._tools, self.file.file
        self._is_answered = self._is_answered and error.answered
        self._failures += 1
        self._failed_at = tools.monotonic()
        if self._failing_since is None:
            self._failing_since = started_at
        self._error = error.code if isinstance(error, KeyTaken) else error_code(error)
        if not isinstance(error, KeyTaken):  # which says nothing about other keys
            tools.health.failed(known.bucket, known.trail_arn, error, started_at)
        tools.metrics.put_failures.labels(type(error).__name__).inc()
        tools.status.put_failed(known.trail_arn, error)

    def _next_delay(self) -> float:
        delay = self._delay * (0.5 + self._tools.jitter() / 2)
        self._delay = min(self._delay * 2, _LONGEST_DELAY)
        return delay


def put_once(store: CheckedStore, file: LogFilePut) -> PutResult:
    """One try: DONE or OTHER_OBJECT. Raises ObjectStoreError; KeyTaken if the key is taken and nobody knows by what."""
    known = file.file
    try:
        store.put(known.bucket, known.object_key, file.body, put_options(file))
    except ObjectAlreadyExists:
        return _compare(store, file)
    return PutResult.DONE


def put_options(file: LogFilePut) -> PutOptions:
    """CloudTrail's object properties (reference: S3 layout), and the hash beside the object."""
    known = file.file
    return PutOptions(
        metadata={HASH_METADATA: known.sha256},
        kms_key_id=known.kms_key_id,
        encryption_context={"aws:cloudtrail:arn": known.trail_arn} if known.kms_key_id else {},
    )


def _compare(store: CheckedStore, file: LogFilePut) -> PutResult:
    """The key is taken (412): by our own file, from an earlier try, or by something else.

    The bytes decide, not the metadata, which anyone may have written. Compression may differ between
    library versions, so the hash is over the uncompressed bytes.
    """
    try:
        there = read_log_file(store.get(file.file.bucket, file.file.object_key).body)
    except ObjectNotFound:
        # Deleted between the two calls: the next try creates it.
        raise
    except ObjectTooLarge:
        return PutResult.OTHER_OBJECT
    except ObjectStoreError as error:
        raise KeyTaken(error) from error
    except MalformedLogFile:
        return PutResult.OTHER_OBJECT
    same = hashlib.sha256(there).hexdigest() == file.file.sha256
    return PutResult.DONE if same else PutResult.OTHER_OBJECT

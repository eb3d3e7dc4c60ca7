"""Step 4: putting log files, create-only, until each lies in its bucket."""

from __future__ import annotations

import hashlib
import random
import threading
from dataclasses import dataclass
from enum import Enum, auto

from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail_backends.object_store.port import (
    ObjectAlreadyExists,
    ObjectNotFound,
    ObjectStoreError,
    PutOptions,
)
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.spool import LogFilePut, Spool
from opentrail_delivery.status import DeliveryStatus

HASH_METADATA = "opentrail-sha256"
"""User metadata of a log file: the hash of its uncompressed bytes, lower-case hex."""


class PutResult(Enum):
    """What became of a put."""

    DONE = auto()
    """The file lies at its key."""
    OTHER_OBJECT = auto()
    """Something else lies there: the file needs a new key, fixed in the ledger first."""
    PARKED = auto()
    """Its bucket takes nothing for too long: the file lies in the spool."""
    STOPPED = auto()
    """The worker was told to stop; the outcome is not known."""


@dataclass(frozen=True, slots=True)
class PutTools:
    """What puts of log files share."""

    store: CheckedStore
    spool: Spool | None
    health: BucketHealth
    metrics: DeliveryMetrics
    status: DeliveryStatus

    def spool_or_fail(self) -> Spool:
        """The spool, where parked files are known to lie in one. Raises ObjectStoreError if none is configured."""
        if self.spool is None:
            raise ObjectStoreError("files are parked in a spool, and none is configured: set OPENTRAIL_SPOOL")
        return self.spool


def put_until_done(file: LogFilePut, tools: PutTools, stop: threading.Event) -> PutResult:
    """Puts a file, retrying whatever the store answers. A crash here: redo step 4 with the same file.

    Where the bucket has failed for too long the file is parked, so that it holds up nobody else's. Without a spool
    it is tried for ever.
    """
    delay = 0.2
    while not stop.is_set():
        try:
            if tools.spool is not None and tools.health.is_given_up(file.bucket, file.trail_arn):
                tools.spool.park(file)
                return PutResult.PARKED
            result = put_once(tools.store, file)
        except ObjectStoreError as error:
            tools.health.failed(file.bucket, file.trail_arn, error)
            tools.metrics.put_failures.labels(type(error).__name__).inc()
            tools.status.put_failed(file.trail_arn, error)
        else:
            tools.health.succeeded(file.bucket, file.trail_arn)
            return result
        stop.wait(delay * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
        delay = min(delay * 2, 30.0)
    return PutResult.STOPPED


def put_once(store: CheckedStore, file: LogFilePut) -> PutResult:
    """One try: DONE or OTHER_OBJECT. Raises ObjectStoreError."""
    try:
        store.put(file.bucket, file.key, file.body, put_options(file))
    except ObjectAlreadyExists:
        return _compare(store, file)
    return PutResult.DONE


def put_options(file: LogFilePut) -> PutOptions:
    """CloudTrail's object properties (reference: S3 layout), and the hash beside the object."""
    return PutOptions(
        metadata={HASH_METADATA: file.sha256},
        kms_key_id=file.kms_key_id,
        encryption_context={"aws:cloudtrail:arn": file.trail_arn} if file.kms_key_id else {},
    )


def _compare(store: CheckedStore, file: LogFilePut) -> PutResult:
    """The key is taken (412): by our own file, from an earlier try, or by something else.

    The bytes decide, not the metadata, which anyone may have written. Compression may differ between
    library versions, so the hash is over the uncompressed bytes.
    """
    try:
        there = read_log_file(store.get(file.bucket, file.key).body)
    except ObjectNotFound:
        # Deleted between the two calls: the next try creates it.
        raise
    except MalformedLogFile:
        return PutResult.OTHER_OBJECT
    same = hashlib.sha256(there).hexdigest() == file.sha256
    return PutResult.DONE if same else PutResult.OTHER_OBJECT

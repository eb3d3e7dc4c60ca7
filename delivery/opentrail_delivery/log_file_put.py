"""Step 4: putting log files, create-only, until each lies in its bucket."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from opentrail.evidence.log_file import MalformedLogFile, read_log_file
from opentrail_backends.object_store.port import (
    ObjectAlreadyExists,
    ObjectNotFound,
    ObjectStoreError,
    PutOptions,
)
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.metrics import DeliveryMetrics

HASH_METADATA = "opentrail-sha256"
"""User metadata of a log file: the hash of its uncompressed bytes, lower-case hex."""


class PutResult(Enum):
    """What became of a put."""

    DONE = auto()
    """The file lies at its key."""
    OTHER_OBJECT = auto()
    """Something else lies there: the file needs a new key, fixed in the ledger first."""
    STOPPED = auto()
    """The worker was told to stop; the outcome is not known."""


@dataclass(frozen=True, slots=True)
class LogFilePut:
    """One file on its way. The body is the same at each try."""

    bucket: str
    key: str
    body: bytes
    sha256: str
    kms_key_id: str | None
    trail_arn: str


def put_until_done(
    store: CheckedStore,
    file: LogFilePut,
    stop: threading.Event,
    metrics: DeliveryMetrics,
    on_error: Callable[[LogFilePut, ObjectStoreError], None],
) -> PutResult:
    """Puts a file, retrying whatever the store answers. A crash here: redo step 4 with the same file.

    `on_error` is told of each failed try: what the operator sees while a bucket refuses.
    """
    delay = 0.2
    while not stop.is_set():
        try:
            return _put_once(store, file)
        except ObjectStoreError as error:
            metrics.put_failures.labels(type(error).__name__).inc()
            on_error(file, error)
        stop.wait(delay * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
        delay = min(delay * 2, 30.0)
    return PutResult.STOPPED


def _put_once(store: CheckedStore, file: LogFilePut) -> PutResult:
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

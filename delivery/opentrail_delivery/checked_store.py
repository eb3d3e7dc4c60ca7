"""The object store as steps 4 and 9 use it: a bucket has to show that it never replaces an object."""

from __future__ import annotations

import structlog

from opentrail_backends.object_store.port import ObjectStore, PutOptions, PutRefused, StoredObject

_log = structlog.get_logger("opentrail.delivery")


class CheckedStore:
    """Probes each bucket before the first put. Safe for use by several threads.

    Create-only puts are what makes a redo harmless and keeps a planted object from being overwritten unseen.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._probed: set[str] = set()

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        """Creates an object. Raises as the port's `probe` and `put`."""
        if bucket not in self._probed:
            self._probe(bucket)
            self._probed.add(bucket)
        self._store.put(bucket, key, body, options)

    def get(self, bucket: str, key: str) -> StoredObject:
        """Reads an object. Raises as the port's `get`."""
        return self._store.get(bucket, key)

    def _probe(self, bucket: str) -> None:
        """A policy that allows no more than CloudTrail's own keys refuses the probe, which says nothing about puts."""
        try:
            self._store.probe(bucket)
        except PutRefused as refusal:
            if refusal.code == "ConditionalWritesUnsupported":
                raise
            _log.warning("cannot probe whether the bucket replaces objects", bucket=bucket, error=str(refusal))

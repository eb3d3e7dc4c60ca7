"""The spool: an object store of the operator's for what cannot be delivered now."""

from __future__ import annotations

from opentrail_backends.event_bus.port import Message
from opentrail_backends.object_store.port import ObjectAlreadyExists, ObjectStore, PutOptions


class Spool:
    """Keeps poisoned messages, each under the place on the bus that it came from."""

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    def keep_poison(self, topic_id: str, message: Message) -> None:
        """Keeps a message's raw bytes, create-only: keeping it again is no error. Raises ObjectStoreError."""
        region, number = message.partition
        key = f"poison/{region}/{topic_id}/{number}/{message.offset}"
        options = PutOptions(
            metadata={"append-time": str(message.append_time)},
            content_type="application/octet-stream",
            content_encoding=None,
        )
        try:
            self._store.put(self._bucket, key, message.value, options)
        except ObjectAlreadyExists:
            return

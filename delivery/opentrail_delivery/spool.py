"""The spool: an object store of the operator's for what cannot be delivered now."""

from __future__ import annotations

from opentrail_backends.event_bus.port import Message
from opentrail_backends.object_store.port import ObjectAlreadyExists, ObjectStore, PutOptions


class Spool:
    """Keeps messages that cannot be delivered, each under the place on the bus that it came from."""

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    def keep(self, why: str, topic_id: str, message: Message) -> None:
        """Keeps a message's raw bytes, create-only: keeping it again is no error. Raises ObjectStoreError.

        `why`: `poison` (cannot be read) or `dead-letters` (holds events that may have been delivered or not).
        """
        region, number = message.partition
        key = f"{why}/{region}/{topic_id}/{number}/{message.offset}"
        options = PutOptions(
            metadata={"append-time": str(message.append_time)},
            content_type="application/octet-stream",
            content_encoding=None,
        )
        try:
            self._store.put(self._bucket, key, message.value, options)
        except ObjectAlreadyExists:
            return

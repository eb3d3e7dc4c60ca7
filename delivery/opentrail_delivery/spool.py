"""The spool: an object store of the operator's for what cannot be delivered now."""

from __future__ import annotations

from dataclasses import dataclass

from opentrail_backends.event_bus.port import Message
from opentrail_backends.object_store.port import ObjectAlreadyExists, ObjectStore, PutOptions
from opentrail_backends.state.port import ParkedFile


@dataclass(frozen=True, slots=True)
class LogFilePut:
    """A log file on its way to its bucket. The body is the same at each try."""

    incarnation: str
    bucket: str
    key: str
    body: bytes
    sha256: str
    kms_key_id: str | None
    trail_arn: str


class Spool:
    """Keeps messages that cannot be delivered and log files that their bucket does not take. Encrypted by its store.

    Every put is create-only: keeping a thing again is no error.
    """

    def __init__(self, store: ObjectStore, bucket: str) -> None:
        self._store = store
        self._bucket = bucket

    def keep(self, why: str, topic_id: str, message: Message) -> None:
        """Keeps a message's raw bytes under the place on the bus that it came from. Raises ObjectStoreError.

        `why`: `poison` (cannot be read) or `dead-letters` (holds events that may have been delivered or not).
        """
        region, number = message.partition
        key = f"{why}/{region}/{topic_id}/{number}/{message.offset}"
        self._put(key, message.value, {"append-time": str(message.append_time)})

    def park(self, file: LogFilePut) -> None:
        """Keeps a log file with all that its put needs. Raises ObjectStoreError.

        Its name there is the trail's incarnation and the hash, so that a redo of the same file finds itself.
        """
        metadata = {"bucket": file.bucket, "trail-arn": file.trail_arn}
        if file.kms_key_id is not None:
            metadata["kms-key-id"] = file.kms_key_id
        self._put(_parked_key(file.incarnation, file.sha256), file.body, metadata)

    def parked(self, file: ParkedFile) -> LogFilePut:
        """A parked file with all that its put needs. Raises ObjectStoreError."""
        stored = self._store.get(self._bucket, _parked_key(file.incarnation, file.sha256))
        return LogFilePut(
            incarnation=file.incarnation,
            bucket=file.bucket,
            key=file.object_key,
            body=stored.body,
            sha256=file.sha256,
            kms_key_id=stored.metadata.get("kms-key-id"),
            trail_arn=stored.metadata["trail-arn"],
        )

    def _put(self, key: str, body: bytes, metadata: dict[str, str]) -> None:
        options = PutOptions(metadata=metadata, content_type="application/octet-stream", content_encoding=None)
        try:
            self._store.put(self._bucket, key, body, options)
        except ObjectAlreadyExists:
            return


def _parked_key(incarnation: str, sha256: str) -> str:
    return f"parked/{incarnation}/{sha256}"

"""The check at start that a store really honours create-only puts; step 4 of the protocol stands on it."""

from __future__ import annotations

from collections.abc import Callable

from opentrail_backends.object_store.port import ObjectAlreadyExists, ObjectStore, PutOptions, PutRefused

PROBE_KEY = "AWSLogs/.opentrail-probe"
"""A fixed name, so that at most one is left behind where deletes are forbidden; no reader takes it for evidence."""

_OPTIONS = PutOptions(content_type="text/plain", content_encoding=None)


def check_create_only(store: ObjectStore, bucket: str, remove: Callable[[], None]) -> None:
    """Puts the probe twice; the second put must be answered by ObjectAlreadyExists. Then `remove` is called.

    Raises PutRefused with the code ConditionalWritesUnsupported where the second put went through, and whatever a put
    may raise. Several processes may probe at once: only the one whose first put went through removes the object.
    """
    try:
        store.put(bucket, PROBE_KEY, b"first", _OPTIONS)
    except ObjectAlreadyExists:
        return  # somebody's probe lies there and was not replaced: that is the proof
    try:
        store.put(bucket, PROBE_KEY, b"second", _OPTIONS)
    except ObjectAlreadyExists:
        return
    finally:
        remove()
    raise PutRefused(
        f"bucket {bucket!r} replaced an object on a put with `If-None-Match: *`: a store without conditional writes "
        "cannot keep evidence",
        "ConditionalWritesUnsupported",
    )

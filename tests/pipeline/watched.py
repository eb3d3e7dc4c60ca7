"""Stands between a service and its ports: what a test watches, or puts in the place of a member."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from opentrail_backends.object_store.port import ObjectInfo, ObjectStore, PutOptions
from opentrail_backends.object_store.probe import PROBE_KEY

Before = Callable[[str, str, bytes, PutOptions], None]


class WatchedStore:
    """An object store that wakes those who wait for an object, and lets a test do something before a put."""

    def __init__(self, store: ObjectStore) -> None:
        self.inner = store
        self.before_put: Before | None = None
        self.changed = threading.Condition()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def list(self, bucket: str, prefix: str = "", start_after: str = "") -> Iterator[ObjectInfo]:
        """Without the object that lies there for a moment while delivery tries the bucket out."""
        return (info for info in self.inner.list(bucket, prefix, start_after) if info.key != PROBE_KEY)

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        if self.before_put is not None:
            self.before_put(bucket, key, body, options)
        self.inner.put(bucket, key, body, options)
        with self.changed:
            self.changed.notify_all()


class Replaced:
    """An object of which some members are others."""

    def __init__(self, inner: Any, **members: Any) -> None:
        self._inner = inner
        self.__dict__.update(members)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

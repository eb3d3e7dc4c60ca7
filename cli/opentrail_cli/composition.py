"""Opens what the settings name: state store, keys, object store, event bus. Each is opened when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import EventBus, EventBusError
from opentrail_backends.key_management import open_key_management, open_storage_keys
from opentrail_backends.key_management.port import KeyManagement, KeyManagementError
from opentrail_backends.key_management.storage_keys import StorageKeys
from opentrail_backends.notifications import open_notifications
from opentrail_backends.notifications.port import Notifications
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.port import ObjectStore, ObjectStoreError
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import StateError, StateStore
from opentrail_cli.credentials import secret_key_at
from opentrail_cli.errors import CommandFailed
from opentrail_cli.settings import Settings

T = TypeVar("T")

BACKEND_ERRORS = (StateError, EventBusError, KeyManagementError, ObjectStoreError)
"""What a backend may raise; the message says what to do."""


class Parts:
    """The backends of one process, opened at first use and closed together. Raises CommandFailed if one cannot be."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._open = ExitStack()

    @cached_property
    def secret_key(self) -> bytes:
        """The key that encrypts access keys' secrets."""
        return secret_key_at(self.settings.secret_key_file or self.settings.data_directory.resolve() / "secret.key")

    @cached_property
    def state(self) -> StateStore:
        """The state store, brought to this release's schema."""
        url = self.settings.url_of("state")
        self._make_folder_of(url)
        store = _opened("state store", lambda: open_state_store(url, secret_key=self.secret_key))
        self._open.callback(store.close)
        _opened("state store", store.migrate)
        return store

    @cached_property
    def keys(self) -> KeyManagement:
        """The key management."""
        return _opened("key management", lambda: open_key_management(self.settings.url_of("keys")))

    @cached_property
    def storage_keys(self) -> StorageKeys:
        """The keys that trails may name for their objects."""
        url, store_url = self.settings.storage_keys, self.settings.url_of("object_store")
        return _opened("trails' keys", lambda: open_storage_keys(url, store_url))

    @cached_property
    def notifications(self) -> Notifications:
        """Trails' topics."""
        return _opened("notifications", lambda: open_notifications(self.settings.notifications))

    @cached_property
    def object_store(self) -> ObjectStore:
        """Where log files and digests go."""
        return self._opened_store(self.settings.url_of("object_store"))

    @cached_property
    def spool_store(self) -> ObjectStore:
        """Where that goes which cannot be delivered now."""
        return self._opened_store(self.settings.url_of("spool"))

    @cached_property
    def event_bus(self) -> EventBus:
        """The event bus."""
        url = self.settings.url_of("event_bus")
        self._make_folder_of(url)
        bus = _opened("event bus", lambda: open_event_bus(url))
        self._open.callback(bus.close)
        return bus

    @property
    def is_embedded(self) -> bool:
        """Whether log files lie in a local directory."""
        return self.settings.url_of("object_store").startswith("file:")

    def close(self) -> None:
        """Closes what was opened."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened_store(self, url: str) -> ObjectStore:
        keys = self.keys if url.startswith("file:") else None
        store = _opened("object store", lambda: open_object_store(url, keys))
        self._open.callback(store.close)
        return store

    def _make_folder_of(self, url: str) -> None:
        """The folder of a file that a URL names, if it is in the data directory."""
        directory = self.settings.data_directory.resolve()
        path = Path("/" + urlsplit(url).path.lstrip("/"))
        if path.is_relative_to(directory):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise CommandFailed(f"The data directory {directory} cannot be made: {error.strerror}.") from error


def _opened(what: str, opening: Callable[[], T]) -> T:
    try:
        return opening()
    except (ValueError, *BACKEND_ERRORS) as error:
        raise CommandFailed(f"The {what} cannot be used: {error}") from error

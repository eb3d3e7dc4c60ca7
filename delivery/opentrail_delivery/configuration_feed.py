"""The configuration's revisions, as far as this process knows them."""

from __future__ import annotations

import threading

from opentrail.trails.configuration import Configuration, ConfigurationHistory
from opentrail_backends.state.port import ConfigurationStore


class ConfigurationFeed:
    """Follows the configuration store. Safe for use by several threads."""

    def __init__(self, store: ConfigurationStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.history = ConfigurationHistory()

    def refresh(self) -> Configuration:
        """Asks for newer revisions and returns the newest. Raises StateError."""
        with self._lock:
            self.history.extend(self._store.changes_after(self.history.newest.revision))
            return self.history.newest

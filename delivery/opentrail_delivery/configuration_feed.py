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

    def topic_of(self, incarnation: str) -> str | None:
        """The topic of a trail as far as this process knows; of one that is gone: the one that it had last."""
        trail = self.history.newest.trails.get(incarnation) or next(self.history.forms_of(incarnation), None)
        return trail.sns_topic_arn if trail else None

    def refresh(self) -> Configuration:
        """Asks for newer revisions and returns the newest. Raises StateError."""
        with self._lock:
            self.history.extend(self._store.changes_after(self.history.newest.revision))
            return self.history.newest

"""What an operation may use to answer."""

from __future__ import annotations

from dataclasses import dataclass

from opentrail.trails.configuration import Configuration, ConfigurationHistory
from opentrail_backends.state.port import StateStore


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, from which region, and what is known."""

    account_id: str
    region: str
    """The region of the signature's scope: where the caller believes to be."""
    access_key_id: str
    history: ConfigurationHistory
    state: StateStore
    now: int
    """Epoch seconds."""

    @property
    def configuration(self) -> Configuration:
        """The newest configuration."""
        return self.history.newest

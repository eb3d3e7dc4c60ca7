"""How many requests an account makes: counted in the store, so that all processes count together."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Taken(NamedTuple):
    """How many requests were taken, and the milliseconds after which the next one would be (0: all were taken)."""

    requests: int
    wait_ms: int


class RequestRates(Protocol):
    """Sliding windows: in no `window_ms` are more than `limit` requests taken, whichever process is asked."""

    def take(
        self, account_id: str, region: str, operation_class: str, limit: int, window_ms: int = 1_000, wanted: int = 1
    ) -> Taken:
        """Takes as many of the `wanted` requests as there is room for.

        A refusal takes nothing. Raises StateError; ValueError for what could never be taken.
        """
        ...

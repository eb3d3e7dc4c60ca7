"""How many requests an account makes: counted in the store, so that all processes count together."""

from __future__ import annotations

from typing import Protocol


class RequestRates(Protocol):
    """Sliding windows: in no `window_ms` are more than `limit` requests taken, whichever process is asked."""

    def take(self, account_id: str, region: str, operation_class: str, limit: int, window_ms: int = 1_000) -> int:
        """Takes one request: 0; or refuses it: the milliseconds after which one would be taken (at least 1).

        A refusal takes nothing. Raises StateError.
        """
        ...

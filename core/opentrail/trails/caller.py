"""Who asks for something: an account, from a region."""

from __future__ import annotations

from typing import NamedTuple


class Caller(NamedTuple):
    """An account as it calls the API."""

    account_id: str
    region: str
    """Where the call was made."""

"""The `eventID` of records that bring none.

A numbered event's is a function of who sent it and its number, so that each producer that is asked again gives the
same one (design, section 3, "Numbers of clients"). Any other is random.
"""

from __future__ import annotations

import uuid

NUMBERED_EVENTS = uuid.UUID("ab5140ae-d10e-47e3-8c33-a9a40f73fbf7")
"""Namespace of numbered events' ids (RFC 9562, section 5.5). Fixed for ever: another one would give other ids."""


def numbered_event_id(account_id: str, region: str, client_id: bytes, number: int) -> str:
    """UUIDv5 of `<account>/<region>/<client id in lower-case hex>/<number in decimal>` in the namespace above.

    The region is part of it because clients count for each region by itself.
    """
    return str(uuid.uuid5(NUMBERED_EVENTS, f"{account_id}/{region}/{client_id.hex()}/{number}"))


def random_event_id() -> str:
    """A UUIDv4."""
    return str(uuid.uuid4())

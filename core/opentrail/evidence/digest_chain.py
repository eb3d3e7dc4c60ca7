"""The digest chain: when digests end, and how each is tied to the one before. Times are seconds since the epoch.

A chain starts with a starting digest each time that logging, or log file validation, is switched on. Then there is
a digest for each hour, also for an hour without log files; each names its predecessor's place, hash and signature.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final

from opentrail.evidence.digest import PreviousDigest

HOUR: Final = 3600


class LinkDefect(StrEnum):
    """In what a digest does not follow the one that was found before it."""

    LOCATION = "location"
    HASH = "hash"
    SIGNATURE = "signature"


def first_end(started_at: int, line: str, period: int = HOUR) -> int:
    """When a chain's first digest ends: in (started_at, started_at + period].

    What the chain belongs to (`line`) spreads the ends over the period: not all chains of a region are due at once.
    """
    spread = int.from_bytes(hashlib.sha256(line.encode()).digest()[:8]) % period
    return started_at + 1 + spread


def next_end(previous_end: int, period: int = HOUR) -> int:
    """When the digest after one that ends at `previous_end` ends: a period later, by default an hour."""
    return previous_end + period


def link(digest_bytes: bytes, signature: str, bucket: str, key: str) -> PreviousDigest:
    """What the next digest says of this one: its place, the hash of its uncompressed bytes, its signature (hex)."""
    return PreviousDigest(bucket, key, hashlib.sha256(digest_bytes).hexdigest(), signature)

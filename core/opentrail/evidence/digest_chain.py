"""The digest chain: when digests end, and how each is tied to the one before. Times are seconds since the epoch.

A chain starts with a starting digest each time that logging, or log file validation, is switched on. Then there is
a digest for each hour, also for an hour without log files; each names its predecessor's place, hash and signature.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final

from opentrail.evidence.digest import Digest, PreviousDigest

HOUR: Final = 3600


class LinkDefect(StrEnum):
    """In what a digest does not follow the one that was found before it."""

    LOCATION = "location"
    HASH = "hash"
    SIGNATURE = "signature"
    TIME = "time"


def first_end(started_at: int, chain_id: str, period: int = HOUR) -> int:
    """When a chain's first digest ends: in (started_at, started_at + period].

    The chain's id spreads the ends over the period, so that not all chains of a region are due at once.
    """
    spread = int.from_bytes(hashlib.sha256(chain_id.encode()).digest()[:8]) % period
    return started_at + 1 + spread


def next_end(previous_end: int, period: int = HOUR) -> int:
    """When the digest after one that ends at `previous_end` ends: a period later, by default an hour."""
    return previous_end + period


def rising_end(end: int, last_end: int | None) -> int:
    """`end`, or as much later as needed to be at least a second after `last_end`.

    The stamp is the digest's name: under one bucket, prefix, account, region, trail name and home region it must rise,
    also from one incarnation of the trail to the next. `last_end` is the newest end there; None: none.
    """
    return end if last_end is None else max(end, last_end + 1)


def link(digest_bytes: bytes, signature: str, bucket: str, key: str) -> PreviousDigest:
    """What the next digest says of this one: its place, the hash of its uncompressed bytes, its signature (hex)."""
    return PreviousDigest(bucket, key, hashlib.sha256(digest_bytes).hexdigest(), signature)


def follows(previous: PreviousDigest, previous_end: int, current: Digest) -> tuple[LinkDefect, ...]:
    """Compares what `current` says of its predecessor with the facts; empty if it follows.

    `previous` is `link()` of the digest that was found, `previous_end` its end. A starting digest follows nothing: all
    but the time is then a defect.
    """
    claimed = current.previous
    defects = []
    if claimed is None or (claimed.s3_bucket, claimed.s3_object) != (previous.s3_bucket, previous.s3_object):
        defects.append(LinkDefect.LOCATION)
    if claimed is None or claimed.hash_value != previous.hash_value:
        defects.append(LinkDefect.HASH)
    if claimed is None or claimed.signature.lower() != previous.signature.lower():
        defects.append(LinkDefect.SIGNATURE)
    if current.start != previous_end:
        defects.append(LinkDefect.TIME)
    return tuple(defects)

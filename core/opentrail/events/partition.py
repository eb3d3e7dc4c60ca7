"""Which partition of a region's topic an account's events go to."""

from __future__ import annotations

from hashlib import sha256


def partition_of(account_id: str, partitions: int) -> int:
    """The partition of an account: its own in each count of partitions, the same in every client library.

    The first 8 bytes of SHA-256 over the account id in ASCII, read as an unsigned big-endian number,
    modulo the count that is recorded beside the topic's id. Raises ValueError if there is no partition.
    """
    if partitions < 1:
        raise ValueError(f"a topic has at least one partition, not {partitions}")
    return int.from_bytes(sha256(account_id.encode()).digest()[:8], "big") % partitions

"""The Merkle tree of RFC 9162, as the RFC's own recursion has it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def root_of(records: Sequence[bytes]) -> bytes:
    """MTH(D[n]) of RFC 9162 §2.1.1 over SHA-256."""
    if len(records) < 2:
        return hashlib.sha256(b"\x00" + records[0] if records else b"").digest()
    half = 1 << ((len(records) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + root_of(records[:half]) + root_of(records[half:])).digest()

"""Signing keys as auditors see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A region's signing key as auditors see it, and how to find its private half."""

    region: str
    fingerprint: str
    """MD5 of the DER bytes in lower-case hex (CloudTrail: ListPublicKeys)."""
    der: bytes
    """PKCS#1 RSAPublicKey."""
    valid_from: int
    valid_until: int
    """Seconds since the epoch; a key signs only digests whose end lies in [valid_from, valid_until]."""
    reference: str


class PublicKeys(Protocol):
    """Signing keys of all regions."""

    def add(self, key: PublicKey) -> PublicKey:
        """Adds a key unless one of its region already covers `valid_from`; returns the one that does.

        Of processes that add at once, one wins and all get its key.
        """
        ...

    def covering(self, region: str, seconds: int) -> PublicKey | None:
        """The key whose validity holds a time; of two, the one that became valid later."""
        ...

    def between(self, region: str, start_seconds: int, end_seconds: int) -> Sequence[PublicKey]:
        """Keys whose validity meets a range, by `valid_from` (ListPublicKeys)."""
        ...

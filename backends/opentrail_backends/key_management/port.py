"""Key management: private keys that sign digests and data keys that encrypt objects at rest.

Public keys, their validity and which key is current are kept in the state store; a private half never
leaves its key management. Key pairs are RSA-2048, signatures PKCS#1 v1.5 over SHA-256 (CloudTrail: digests).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class SigningKey(NamedTuple):
    """A key pair: how to find the private half, and the public half as PKCS#1 DER."""

    reference: str
    public_key: bytes


class DataKey(NamedTuple):
    """A fresh 256-bit key, plain and wrapped under the store's key."""

    plaintext: bytes
    wrapped: bytes


class KeyManagementError(Exception):
    """The key management refused or could not be reached; the message says what to do."""


class KeyNotFound(KeyManagementError):
    """There is no such key, or its private half was destroyed."""


class KeyManagement(Protocol):
    """Safe for use by several threads and processes."""

    def create_signing_key(self, region: str) -> SigningKey:
        """Makes an RSA-2048 pair for a region's digests; durable on return."""
        ...

    def sign(self, reference: str, message: bytes) -> bytes:
        """PKCS#1 v1.5 signature over SHA-256 of `message` (256 bytes). Raises KeyNotFound, KeyManagementError."""
        ...

    def destroy_signing_key(self, reference: str) -> None:
        """Destroys the private half for good; destroying it again is no error."""
        ...

    def generate_data_key(self, context: Mapping[str, str]) -> DataKey:
        """A fresh data key for one object; the context is authenticated with it."""
        ...

    def decrypt_data_key(self, wrapped: bytes, context: Mapping[str, str]) -> bytes:
        """The plain data key. Raises KeyManagementError if key or context do not fit."""
        ...

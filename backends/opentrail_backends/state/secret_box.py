"""Encryption of access keys' secrets at rest: AES-256-GCM (NIST SP 800-38D)."""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opentrail_backends.state.port import StateError

_FORMAT = b"\x01"
_NONCE_BYTES = 12
_KEY_BYTES = 32


class SecretBox:
    """Encrypts and decrypts secrets under one key, each bound to its row: moved to another row it is refused."""

    def __init__(self, key: bytes | None) -> None:
        if key is not None and len(key) != _KEY_BYTES:
            raise StateError(f"The state store's secret key must have {_KEY_BYTES} bytes, this one has {len(key)}.")
        self._cipher = None if key is None else AESGCM(key)

    def seal(self, secret: str, bound_to: str) -> bytes:
        """Format byte, random nonce, ciphertext with tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._key().encrypt(nonce, secret.encode(), bound_to.encode())

    def open(self, sealed: bytes, bound_to: str) -> str:
        """The secret. Raises StateError if it was sealed under another key, for another row, or by a newer release."""
        if sealed[:1] != _FORMAT:
            raise StateError(
                "An access key's secret is in a format that this release does not know: use the newer release."
            )
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._key().decrypt(nonce, ciphertext, bound_to.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise StateError(
                "An access key's secret cannot be decrypted: the store was opened with another secret key than "
                "the one it was written with, or its row was altered."
            ) from error

    def _key(self) -> AESGCM:
        if self._cipher is None:
            raise StateError("Access keys need a secret key: open the state store with the one that encrypts them.")
        return self._cipher

"""Key management in memory: a fast, deterministic stand-in for signatures that the checker can verify."""

from __future__ import annotations

import hashlib

from opentrail.evidence.signature import BadSignature
from opentrail_backends.key_management.port import KeyNotFound, SigningKey


class FakeKeys:
    """A key pair is a name; its signature is a hash over the name and the message."""

    def __init__(self) -> None:
        self.made = 0
        self.destroyed: set[str] = set()

    def create_signing_key(self, region: str) -> SigningKey:
        self.made += 1
        reference = f"{region}/{self.made}"
        return SigningKey(reference, _public(reference))

    def sign(self, reference: str, message: bytes) -> bytes:
        if reference in self.destroyed:
            raise KeyNotFound(f"{reference} was destroyed")
        return _signature(_public(reference), message)

    def destroy_signing_key(self, reference: str) -> None:
        self.destroyed.add(reference)


def verify(der: bytes, signature_hex: str, message: bytes) -> None:
    """As `opentrail.evidence.signature.verify`, for these keys. Raises BadSignature."""
    if signature_hex != _signature(der, message).hex():
        raise BadSignature("the signature does not fit")


def _public(reference: str) -> bytes:
    return f"public half of {reference}".encode()


def _signature(der: bytes, message: bytes) -> bytes:
    return hashlib.sha256(der + b"\n" + message).digest()

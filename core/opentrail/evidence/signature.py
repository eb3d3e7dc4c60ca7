"""Signatures of digests: RSA-2048, PKCS#1 v1.5, SHA-256; public keys as CloudTrail's ListPublicKeys gives them.

A public key is the DER form of PKCS#1 RSAPublicKey (RFC 8017, A.1.1), not SubjectPublicKeyInfo; its fingerprint is the
MD5 of those bytes in lower-case hex. The fingerprint only names a key: nothing rests on MD5.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

KEY_BITS: Final = 2048
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")


class BadSignature(Exception):
    """The signature is not that of this message and key."""


class MalformedKeyError(ValueError):
    """The bytes are not a PKCS#1 RSAPublicKey of 2048 bits or more in DER."""


def fingerprint(der: bytes) -> str:
    """The name of a public key: MD5 of its DER bytes, 32 lower-case hex digits."""
    return hashlib.md5(der, usedforsecurity=False).hexdigest()


def verify(der: bytes, signature_hex: str, message: bytes) -> None:
    """Returns if the signature (hex) is the key's over `message`; else raises BadSignature or MalformedKeyError."""
    public_key = _load(der)
    if not _HEX.fullmatch(signature_hex):
        raise BadSignature("the signature is not hex")
    try:
        public_key.verify(bytes.fromhex(signature_hex), message, PKCS1v15(), SHA256())
    except InvalidSignature:
        raise BadSignature("the signature does not fit") from None


def sign(private_key: RSAPrivateKey, message: bytes) -> bytes:
    """The signature over SHA-256 of `message`: 256 bytes with a key of 2048 bits."""
    return private_key.sign(message, PKCS1v15(), SHA256())


def public_key_der(private_key: RSAPrivateKey) -> bytes:
    """The public half as PKCS#1 DER."""
    return _encode(private_key.public_key())


def _encode(public_key: RSAPublicKey) -> bytes:
    return public_key.public_bytes(Encoding.DER, PublicFormat.PKCS1)


@lru_cache(maxsize=64)
def _load(der: bytes) -> RSAPublicKey:
    """Loads a key. The library takes other forms too, so the key must encode to the same bytes again."""
    try:
        public_key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedKeyError("not a public key in DER") from None
    if not isinstance(public_key, RSAPublicKey) or public_key.key_size < KEY_BITS or _encode(public_key) != der:
        raise MalformedKeyError(f"not a PKCS#1 RSAPublicKey of at least {KEY_BITS} bits")
    if public_key.public_numbers().e % 2 == 0:  # cryptography loads such a key before its release 50
        raise MalformedKeyError("its exponent is even")
    return public_key

"""Reads the keys of a local key folder, as a thief would who has all of it (docs/keys.md has the format)."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"OPENTRAIL-SIGNING-KEY 1\n"
NONCE = 12


def storage_key(folder: Path) -> bytes:
    """What wraps the data keys of objects."""
    return base64.b64decode((folder / "storage.key").read_bytes())


def signing_keys(folder: Path) -> dict[str, rsa.RSAPrivateKey]:
    """All private keys, by fingerprint."""
    master = AESGCM((folder / "master.key").read_bytes())
    found = {}
    for file in sorted((folder / "signing").iterdir()):
        sealed = file.read_bytes().removeprefix(MAGIC)
        plain = master.decrypt(sealed[:NONCE], sealed[NONCE:], MAGIC + file.name.encode())
        private_key = serialization.load_der_private_key(plain, None)
        assert isinstance(private_key, rsa.RSAPrivateKey)
        public = private_key.public_key()
        der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
        found[hashlib.md5(der).hexdigest()] = private_key
    return found

"""Keys for one purpose each, from the installation's secret key: who learns one learns none of the others."""

from __future__ import annotations

import hmac
from hashlib import sha256


def derived_key(secret_key: bytes, purpose: str) -> bytes:
    """32 bytes that only `secret_key` and `purpose` give (HMAC-SHA-256)."""
    return hmac.digest(secret_key, f"opentrail control plane: {purpose}".encode(), sha256)

"""Who is calling: the operator, by a bearer token."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence


class Unauthenticated(Exception):
    """There is no token, or another one. The message may go to the caller."""


class TokenAuthentication:
    """Knows the one token by its SHA-256. How long a comparison takes tells nothing about the token."""

    def __init__(self, token_sha256: bytes) -> None:
        self._expected = token_sha256

    def check(self, metadata: Sequence[tuple[str, str | bytes]]) -> None:
        """Raises Unauthenticated unless the call's metadata has the token (RFC 6750), once."""
        values = [value for key, value in metadata if key == "authorization"]
        if not values:
            raise Unauthenticated("credentials are missing: send `authorization: Bearer <token>`")
        if len(values) > 1:
            raise Unauthenticated("there is more than one authorization header")
        scheme, _, token = str(values[0]).partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("the authorization header must be `Bearer <token>`")
        shown = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        if not hmac.compare_digest(shown, self._expected):
            raise Unauthenticated("the bearer token is not the operator's")

"""Tokens of the next page: sealed, and bound to the query whose page they continue.

A caller can neither read nor make one, nor use it with other parameters (reference §7, *NextToken*). Nothing is kept
for them: they are good for as long as the installation's key is.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opentrail_control_plane.derived_keys import derived_key

MAX_TOKEN_CHARACTERS = 1000
"""CloudTrail's longest PaginationToken."""

_NONCE_BYTES = 12


def seal(token_key: bytes, query: Mapping[str, Any], place: Sequence[int | str]) -> str:
    """The token for the page behind `place`.

    Args:
        token_key: the installation's, `Ports.token_key`.
        query: all that the page depends on, the operation, account and region included: JSON-able values.
        place: where the next page begins, for `opened` to give back. At most about 600 bytes as JSON.
    """
    nonce = os.urandom(_NONCE_BYTES)
    sealed = nonce + _cipher(token_key).encrypt(nonce, msgspec.json.encode(list(place)), _bound_to(query))
    return base64.urlsafe_b64encode(sealed).decode("ascii")


def opened(token_key: bytes, query: Mapping[str, Any], token: str) -> list[Any] | None:
    """The place that was sealed; None if the token is not ours, or of another query."""
    if len(token) > MAX_TOKEN_CHARACTERS:
        return None
    try:
        sealed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        place = _cipher(token_key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(query))
    except (binascii.Error, ValueError, InvalidTag):
        return None
    return msgspec.json.decode(place, type=list)


def _cipher(token_key: bytes) -> AESGCM:
    return AESGCM(derived_key(token_key, "paging"))


def _bound_to(query: Mapping[str, Any]) -> bytes:
    return sha256(msgspec.json.encode(query, order="deterministic")).digest()

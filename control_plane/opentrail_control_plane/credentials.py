"""Access keys: those that accounts keep, and those of sessions, which STS GetSessionToken gives out.

A session is kept nowhere: its token says what it is, sealed (AES-256-GCM, NIST SP 800-38D) under a key that only the
installation has. It ends at its time, or once the access key that it was got with is removed.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opentrail_backends.state.port import AccessKey
from opentrail_control_plane.derived_keys import derived_key
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.operations.context import Identity
from opentrail_control_plane.roles import ADMIN, READ_ONLY
from opentrail_control_plane.signature_v4 import SigningKey

DEFAULT_SESSION = 43_200
"""Seconds (STS: GetSessionToken, DurationSeconds)."""

_NONCE_BYTES = 12
_PURPOSE = b"session 1"
_KEY_ID = re.compile(r"[A-Za-z0-9_]{1,128}")


class _Session(msgspec.Struct, frozen=True, array_like=True):
    """What a session token holds."""

    access_key_id: str
    secret: str
    account_id: str
    base_key_id: str
    user_name: str
    role: str
    created_at: int
    expires_at: int
    """Epoch seconds."""


@dataclass(frozen=True, slots=True)
class TemporaryCredentials:
    """What a session is used with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at: int
    """Epoch seconds."""


class Credentials:
    """The keys that requests may be signed with. Safe for use by several threads."""

    def __init__(self, token_key: bytes, find_access_key: Callable[[str], AccessKey | None]) -> None:
        """`token_key` is the installation's, the same in all its processes; `find_access_key` raises StateError."""
        self._cipher = AESGCM(derived_key(token_key, "session tokens"))
        self._find_access_key = find_access_key

    def find(self, access_key_id: str, session_token: str | None, now: float) -> SigningKey:
        """The key for an access key id and the session token sent with it.

        Raises ApiError: UnrecognizedClientException, ExpiredTokenException.
        """
        if session_token is not None:
            return self._of_session(access_key_id, session_token, now)
        key = self._known(access_key_id)
        identity = Identity(key.access_key_id, key.name, key.role)
        return SigningKey(key.secret_access_key, key.account_id, identity)

    def session(self, account_id: str, identity: Identity, seconds: int, now: int) -> TemporaryCredentials:
        """New credentials with the rights of a long-lived key's."""
        session = _Session(
            access_key_id="ASIA" + base64.b32encode(os.urandom(10)).decode("ascii"),
            secret=base64.b64encode(os.urandom(30)).decode("ascii"),
            account_id=account_id,
            base_key_id=identity.access_key_id,
            user_name=identity.user_name,
            role=identity.role,
            created_at=now,
            expires_at=now + seconds,
        )
        return TemporaryCredentials(session.access_key_id, session.secret, self._sealed(session), session.expires_at)

    def _of_session(self, access_key_id: str, token: str, now: float) -> SigningKey:
        session = self._opened(token)
        if session is None or session.access_key_id != access_key_id:
            raise _unrecognized()
        if now >= session.expires_at:
            raise ApiError("ExpiredTokenException", "The security token included in the request is expired", 403)
        base = self._known(session.base_key_id)
        if base.account_id != session.account_id:
            raise _unrecognized()
        # A key that was made read-only meanwhile has no sessions that may more.
        role = ADMIN if session.role == base.role == ADMIN else READ_ONLY
        identity = Identity(session.access_key_id, session.user_name, role, session.created_at)
        return SigningKey(session.secret, session.account_id, identity)

    def _known(self, access_key_id: str) -> AccessKey:
        key = self._find_access_key(access_key_id) if _KEY_ID.fullmatch(access_key_id) else None
        if key is None:
            raise _unrecognized()
        return key

    def _sealed(self, session: _Session) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, msgspec.json.encode(session), _PURPOSE)
        return base64.b64encode(sealed).decode("ascii")

    def _opened(self, token: str) -> _Session | None:
        try:
            sealed = base64.b64decode(token, validate=True)
            plain = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _PURPOSE)
        except (binascii.Error, ValueError, InvalidTag):
            return None
        return msgspec.json.decode(plain, type=_Session)


def _unrecognized() -> ApiError:
    return ApiError("UnrecognizedClientException", "The security token included in the request is invalid.", 403)

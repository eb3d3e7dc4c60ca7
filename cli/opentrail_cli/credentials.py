"""Tokens and access keys that are made here, shown once, and never kept in the clear.

They are derived from the installation's secret key and their name (HMAC-SHA256), so that applying a file
again makes the same ones: what the state store knows already is not new and is not shown again.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from opentrail_backends.durable_files import create_private
from opentrail_backends.state.port import AccessKey
from opentrail_cli.errors import CommandFailed

SECRET_KEY_BYTES = 32
SHORTEST_TOKEN = 32
"""Characters of a token that an operator made: room for 128 random bits."""


def secret_key_at(path: Path) -> bytes:
    """The secret key in a file that only its owner can read; made if there is none. Raises CommandFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            create_private(path, secrets.token_bytes(SECRET_KEY_BYTES))
        key = path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"The secret key {path} cannot be used: {error.strerror}.") from error
    if len(key) != SECRET_KEY_BYTES:
        raise CommandFailed(f"The secret key {path} must have {SECRET_KEY_BYTES} bytes, not {len(key)}.")
    return key


def operator_token_at(path: Path) -> str:
    """The operator's bearer token in a file that only its owner can read; made if missing. Raises CommandFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            create_private(path, f"otv_{secrets.token_urlsafe(32)}\n".encode())
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"The token file {path} cannot be used: {error}.") from error
    if len(token) < SHORTEST_TOKEN:
        raise CommandFailed(f"The token in {path} is too short: it must have at least {SHORTEST_TOKEN} characters.")
    return token


def make_token(secret_key: bytes, account_id: str, name: str) -> str:
    """The bearer token of an account with a name: 256 bits, URL-safe."""
    return "ot_" + base64.urlsafe_b64encode(_derive(secret_key, "token", account_id, name)).decode().rstrip("=")


def token_hash(token: str) -> bytes:
    """What the state store keeps of a token."""
    return sha256(token.encode()).digest()


def make_access_key(secret_key: bytes, account_id: str, name: str, role: str) -> AccessKey:
    """The access key of an account with a name, in the form that AWS clients expect."""
    public = base64.b32encode(_derive(secret_key, "access key id", account_id, name)).decode()
    secret = base64.b64encode(_derive(secret_key, "secret access key", account_id, name)).decode()
    return AccessKey("AKIA" + public[:16], secret[:40], account_id, role, name)


def _derive(secret_key: bytes, *names: str) -> bytes:
    return hmac.digest(secret_key, "\n".join(("opentrail", *names)).encode(), sha256)

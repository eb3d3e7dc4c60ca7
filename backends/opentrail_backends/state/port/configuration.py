"""The configuration with its revisions, and credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from opentrail.trails.configuration import Change, Kind
from opentrail_backends.state.port.api_calls import NewCall


class NewChange(NamedTuple):
    """A change that is to get the next revision."""

    kind: Kind
    id: str
    body: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key of an account, for the API. The secret is encrypted at rest and shown once."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    account_id: str = ""
    role: str = "admin"
    name: str = ""
    """Who uses it: the user's name in the records of its calls. Empty if an older release kept the key."""


@dataclass(frozen=True, slots=True)
class ProducerToken:
    """What is kept of a bearer token of those who send events."""

    token_hash: bytes
    account_id: str
    name: str
    expires_at: int | None
    """By the store's clock (ms); from then on it is unknown. None: valid for good."""


class ConfigurationStore(Protocol):
    """Revisions of trails, organizations and accounts, and credentials."""

    def now(self) -> int:
        """The store's clock."""
        ...

    def changes_after(self, revision: int) -> Sequence[Change]:
        """All changes with a higher revision, in order."""
        ...

    def apply(
        self, changes: Sequence[NewChange], expected_revision: int | None = None, calls: Sequence[NewCall] = ()
    ) -> int:
        """Adds changes, each with the next revision, all with rising times; returns the newest revision.

        `calls` that made them are kept in the same transaction: changes and calls, or neither. They are judged by the
        revision before the first change (see PendingCall.judged_at); without changes, as `ApiCalls.record` keeps them.

        Raises RevisionConflict if `expected_revision` is given and is not the newest one.
        """
        ...

    def add_token(self, token_hash: bytes, account_id: str, name: str, expires_at: int | None = None) -> None:
        """Keeps the SHA-256 of a producer's bearer token, never the token itself.

        The same hash again replaces account, name and end. Raises ValueError on what is no SHA-256.
        """
        ...

    def account_of_token(self, token_hash: bytes) -> str | None:
        """The account of a token that has not expired."""
        ...

    def tokens(self, account_id: str) -> Sequence[ProducerToken]:
        """The tokens of an account by name and hash, those too that have expired and are not forgotten yet."""
        ...

    def remove_token(self, token_hash: bytes) -> bool:
        """Makes a token unknown; whether it was known."""
        ...

    def put_access_key(self, key: AccessKey) -> None:
        """Keeps an access key, its secret encrypted; the same id again replaces the rest.

        Raises StateError if the store was opened without a secret key.
        """
        ...

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """An access key with its secret. Raises StateError if the secret key is not the one it was kept under."""
        ...

    def access_keys(self, account_id: str) -> Sequence[AccessKey]:
        """The access keys of an account by id, their secrets left empty: needs no secret key."""
        ...

    def remove_access_key(self, access_key_id: str) -> bool:
        """Makes an access key unknown; whether it was known."""
        ...

"""Applying a declaration to a state store: once, or again and again with the same result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from opentrail.trails.configuration import Configuration, ConfigurationHistory
from opentrail_backends.state.port import AccessKey, ConfigurationStore, NewChange, RevisionConflict
from opentrail_cli.credentials import make_access_key, make_token, token_hash
from opentrail_cli.declared import Declaration, Places
from opentrail_cli.declared_changes import changes_of
from opentrail_cli.errors import CommandFailed

_TRIES = 5


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was made now; it is shown once."""

    account_id: str
    name: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Applied:
    """What applying did."""

    changes: Sequence[NewChange]
    configuration: Configuration
    """The newest one, afterwards."""
    new_tokens: Sequence[NewToken]
    new_access_keys: Sequence[AccessKey]


def apply_declaration(
    declaration: Declaration,
    store: ConfigurationStore,
    secret_key: bytes,
    *,
    prune: bool = False,
    places: Places | None = None,
) -> Applied:
    """Makes the configuration what the declaration says, then the credentials that are missing.

    Raises Mistakes, StateError, and CommandFailed if others change the configuration all the time.
    """
    changes = _apply_changes(declaration, store, prune, places)
    tokens = _add_tokens(declaration, store, secret_key)
    keys = _add_access_keys(declaration, store, secret_key)
    return Applied(changes, newest_configuration(store), tokens, keys)


def newest_configuration(store: ConfigurationStore) -> Configuration:
    """The configuration after all changes."""
    return ConfigurationHistory(store.changes_after(0)).newest


def _apply_changes(
    declaration: Declaration, store: ConfigurationStore, prune: bool, places: Places | None
) -> Sequence[NewChange]:
    for _ in range(_TRIES):
        before = newest_configuration(store)
        changes = changes_of(
            declaration,
            before,
            now=store.now(),
            new_incarnation=lambda: str(uuid4()),
            prune=prune,
            places=places,
        )
        if not changes:
            return ()
        try:
            store.apply(changes, expected_revision=before.revision)
        except RevisionConflict:
            continue  # someone else was faster: what is still to be done is found anew
        return changes
    raise CommandFailed("The configuration is being changed by others all the time; try again later.")


def _add_tokens(declaration: Declaration, store: ConfigurationStore, secret_key: bytes) -> Sequence[NewToken]:
    now, made = store.now(), []
    for declared in declaration.tokens:
        expires_at = None if declared.expires_at is None else int(declared.expires_at.timestamp() * 1000)
        token = make_token(secret_key, declared.account_id, declared.name)
        kept = token_hash(token) if declared.sha256 is None else bytes.fromhex(declared.sha256)
        if store.account_of_token(kept) is None:
            if expires_at is not None and expires_at <= now:
                continue
            if declared.sha256 is None:
                made.append(NewToken(declared.account_id, declared.name, token))
        store.add_token(kept, declared.account_id, declared.name, expires_at)  # a known one may end now
    return made


def _add_access_keys(declaration: Declaration, store: ConfigurationStore, secret_key: bytes) -> Sequence[AccessKey]:
    made = []
    for declared in declaration.access_keys:
        key = make_access_key(secret_key, declared.account_id, declared.name, declared.role)
        known = store.access_key(key.access_key_id)
        if known is None:
            made.append(key)
        if known != key:
            store.put_access_key(key)
    return made

"""Tokens for `opentrail ingest` on the machine where OpenTrail runs: who owns the data directory needs no token."""

from __future__ import annotations

import re
from pathlib import Path

from opentrail_cli.apply import apply_declaration, newest_configuration
from opentrail_cli.composition import Parts
from opentrail_cli.credentials import make_token, token_hash
from opentrail_cli.declared import Declaration
from opentrail_cli.errors import CommandFailed
from opentrail_cli.first_account import first_account
from opentrail_cli.ingest import UnknownAccount
from opentrail_cli.services import make_buckets

TOKEN_NAME = "ingest"  # noqa: S105 - a name, not a token
_ACCOUNT_ID = re.compile(r"[0-9]{12}")


class LocalTokens:
    """Gives each account of this installation a token; others only if they may be added."""

    def __init__(self, parts: Parts, *, add_accounts: bool) -> None:
        self._parts = parts
        self._add_accounts = add_accounts
        self._known = set(newest_configuration(parts.state.configuration).accounts)
        self._tokens: dict[str, str] = {}
        self.added: list[str] = []

    def token_for(self, account_id: str | None) -> str:
        """The token of a record's account; a record that names none belongs to the only account.

        Raises UnknownAccount, and CommandFailed if the account cannot be added.
        """
        account_id = account_id or self._only_account()
        token = self._tokens.get(account_id)
        if token is None:
            if account_id not in self._known:
                self._add(account_id)
            token = self._tokens[account_id] = make_token(self._parts.secret_key, account_id, TOKEN_NAME)
            self._parts.state.configuration.add_token(token_hash(token), account_id, TOKEN_NAME)
        return token

    def _only_account(self) -> str:
        if len(self._known) != 1:
            raise UnknownAccount("it names no recipientAccountId, and there is more than one account")
        return next(iter(self._known))

    def _add(self, account_id: str) -> None:
        if not _ACCOUNT_ID.fullmatch(account_id):
            raise UnknownAccount(f"recipientAccountId {account_id[:40]!r} is not an account id (12 digits)")
        if not self._add_accounts:
            raise UnknownAccount(f"account {account_id} is not known; --add-accounts adds it")
        wanted = first_account(account_id)
        declaration = Declaration(accounts=wanted.accounts, trails=wanted.trails)
        apply_declaration(declaration, self._parts.state.configuration, self._parts.secret_key)
        make_buckets(self._parts)
        self._known.add(account_id)
        self.added.append(account_id)


def read_token(token: str | None, token_file: Path | None) -> str | None:
    """The token that was given, if one was. Raises CommandFailed."""
    if token_file is None:
        return token
    try:
        return token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"The token in {token_file} cannot be read: {error}.") from error

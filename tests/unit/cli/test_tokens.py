"""Tokens of those who send events: made and shown once, listed, removed."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from opentrail_cli.errors import CommandFailed
from tests.unit.cli.conftest import state_in

ACCOUNT, OTHER = "111122223333", "444455556666"

Run = Callable[..., str]


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """Two accounts and a token."""
    file = tmp_path / "declared.toml"
    accounts = "".join(f'[[accounts]]\nid = "{account}"\n' for account in (ACCOUNT, OTHER))
    file.write_text(f'{accounts}[[tokens]]\naccount_id = "{OTHER}"\nname = "web"\n')
    return file


@pytest.fixture
def opentrail(run: Run, declared: Path) -> Run:
    """The command, where the file is applied."""
    run("apply", str(declared))
    return run


def account_of(token: str, data: Path) -> str | None:
    state = state_in(data)
    try:
        return state.configuration.account_of_token(sha256(token.encode()).digest())
    finally:
        state.close()


def listed(opentrail: Run, account: str = ACCOUNT) -> list[dict[str, str | None]]:
    found: list[dict[str, str | None]] = json.loads(opentrail("token", "list", account, "--json"))
    return found


def test_a_token_is_made_shown_once_listed_without_its_secret_and_removed(opentrail: Run, data: Path) -> None:
    token = opentrail("token", "create", ACCOUNT, "--name", "billing").strip()
    assert account_of(token, data) == ACCOUNT
    (shown,) = listed(opentrail)
    assert shown == {"TokenId": sha256(token.encode()).hexdigest()[:16], "Name": "billing", "ExpiresAt": None}
    table = opentrail("token", "list", ACCOUNT)
    assert "billing" in table
    assert "for good" in table
    assert token not in table
    assert "billing" in opentrail("token", "remove", ACCOUNT, str(shown["TokenId"]).upper())
    assert account_of(token, data) is None
    assert listed(opentrail) == []
    assert "has no tokens" in opentrail("token", "list", ACCOUNT)


def test_only_the_named_one_of_tokens_with_one_name_is_removed(opentrail: Run, data: Path) -> None:
    """As they are when one takes the other's place."""
    old, new = (opentrail("token", "create", ACCOUNT, "--name", "n").strip() for _ in range(2))
    opentrail("token", "remove", ACCOUNT, sha256(old.encode()).hexdigest()[:16])
    assert [account_of(token, data) for token in (old, new)] == [None, ACCOUNT]


def test_a_token_is_of_an_account_that_exists_and_removed_by_its_account_and_id(opentrail: Run, data: Path) -> None:
    with pytest.raises(CommandFailed, match="There is no account 999999999999"):
        opentrail("token", "create", "999999999999", "--name", "n")
    token = opentrail("token", "create", ACCOUNT, "--name", "n").strip()
    (shown,) = listed(opentrail)
    for account, wrong in ((OTHER, shown["TokenId"]), (ACCOUNT, "0" * 16), (ACCOUNT, ""), (ACCOUNT, token)):
        with pytest.raises(CommandFailed, match="has no token"):
            opentrail("token", "remove", account, str(wrong))
    assert account_of(token, data) == ACCOUNT


def test_a_declared_token_comes_back_with_its_file_as_the_command_says(opentrail: Run, declared: Path) -> None:
    (shown,) = listed(opentrail, OTHER)
    assert "take it out there, too" in " ".join(opentrail("token", "remove", OTHER, str(shown["TokenId"])).split())
    assert listed(opentrail, OTHER) == []
    opentrail("apply", str(declared))
    assert listed(opentrail, OTHER) == [shown]


def test_a_token_that_expires_says_when(opentrail: Run) -> None:
    opentrail("token", "create", ACCOUNT, "--name", "n", "--days", "1")
    (shown,) = listed(opentrail)
    assert str(shown["ExpiresAt"]).endswith("Z")
    assert str(shown["ExpiresAt"]) in opentrail("token", "list", ACCOUNT)


@pytest.mark.parametrize("days", ["0", "999999999999"])
def test_a_token_is_valid_for_a_time_that_can_be_kept(opentrail: Run, days: str) -> None:
    opentrail("token", "create", ACCOUNT, "--name", "n", "--days", days, code=2)

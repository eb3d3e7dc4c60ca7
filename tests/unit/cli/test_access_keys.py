from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opentrail_backends.state import open_state_store
from opentrail_cli import opening
from opentrail_cli.credentials import secret_key_at
from opentrail_cli.errors import CommandFailed
from opentrail_cli.main import app

ACCOUNT = "111122223333"


class Installation:
    """A data directory with one account."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        declared = folder / "declared.toml"
        declared.write_text(f'[[accounts]]\nid = "{ACCOUNT}"\n')
        self.run("apply", str(declared))

    def run(self, *arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--data-directory", str(self.data)])
        if result.exception is not None:
            raise result.exception
        return result.output

    def key(self, access_key_id: str):  # type: ignore[no-untyped-def]
        state = open_state_store(f"sqlite:///{self.data}/state.db", secret_key=secret_key_at(self.data / "secret.key"))
        try:
            return state.configuration.access_key(access_key_id)
        finally:
            state.close()


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    monkeypatch.setattr(opening, "configure_logs", lambda *_: None)
    return Installation(tmp_path)


def test_a_key_is_made_shown_once_listed_without_its_secret_and_removed(installation: Installation) -> None:
    created = installation.run("access-key", "create", ACCOUNT, "--name", "auditor", "--role", "read-only")
    made = dict(line.split("=", 1) for line in created.split())
    key = installation.key(made["AWS_ACCESS_KEY_ID"])
    assert (key.secret_access_key, key.account_id, key.role, key.name) == (
        made["AWS_SECRET_ACCESS_KEY"],
        ACCOUNT,
        "read-only",
        "auditor",
    )
    listed = installation.run("access-key", "list", ACCOUNT, "--json")
    assert json.loads(listed) == [{"AccessKeyId": key.access_key_id, "Name": "auditor", "Role": "read-only"}]
    assert key.secret_access_key not in listed + installation.run("access-key", "list", ACCOUNT)
    installation.run("access-key", "remove", key.access_key_id)
    assert installation.key(key.access_key_id) is None
    assert json.loads(installation.run("access-key", "list", ACCOUNT, "--json")) == []


def test_a_key_is_of_an_account_that_is_there_and_its_name_is_its_own(installation: Installation) -> None:
    with pytest.raises(CommandFailed, match="There is no account 999999999999"):
        installation.run("access-key", "create", "999999999999", "--name", "auditor")
    installation.run("access-key", "create", ACCOUNT, "--name", "auditor")
    with pytest.raises(CommandFailed, match="has an access key 'auditor' already"):
        installation.run("access-key", "create", ACCOUNT, "--name", "auditor")


@pytest.mark.parametrize("command", ["access-key", "token"])
@pytest.mark.parametrize("name", ["\udcff", "a\nb", "\x00"])
def test_a_name_can_be_printed(installation: Installation, command: str, name: str) -> None:
    """The state store keeps it, and records have it: `\\udcff` is how a byte that is no UTF-8 comes in."""
    with pytest.raises(SystemExit):
        installation.run(command, "create", ACCOUNT, "--name", name)
    assert json.loads(installation.run("access-key", "list", ACCOUNT, "--json")) == []


def test_a_key_that_is_not_there_cannot_be_removed(installation: Installation) -> None:
    with pytest.raises(CommandFailed, match="There is no access key AKIANOTHERE"):
        installation.run("access-key", "remove", "AKIANOTHERE")

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.port import PutOptions
from opentrail_backends.state.port import PublicKey
from opentrail_cli import main as command_line
from opentrail_cli.demo import _empty
from opentrail_cli.demo_evidence import changed_byte
from opentrail_cli.errors import CommandFailed
from opentrail_cli.main import app, main
from tests.unit.cli.conftest import state_in

ROOT = Path(__file__).parents[3]
ACCOUNT = "111122223333"
DECLARED = f"""
[[accounts]]
id = "{ACCOUNT}"
[[access_keys]]
account_id = "{ACCOUNT}"
name = "auditor"
[[tokens]]
account_id = "{ACCOUNT}"
name = "web"
[[trails]]
name = "everything"
account_id = "{ACCOUNT}"
s3_bucket_name = "example-logs"
"""


def test_the_readme_shows_the_help_as_it_is() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- opentrail --help -->\n```text\n(.*?)```\n<!-- end -->", readme, re.DOTALL)
    assert shown is not None
    helped = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}, prog_name="opentrail").output
    assert shown[1].split() == helped.split()


def test_every_command_explains_itself() -> None:
    group = typer.main.get_command(app)
    names = group.list_commands(None)  # type: ignore[attr-defined,arg-type]
    assert {
        "demo",
        "up",
        "serve",
        "ingest",
        "apply",
        "status",
        "redrive",
        "keys",
        "heads",
        "prove",
        "token",
        "validate-logs",
    } <= set(names)
    for name in names:
        result = CliRunner().invoke(app, [name, "--help"])
        assert result.exit_code == 0, name
        assert len(result.output.split()) > 10


def test_the_version() -> None:
    assert re.fullmatch(r"opentrail \d+\.\d+\.\d+\n", CliRunner().invoke(app, ["--version"]).output)


def test_applying_tells_what_it_did_and_then_that_there_is_nothing_to_do(
    run: Callable[..., str], tmp_path: Path, data: Path
) -> None:
    file = tmp_path / "declared.toml"
    file.write_text(DECLARED)
    first = run("apply", str(file))
    assert f"set account {ACCOUNT}" in first
    assert f"set trail arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/everything" in first
    token = re.search(r"ot_[\w-]{43}", first)
    secret = re.search(r"AWS_SECRET_ACCESS_KEY=(\S{40})", first)
    assert token is not None
    assert secret is not None
    assert (data / "buckets" / "example-logs").is_dir()
    again = run("apply", str(file))
    assert "Nothing to change." in again
    assert token[0] not in again
    assert secret[1] not in again
    file.write_text(DECLARED[: DECLARED.index("[[trails]]")])
    assert "Nothing to change." in run("apply", str(file))
    assert "removed trail" in run("apply", "--prune", str(file))


def test_public_keys_are_exported_as_the_validator_reads_them(
    run: Callable[..., str], data: Path, tmp_path: Path
) -> None:
    from opentrail_validator import read_public_keys

    data.mkdir()
    store = state_in(data)
    store.migrate()
    for region, der in (("us-east-1", b"one"), ("eu-central-1", b"two")):
        store.public_keys.add(
            PublicKey(
                region=region, fingerprint=der.hex(), der=der, valid_from=1_000, valid_until=2_000_000, reference="r"
            )
        )
    file = tmp_path / "keys.json"
    file.write_text(run("keys", "export"))
    pinned = read_public_keys(file).between(0, 0)
    assert {name: key.der for name, key in pinned.items()} == {b"one".hex(): b"one", b"two".hex(): b"two"}
    assert {(key.valid_from, key.valid_until) for key in pinned.values()} == {(1_000, 2_000_000)}
    only = json.loads(run("keys", "export", "--region", "us-east-1"))["PublicKeyList"]
    assert [(key["Region"], key["ValidityStartTime"]) for key in only] == [("us-east-1", 1_000)]


def test_heads_are_exported_also_where_there_is_none_yet(run: Callable[..., str], data: Path) -> None:
    data.mkdir()
    state_in(data).migrate()
    assert json.loads(run("heads", "export")) == {"Heads": []}
    assert json.loads(run("heads", "export", "--region", "us-east-1")) == {"Heads": []}


def test_a_log_file_is_printed_decrypted_by_its_url_and_by_its_path(run: Callable[..., str], data: Path) -> None:
    data.mkdir()
    store = open_object_store(f"file://{data}/buckets", open_key_management(f"file://{data}/keys"))
    store.create_bucket("example-logs")
    store.put("example-logs", "a/b.json.gz", gzip.compress(b'{"Records":[]}'), PutOptions())
    store.put("example-logs", "plain", b"plain", PutOptions())
    assert run("cat", "s3://example-logs/a/b.json.gz") == '{"Records":[]}\n'
    assert run("cat", str(data / "buckets/example-logs/a/b.json.gz")) == '{"Records":[]}\n'
    for name, said in (
        ("s3://example-logs/none", "cannot be read"),
        ("s3://example-logs/plain", "is no gzip file"),
        ("/etc/hosts", "is neither s3://"),
    ):
        with pytest.raises(CommandFailed, match=said):
            run("cat", name)


@pytest.mark.parametrize("command", [("status",), ("cat", "x"), ("keys", "export"), ("ingest", "x.json")])
def test_commands_that_look_make_no_empty_installation(
    run: Callable[..., str], data: Path, command: tuple[str, ...]
) -> None:
    with pytest.raises(CommandFailed, match="start `opentrail up` there first"):
        run(*command)
    assert not data.exists()


def test_an_error_is_a_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["opentrail", "status", "--data-directory", str(tmp_path / "none")])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("There is nothing in")
    assert "Traceback" not in said.err
    assert "\x1b" not in said.err


def test_debug_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.argv", ["opentrail", "--debug", "status", "--data-directory", str(tmp_path / "none")])
    with pytest.raises(CommandFailed):
        main()
    command_line._Debug.wanted = False


def test_settings_that_are_wrong_are_told_before_anything_is_made(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch, data: Path
) -> None:
    monkeypatch.setenv("OPENTRAIL_WINDOW_SECONDS", "-1")
    monkeypatch.setenv("OPENTRAIL_STATE", "nowhere")
    with pytest.raises(CommandFailed) as failed:
        run("apply", "x.toml")
    assert str(failed.value).count("\n  - ") == 2
    assert not data.exists()


def test_validate_logs_is_the_validators_own_command(capfd: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(app, ["validate-logs", "--trail-arn", "no-arn", "--start-time", "2026-01-01"])
    assert result.exit_code == 2
    assert "Invalid trail ARN provided: no-arn" in result.output + capfd.readouterr().err


def test_the_demo_takes_only_its_own_folder(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    with pytest.raises(CommandFailed, match="not empty"):
        _empty(mine)
    assert (mine / "thesis.txt").exists()
    ours = tmp_path / "demo"
    _empty(ours)
    (ours / "old").touch()
    _empty(ours)
    assert not (ours / "old").exists()


def test_one_byte_is_changed_and_put_back_even_after_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(100))
    file.chmod(0o440)
    changed = b""
    with suppress(KeyError), changed_byte(file):
        changed = file.read_bytes()
        raise KeyError
    assert sum(changed) == 1
    assert file.read_bytes() == bytes(100)
    assert file.stat().st_mode & 0o777 == 0o440


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.toml")), ids=lambda file: file.name)
def test_the_examples_can_be_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from opentrail.trails.configuration import Configuration
    from opentrail_cli.declared import read_declaration
    from opentrail_cli.declared_changes import changes_of
    from opentrail_cli.settings import read_settings

    if file.name.startswith("settings"):
        read_settings(file, {})
    else:
        declaration, places = read_declaration(file)
        assert changes_of(declaration, Configuration(), now=1, new_incarnation=lambda: "i", places=places)

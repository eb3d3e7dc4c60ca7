"""`opentrail prove` on a directory: what it writes, what it says, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from opentrail_cli.prove import main
from opentrail_validator.proof import Outcome, check_proof
from tests.evidence_maker.in_memory import BEGIN, pinned
from tests.evidence_maker.layouts import lay_plain
from tests.evidence_maker.maker import HOUR, Chain, flip, iso, listed_key, private_key
from tests.evidence_maker.proofs import hour, ids

KEY = listed_key(private_key(0))
KEYS = pinned(KEY).between(0, 0)
TIME = iso(BEGIN + 2 * HOUR)


@pytest.fixture
def chain() -> Chain:
    made = Chain()
    hour(made, ids(made, 3, "a"))
    hour(made, ids(made, 9, "b"))
    return made


@pytest.fixture
def where(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The flags that lead to the chain."""
    monkeypatch.chdir(tmp_path)
    lay_plain(chain.objects, tmp_path / "objects")
    (tmp_path / "keys.json").write_text(json.dumps({"PublicKeyList": [KEY]}))
    place = ["--trail-arn", chain.arn, "--s3-bucket", "trail-logs", "--directory", "objects"]
    return [*place, "--public-keys", "keys.json"]


def proven(data: bytes) -> bool:
    return check_proof(data, KEYS).outcome is Outcome.PROVEN


# --- A proof is made


def test_the_proof_goes_to_a_file(where, capsys):
    assert main(["b-7", *where, "--event-time", iso(BEGIN + 7), "--out", "proof.json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == "The proof is in proof.json. To check it: validate-logs --proof proof.json --public-keys KEYS.json\n"
    assert proven(Path("proof.json").read_bytes())


def test_the_proof_goes_to_the_standard_output(where, capfdbinary):
    assert main(["b-7", *where, "--start-time", iso(BEGIN)]) == 0
    out, err = capfdbinary.readouterr()
    assert (proven(out), err) == (True, b"")


@pytest.mark.parametrize(
    "order",
    [
        lambda own, where: ["b-7", *own, *where],
        lambda own, where: [*own, *where, "b-7"],
        lambda own, where: [*where, "b-7", *own],
        lambda own, where: [*where[:2], *own[:2], "b-7", *where[2:], *own[2:]],
    ],
)
def test_the_order_of_flags_is_free(where, order):
    own = ["--event-time", iso(BEGIN + 7), "--out=proof.json", "--region=eu-west-1"]
    assert main(order(own, where)) == 0
    assert proven(Path("proof.json").read_bytes())


@pytest.mark.parametrize(
    "text",
    [
        iso(BEGIN + 7),
        "2026-03-01T10:07",
        "2026-03-01 12:07:38+02:00",
        "2026-03-01T05:07:38.123-05:00",
        str(BEGIN + 7),
        f"{BEGIN + 7}.0",
    ],
)
def test_the_time_of_an_event_as_the_event_history_and_the_aws_cli_show_it(where, text):
    assert main(["b-7", *where, "--event-time", text, "--out", "proof.json"]) == 0


def test_several_accounts_are_searched_one_after_the_other(where):
    accounts = ["--account-id", "999988887777,111122223333"]
    assert main(["b-7", *where, *accounts, "--start-time", iso(BEGIN), "--out", "proof.json"]) == 0


# --- There is none


def test_an_event_that_is_not_there(where, capsys):
    assert main(["c-0", *where, "--start-time", iso(BEGIN), "--end-time", TIME]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(
        "The event c-0 was not found.\nSearched: arn:aws:cloudtrail:eu-west-1:111122223333:trail/audit"
    )
    assert f"delivered from {iso(BEGIN)} to {TIME}: 2 digests" in err
    assert "--start-time" not in err


def test_an_event_that_may_have_been_sent_later(where, capsys):
    assert main(["b-7", *where, "--event-time", "2020-01-01"]) == 1
    err = capsys.readouterr().err
    assert "delivered from 2019-12-31T23:00:00Z to 2020-01-31T00:00:00Z" in err
    assert err.rstrip().endswith("say from when on: --start-time.")


def test_evidence_that_is_not_valid(where, chain, tmp_path, capsys):
    flip(chain.objects, chain.logs[1], 40)
    lay_plain(chain.objects, tmp_path / "objects")
    assert main(["b-7", *where, "--start-time", iso(BEGIN)]) == 1
    assert "could not be used" in capsys.readouterr().err


def test_evidence_that_cannot_be_read(where, chain, tmp_path, capsys):
    lay_plain(chain.objects, tmp_path / "objects", with_metadata=False)
    for file in (tmp_path / "objects").rglob("*.metadata.json"):
        file.unlink()
    assert main(["b-7", *where, "--start-time", iso(BEGIN)]) == 3
    assert "not-checked" in capsys.readouterr().err


def test_an_id_that_a_terminal_would_obey(where, capsys):
    assert main(["\x1b[2J", *where, "--start-time", iso(BEGIN)]) == 1
    assert capsys.readouterr().err.startswith("The event \\x1b[2J was not found.\n")


# --- Wrong usage


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "--event-time"),
        (["--event-time", "yesterday"], "Unable to parse date value: yesterday"),
        (["--event-time", "inf"], "Unable to parse date value: inf"),
        (["--event-time", "1e30"], "Unable to parse date value: 1e30"),
        (["--event-time", "0001-01-01"], "Unable to parse date value: 0001-01-01"),
        (["--start-time", TIME, "--end-time", iso(BEGIN)], "start-time must occur before end-time"),
        (["--start-time", TIME, "--account-id", "x"], "Invalid --account-id"),
        (["--start-time", TIME, "--state", "s.json"], "--state has no meaning here"),
        (["--start-time", TIME, "--verbose", "--no-records"], "--no-records has no meaning here"),
        (["--start-time", TIME, "--output", "json"], "--output has no meaning here"),
    ],
)
def test_what_cannot_be_asked(where, capsys, more, words):
    assert main(["b-7", *where, *more]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["b-7", "b-8"], ["b-7", "--unknown"]])
def test_arguments_that_are_missing_or_unknown(where, arguments):
    with pytest.raises(SystemExit) as ended:
        main([*arguments, *where, "--start-time", TIME])
    assert ended.value.code == 2


def test_a_file_that_cannot_be_written(where, capsys):
    assert main(["b-7", *where, "--start-time", iso(BEGIN), "--out", "no/such/folder.json"]) == 2
    assert "no/such/folder.json could not be written" in capsys.readouterr().err


def test_an_output_that_takes_nothing_is_no_answer_about_the_event(where):
    code = "import sys; from opentrail_cli.prove import main; sys.exit(main(sys.argv[1:]))"
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", code, "b-7", *where, "--start-time", iso(BEGIN)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (3, "The proof could not be written: No space left on device\n")


def test_a_directory_that_is_not_there(where, capsys):
    where[where.index("objects")] = "nowhere"
    assert main(["b-7", *where, "--start-time", iso(BEGIN)]) == 3
    assert "nowhere" in capsys.readouterr().err


def test_help(capsys):
    assert main(["--help"]) == 0
    assert "opentrail prove EVENT_ID" in capsys.readouterr().out


def test_it_needs_nothing_that_an_auditors_installation_lacks():
    code = (
        "import sys\n"
        "for name in ('typer', 'rich', 'grpc', 'boto3', 'botocore', 'obstore', 'sqlalchemy', 'pydantic'):\n"
        "    sys.modules[name] = None\n"
        "from opentrail_cli.prove import main\n"
        "sys.exit(main(['--help']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")

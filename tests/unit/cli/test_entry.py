"""The command of an installation that has the validator only."""

import json
import subprocess
import sys
from pathlib import Path

from tests.evidence_maker.layouts import lay_plain
from tests.evidence_maker.maker import START, Chain, iso, listed_key, private_key

LIGHT = ("typer", "rich", "sqlalchemy", "grpc", "pydantic", "structlog", "boto3", "botocore", "obstore", "zstandard")
PROGRAM = (
    "import sys\n"
    "for name in {missing!r}: sys.modules[name] = None\n"
    "sys.argv[0] = 'opentrail'\n"
    "from opentrail_cli.entry import main; main()"
)


def light(*arguments: str, missing: tuple[str, ...] = LIGHT) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(missing=missing)
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


def test_validate_logs_works(tmp_path: Path) -> None:
    chain = Chain().hours(2)
    lay_plain(chain.objects, tmp_path / "d")
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([listed_key(private_key(0))]))
    begin = int(START.timestamp())
    when = ["--start-time", iso(begin), "--end-time", iso(begin + 7200)]
    where = ["--s3-bucket", chain.bucket, "--directory", str(tmp_path / "d"), "--public-keys", str(keys)]
    done = light("validate-logs", "--trail-arn", chain.arn, *when, *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2/2 digest files valid" in done.stdout


def test_exit_codes_come_through() -> None:
    done = light("validate-logs", "--trail-arn", "no-arn", "--start-time", "2026-01-01")
    assert done.returncode == 2
    assert "Invalid trail ARN provided: no-arn" in done.stderr


def test_prove_works() -> None:
    assert "EVENT_ID" in light("prove", "--help").stdout
    done = light("prove", "some-event")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_what_needs_more_says_so() -> None:
    done = light("up")
    assert done.returncode == 1
    assert "typer is not installed" in done.stderr
    assert "pip install 'opentrail[server]'" in done.stderr


def test_without_a_command_it_says_what_there_is() -> None:
    for arguments in ([], ["--help"]):
        done = light(*arguments)
        assert "opentrail validate-logs" in done.stderr
        assert "pip install 'opentrail[server]'" in done.stderr


def test_a_fault_of_our_own_is_not_hidden() -> None:
    done = light("up", missing=("opentrail_cli.history",))
    assert "Traceback" in done.stderr
    assert "pip install" not in done.stderr

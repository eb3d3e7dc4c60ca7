import base64
import json
import os
import subprocess
import sys

import pytest

from opentrail_validator import command
from opentrail_validator.command import main
from tests.evidence_maker.layouts import lay_kept
from tests.evidence_maker.maker import Chain, change_content, iso, listed_key, private_key
from tests.unit.validator.directory_runs import BEGIN, KEY, at, run


def test_a_valid_directory(tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    lay_kept(chain.objects, tmp_path)
    assert run(chain, tmp_path, pinned) == 0
    out, err = capsys.readouterr()
    text, _, section = out.partition("\nCovered:      ")
    assert text.endswith("\n2/2 digest files valid\n4/4 log files valid\n")
    assert section == (
        "2026-03-01T10:07:31Z to 2026-03-01T12:07:31Z\n"
        f"Public keys:  1, pinned in {pinned}\n"
        "Heads:        none given: the newest digest files could be removed unseen without --heads\n"
    )
    assert err == ""


def test_an_altered_one(tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    change_content(chain.objects, chain.logs[0], b"Get", b"Put")
    lay_kept(chain.objects, tmp_path)
    assert run(chain, tmp_path, pinned) == 1
    out, err = capsys.readouterr()
    assert err.startswith(f"Log file\ts3://{'/'.join(chain.logs[0])}\tINVALID: hash value doesn't match")
    assert "Affected:     1 account (111122223333), 1 hour, 1 log file" in out


def test_time_that_nothing_covers_is_an_error_unless_it_is_not_asked_for(tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    lay_kept(chain.objects, tmp_path)
    assert run(chain, tmp_path, pinned, hours=5) == 1
    out, err = capsys.readouterr()
    assert "INVALID: no valid digest file covers 2026-03-01T12:07:31Z to 2026-03-01T15:07:31Z" in err
    assert "Not covered:  2026-03-01T12:07:31Z to 2026-03-01T15:07:31Z\n" in out
    assert run(chain, tmp_path, pinned, "--no-require-coverage", hours=5) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "Not covered:  2026-03-01T12:07:31Z to 2026-03-01T15:07:31Z\n" in out
    assert "Not checked:  whether all of the time is covered (--no-require-coverage)\n" in out


def test_nothing_at_all_is_an_error_too(tmp_path, pinned, capsys):
    assert run(Chain(), tmp_path, pinned) == 1
    out, err = capsys.readouterr()
    assert "No digests found" in out
    assert "INVALID: no digest file was found between" in err
    assert run(Chain(), tmp_path, pinned, "--no-require-coverage") == 0
    assert capsys.readouterr().err == ""


def test_an_encrypted_one_needs_its_storage_key(tmp_path, pinned, capsys):
    chain = Chain().hours(1)
    lay_kept(chain.objects, tmp_path, KEY)
    assert run(chain, tmp_path, pinned) == 3
    assert "no storage key was given" in capsys.readouterr().err
    file = tmp_path / "storage.key"
    file.write_bytes(base64.b64encode(KEY))
    assert run(chain, tmp_path, pinned, "--storage-key", str(file)) == 0


def test_an_organizations_trail_without_any_api(tmp_path, pinned, capsys):
    chain = Chain(organization="o-exampleorg1", account="444455556666").hours(1)
    lay_kept(chain.objects, tmp_path)
    assert run(chain, tmp_path, pinned, "--account-id", chain.account, "--organization-id", chain.organization) == 0
    assert "1/1 digest files valid" in capsys.readouterr().out


@pytest.mark.parametrize("wrapped", [True, False])
def test_pinned_keys_are_the_answer_of_list_public_keys_or_its_list(tmp_path, pinned, wrapped, capsys):
    keys = [listed_key(private_key(0))]
    pinned.write_text(json.dumps({"PublicKeyList": keys} if wrapped else keys))
    chain = Chain().hours(1)
    lay_kept(chain.objects, tmp_path)
    assert run(chain, tmp_path, pinned) == 0


def test_an_empty_list_of_keys_validates_nothing(tmp_path, pinned, capsys):
    pinned.write_text("[]")
    assert run(Chain(), tmp_path, pinned) == 3
    err = capsys.readouterr().err
    assert err == "\nNo public keys found between 2026-03-01T10:07:31Z and 2026-03-01T13:07:31Z\n"


def test_everything_that_cannot_be_opened_is_told_together(tmp_path, capsys):
    more = ["--heads", str(tmp_path / "no-heads.json")]
    assert run(Chain(), tmp_path / "absent", tmp_path / "no-keys.json", *more) == 3
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert all(name in line for name, line in zip(("no-keys.json", "absent", "no-heads.json"), lines, strict=True))


@pytest.mark.parametrize("text", ["", "{}", "[{}]", "[1]", '[{"Fingerprint": "a", "Value": "*"}]', "null"])
def test_a_file_without_public_keys_is_told(tmp_path, pinned, text, capsys):
    pinned.write_text(text)
    assert run(Chain(), tmp_path, pinned) == 3
    assert "is not a list of public keys" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trail-arn", "arn:aws:cloudtrail:eu-west-1:1:trail/x"], "Invalid trail ARN provided: arn"),
        (["--start-time", "soon"], "Unable to parse date value: soon"),
        (["--end-time", "2026-02-30"], "Unable to parse date value: 2026-02-30"),
        (["--end-time", iso(BEGIN - 1)], "Invalid time range specified: start-time must occur before end-time"),
    ],
)
def test_what_cannot_be_asked(tmp_path, pinned, flags, message, capsys):
    assert run(Chain(), tmp_path, pinned, *flags) == 2
    out, err = capsys.readouterr()
    assert (out, message in err) == ("", True)


@pytest.mark.parametrize("argv", [[], ["--trail-arn", "x"], ["--trail", "x", "--start-time", "y"], ["--nonsense"]])
def test_wrong_usage_ends_with_2(argv, capsys):
    assert main(argv) == 2
    assert capsys.readouterr().err


def test_local_evidence_with_pinned_keys_needs_no_sdk(tmp_path, pinned):
    chain = Chain().hours(1)
    lay_kept(chain.objects, tmp_path)
    program = (
        "import sys; sys.modules['boto3'] = sys.modules['botocore'] = sys.modules['obstore'] = None\n"
        "from opentrail_validator.command import main; raise SystemExit(main(sys.argv[1:]))"
    )
    local = [*at(chain, 1), "--s3-bucket", chain.bucket, "--directory", str(tmp_path), "--public-keys", str(pinned)]
    alone = subprocess.run([sys.executable, "-c", program, *local], capture_output=True, text=True, check=False)
    assert (alone.returncode, alone.stderr) == (0, "")
    remote = subprocess.run([sys.executable, "-c", program, *at(chain, 1)], capture_output=True, text=True, check=False)
    assert remote.returncode == 3
    assert "pip install 'opentrail[s3]'" in remote.stderr


# --- Outputs


@pytest.mark.parametrize("output", ["json", "junit", "sarif"])
def test_a_report_for_programs_is_all_that_stands_on_the_standard_output(output, tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    change_content(chain.objects, chain.logs[0], b"Get", b"Put")
    lay_kept(chain.objects, tmp_path)
    assert run(chain, tmp_path, pinned, "--output", output) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert chain.logs[0][1] in out
    assert out.startswith("<?xml" if output == "junit" else "{")
    if output != "junit":
        json.loads(out)


def test_progress_is_for_terminals_unless_it_is_asked_for(tmp_path, pinned, capsys, monkeypatch):
    chain = Chain().hours(2)
    lay_kept(chain.objects, tmp_path)
    monkeypatch.setattr("opentrail_validator.progress._EVERY_ELSEWHERE", 0.0)
    assert run(chain, tmp_path, pinned) == 0
    assert capsys.readouterr().err == ""
    assert run(chain, tmp_path, pinned, "--progress") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("2 digest files, 4 log files, ")
    assert lines[-1].endswith("/s")


# --- Proofs


def test_a_proof_that_is_not_there_is_told(tmp_path, capsys):
    assert main(["--proof", str(tmp_path / "none")]) == 3
    assert "could not be read" in capsys.readouterr().err


def test_a_proof_that_is_none_is_invalid(tmp_path, pinned, capsys):
    (tmp_path / "proof").write_text("{}")
    assert main(["--proof", str(tmp_path / "proof"), "--public-keys", str(pinned)]) == 1
    assert "INVALID" in capsys.readouterr().out
    assert main(["--proof", str(tmp_path / "proof"), "--output", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "malformed"


def test_a_proof_without_end_is_not_read_for_ever(capsys):
    assert main(["--proof", "/dev/zero"]) == 1
    assert "more than" in capsys.readouterr().out


# --- What goes wrong with the program itself


def test_a_fault_of_the_program_is_no_verdict(tmp_path, pinned, capsys, monkeypatch):
    def broken(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(command, "validate_chains", broken)
    assert run(Chain(), tmp_path, pinned) == 3
    assert "this is a fault of the program" in capsys.readouterr().err


def test_an_interruption_is_no_verdict(tmp_path, pinned, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "validate_chains", interrupted)
    assert run(Chain(), tmp_path, pinned) == 130


def test_a_reader_of_the_output_who_goes_away_gets_no_stack_trace(tmp_path, pinned):
    chain = Chain().hours(12)
    lay_kept(chain.objects, tmp_path)
    program = "from opentrail_validator.command import main; raise SystemExit(main())"
    flags = [*at(chain, 12), "--s3-bucket", chain.bucket, "--directory", str(tmp_path), "--public-keys", str(pinned)]
    piped = subprocess.run(
        ["sh", "-c", '"$@" | true; exit ${PIPESTATUS:-0}', "sh", sys.executable, "-c", program, *flags, "--verbose"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in piped.stderr
    assert "BrokenPipe" not in piped.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("streams", "code"),
    [
        (">/dev/full", 3),
        (">/dev/full --output json", 3),
        (">/dev/full 2>&1", 3),
        (">&-", 0),
        ("2>&-", 0),
        (">&- 2>&-", 0),
        (">/dev/full --nonsense 2>/dev/full", 3),
        ("--nonsense >&- 2>&-", 2),
    ],
)
def test_a_report_that_cannot_be_written_is_no_verdict(streams, code, unbuffered, tmp_path, pinned):
    chain = Chain().hours(2)
    lay_kept(chain.objects, tmp_path)
    program = "from opentrail_validator.command import main; raise SystemExit(main())"
    flags = [*at(chain, 2), "--s3-bucket", chain.bucket, "--directory", str(tmp_path), "--public-keys", str(pinned)]
    done = subprocess.run(
        ["sh", "-c", f'"$@" {streams}', "sh", sys.executable, "-c", program, *flags],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    if code == 3 and "2>" not in streams:
        assert done.stderr == "\nThe report could not be written: No space left on device\n"


def test_names_that_the_terminals_encoding_does_not_have_are_escaped(tmp_path, pinned):
    chain = Chain(trail="a", bucket="b").hours(1)
    lay_kept(chain.objects, tmp_path / "ä")
    program = "from opentrail_validator.command import main; raise SystemExit(main())"
    keys = tmp_path / "schlüssel.json"
    keys.write_bytes(pinned.read_bytes())
    local = [*at(chain, 1), "--s3-bucket", "b", "--directory", str(tmp_path / "ä"), "--public-keys", str(keys)]
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program, *local],
        env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"schl\\xfcssel.json" in done.stdout

import base64
import json
import subprocess
import sys

import pytest

from opentrail_validator.command import main
from tests.evidence_maker.layouts import lay_kept
from tests.evidence_maker.maker import HOUR, START, Chain, change_content, iso, listed_key, private_key

BEGIN = int(START.timestamp())
KEY = bytes(range(32))


@pytest.fixture
def pinned(tmp_path):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps([listed_key(private_key(0))]))
    return file


def run(chain, root, pinned, *more):
    flags = ["--trail-arn", chain.arn, "--start-time", iso(BEGIN), "--end-time", iso(BEGIN + 24 * HOUR)]
    local = ["--s3-bucket", chain.bucket, "--directory", str(root), "--public-keys", str(pinned)]
    return main([*flags, *local, *more])


def test_a_valid_directory(tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    lay_kept(chain.objects, tmp_path)
    assert run(chain, tmp_path, pinned) == 0
    out, err = capsys.readouterr()
    assert out.endswith("\n2/2 digest files valid\n4/4 log files valid\n")
    assert err == ""


def test_an_altered_one(tmp_path, pinned, capsys):
    chain = Chain().hours(2)
    change_content(chain.objects, chain.logs[0], b"Get", b"Put")
    lay_kept(chain.objects, tmp_path)
    assert run(chain, tmp_path, pinned) == 1
    assert capsys.readouterr().err == f"Log file\ts3://{'/'.join(chain.logs[0])}\tINVALID: hash value doesn't match\n\n"


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


@pytest.mark.parametrize("text", ["", "{}", "[{}]", "[1]", '[{"Fingerprint": "a", "Value": "*"}]', "null"])
def test_a_file_without_public_keys_is_told(tmp_path, pinned, text, capsys):
    pinned.write_text(text)
    assert run(Chain(), tmp_path, pinned) == 255
    assert "is not a list of public keys" in capsys.readouterr().err


def test_an_empty_list_of_keys_validates_nothing(tmp_path, pinned, capsys):
    pinned.write_text("[]")
    assert run(Chain(), tmp_path, pinned) == 255
    assert capsys.readouterr().err == "\nNo public keys found between 2026-03-01T10:07:31Z and 2026-03-02T12:07:31Z\n"


def test_keys_that_are_not_there_are_told(tmp_path, capsys):
    assert run(Chain(), tmp_path, tmp_path / "absent") == 255
    assert "could not be read" in capsys.readouterr().err


def test_a_directory_that_is_not_there_is_told(tmp_path, pinned, capsys):
    assert run(Chain(), tmp_path / "absent", pinned) == 255
    assert "There is no directory" in capsys.readouterr().err


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
    assert run(Chain(), tmp_path, pinned, *flags) == 255
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["--trail-arn", "x"], ["--trail", "x", "--start-time", "y"], ["--nonsense"]])
def test_wrong_usage_ends_with_2(argv, capsys):
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2


def test_local_evidence_with_pinned_keys_needs_no_sdk(tmp_path, pinned):
    chain = Chain().hours(1)
    lay_kept(chain.objects, tmp_path)
    program = (
        "import sys; sys.modules['boto3'] = sys.modules['botocore'] = None\n"
        "from opentrail_validator.command import main; raise SystemExit(main(sys.argv[1:]))"
    )
    flags = ["--trail-arn", chain.arn, "--start-time", iso(BEGIN), "--end-time", iso(BEGIN + HOUR)]
    local = ["--s3-bucket", chain.bucket, "--directory", str(tmp_path), "--public-keys", str(pinned)]
    alone = subprocess.run([sys.executable, "-c", program, *flags, *local], capture_output=True, text=True, check=False)
    assert (alone.returncode, alone.stderr) == (0, "")
    remote = subprocess.run([sys.executable, "-c", program, *flags], capture_output=True, text=True, check=False)
    assert remote.returncode == 255
    assert "pip install 'opentrail[s3]'" in remote.stderr

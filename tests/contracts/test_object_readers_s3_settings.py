"""S3Reader and the settings of the AWS CLI: profiles, credentials that end, authorities, proxies."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from opentrail_validator.readers.cloudtrail import AwsApi
from opentrail_validator.readers.port import CouldNotRead, ReaderUnavailable, StoredObject
from opentrail_validator.readers.s3 import S3Reader
from tests.contracts.s3_reading import Reading, outcome, reading
from tests.contracts.scripted_s3 import answer, serving
from tests.contracts.test_object_store_s3 import PrivateAuthority, private_authority

__all__ = ["private_authority", "reading"]

STORED = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_PROFILE", "nobodys"), ("AWS_MAX_ATTEMPTS", "many"), ("AWS_CONFIG_FILE", "config")]
)
def test_settings_that_are_none_are_told(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[default\nregion")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, value)
    with pytest.raises(ReaderUnavailable, match="AWS settings"):
        S3Reader("us-east-1")


def test_a_profile_that_is_not_there_is_told_when_the_api_is_to_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobodys")
    with pytest.raises(ReaderUnavailable, match="nobodys"):
        AwsApi("us-east-1")


def use(config: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Lets a profile give the credentials."""
    (folder / "config").write_text(config)
    patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    patch.setenv("AWS_PROFILE", "audit")
    patch.setenv("AWS_MAX_ATTEMPTS", "2")


def test_a_role_that_may_not_be_taken_could_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = (
        "[profile audit]\nrole_arn = arn:aws:iam::111122223333:role/audit\nsource_profile = base\n"
        "[profile base]\naws_access_key_id = k\naws_secret_access_key = s\n"
    )
    use(config, tmp_path, monkeypatch)
    with serving() as serve:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", serve(answer(403, "AccessDenied")).endpoint)
        server = serve(STORED)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        reader = S3Reader("us-east-1")
        assert "AssumeRole" in str(outcome(reader))
        with pytest.raises(CouldNotRead, match="AssumeRole"):
            list(reader.list("trail-logs", ""))
        assert not server.requests


GIVES_KEYS = """
import json, pathlib, sys, time
count = pathlib.Path(sys.argv[1])
number = int(count.read_text()) + 1
count.write_text(str(number))
if number > int(sys.argv[2]):
    sys.exit("the session has ended")
expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
fields = {"AccessKeyId": f"key-{number}", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": expires}
print(json.dumps({"Version": 1} | fields))
"""


def give_keys(folder: Path, most: int, patch: pytest.MonkeyPatch) -> None:
    """New credentials whenever somebody needs some, as often as `most` says: they end within a minute."""
    (folder / "keys.py").write_text(GIVES_KEYS)
    (folder / "count").write_text("0")
    process = f"{sys.executable} {folder / 'keys.py'} {folder / 'count'} {most}"
    use(f"[profile audit]\ncredential_process = {process}\n", folder, patch)


def test_what_is_asked_again_is_asked_with_the_credentials_of_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_keys(tmp_path, 100, monkeypatch)
    with serving() as serve:
        server = serve(answer(403, "AccessDenied"), answer(503), STORED)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        assert outcome(S3Reader("us-east-1")) == StoredObject(b"body", {})
    keys = [request.headers["authorization"].partition("Credential=")[2][:5] for request in server.requests]
    assert len(set(keys)) == 3
    assert server.requests[-1].headers["x-amz-security-token"] == "t"


def test_credentials_that_end_during_a_run_could_not_read_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_keys(tmp_path, 4, monkeypatch)
    with serving() as serve:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", serve(answer(403, "AccessDenied"), STORED).endpoint)
        reader = S3Reader("us-east-1")
        found = [outcome(reader) for _ in range(6)]
    assert StoredObject(b"body", {}) in found
    assert isinstance(found[-1], CouldNotRead)
    assert "the session has ended" in str(found[-1])


def test_a_server_that_no_known_authority_vouches_for_is_not_believed(
    reading: Reading, private_authority: PrivateAuthority
) -> None:
    with serving() as serve:
        server = serve(STORED, tls=private_authority.server)
        began = time.monotonic()
        found = outcome(reading(server.endpoint, attempts=1))
        assert isinstance(found, CouldNotRead)
        assert "certificate" in str(found)
        assert not server.requests
        assert time.monotonic() - began < 5


def test_an_authority_of_the_auditors_is_trusted_but_not_for_another_name(
    reading: Reading, private_authority: PrivateAuthority
) -> None:
    with serving() as serve:
        server = serve(answer(403, "AccessDenied"), STORED, tls=private_authority.server)
        authority = {"AWS_CA_BUNDLE": str(private_authority.bundle)}
        assert outcome(reading(server.endpoint, attempts=1, **authority)) == StoredObject(b"body", {})
        another_name = server.endpoint.replace("127.0.0.1", "localhost")
        assert "certificate" in str(outcome(reading(another_name, attempts=1, **authority)))


def test_objects_come_through_the_proxy_of_the_environment(reading: Reading) -> None:
    with serving() as serve:
        proxy = serve(answer(403, "AccessDenied"), STORED)
        reader = reading("http://s3.example.test", attempts=1, http_proxy=proxy.endpoint)
        assert outcome(reader) == StoredObject(b"body", {})
    assert [request.line.split()[1] for request in proxy.requests] == [
        "http://s3.example.test/trail-logs?location",
        "http://s3.example.test/trail-logs/a/b",
    ]

"""The command as a user meets it: real processes, real sockets on loopback, everything embedded."""

from __future__ import annotations

import gzip
import ipaddress
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from opentrail_cli.realistic_events import realistic_events
from opentrail_validator import LocalDirectory, read_storage_key

COMMAND = [sys.executable, "-W", "error::ResourceWarning", "-c", "from opentrail_cli.main import main; main()"]
ACCOUNT = "444455556666"
PATIENCE = 60.0
FAST = {
    "OPENTRAIL_WINDOW_SECONDS": "1",
    "OPENTRAIL_DIGEST_SECONDS": "3",
    "OPENTRAIL_REGIONS": "us-east-1,eu-central-1",
    "OPENTRAIL_PRODUCER_ADDRESS": "127.0.0.1:0",
    "OPENTRAIL_CONTROL_PLANE_ADDRESS": "127.0.0.1:0",
}


def environment(more: Mapping[str, str] = FAST) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OPENTRAIL_", "AWS_"))}
    return {**inherited, "PYTHONUNBUFFERED": "1", **more}


def opentrail(folder: Path, *arguments: str, code: int = 0, **more: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment({**FAST, **more}),
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


class Running:
    """A command that runs until it is told to stop."""

    def __init__(self, folder: Path, *arguments: str, **more: str) -> None:
        self._log = (folder / f"{arguments[-1]}.log").open("w+")
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env=environment({**FAST, **more}),
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self.output = ""

    def read_until(self, text: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return self.output
        raise AssertionError(f"ended before {text!r}:\n{self.output}{self.errors()}")

    def stop(self, number: int = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, rest + self.errors()
        return rest

    def errors(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._log.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start_one(*arguments: str, **more: str) -> Running:
        running.append(Running(tmp_path, *arguments, **more))
        return running[-1]

    yield start_one
    for one in running:
        one.close()


def address(output: str, name: str, between: str = r"\s+") -> str:
    found = re.search(rf"{name}{between}(\S+)", output)
    assert found is not None, output
    return found[1]


def write_events(file: Path, count: int, account_id: str = ACCOUNT) -> list[dict[str, object]]:
    events = realistic_events(5, int(time.time()) - 7200, events=count, seconds=3600)
    records = [event.record for event in events if event.account_id == account_id]
    file.write_bytes(b"\n".join(records))
    return [msgspec.json.decode(record) for record in records]


def delivered(folder: Path) -> list[dict[str, object]]:
    """Every record in the log files, read by the validator's reader: in this process, because it is asked often."""
    root = folder / "opentrail-data" / "buckets"
    files = sorted(root.glob("*/AWSLogs/**/*_CloudTrail_*.json.gz"))
    if not files:
        return []
    reader = LocalDirectory(root, read_storage_key(folder / "opentrail-data" / "keys" / "storage.key"))
    found = []
    for file in files:
        bucket, _, key = file.relative_to(root).as_posix().partition("/")
        found += json.loads(gzip.decompress(reader.get(bucket, key).body))["Records"]
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def by_id(records: list[dict[str, object]]) -> list[tuple[object, str]]:
    return sorted((r["eventID"], json.dumps(r, sort_keys=True)) for r in records)


def test_the_demo_goes_the_whole_way(tmp_path: Path) -> None:
    said = opentrail(tmp_path, "demo", "--events", "600", OPENTRAIL_REGIONS="")
    assert re.search(r"Events +7\d\d made-up records", said)
    assert re.search(r"Validation +(\d+)/\1 digest files valid, (\d+)/\2 log files valid\n +exit code 0", said)
    assert len(re.findall(r"INVALID +444455556666_CloudTrail_us-east-1_\S+\.json\.gz", said)) == 1
    assert "exactly this file is reported" in said
    assert said.count("exit code 0") == 2
    assert said.count("exit code 1") == 1
    assert "\x1b" not in said

    command = re.search(r"opentrail (validate-logs .*?public-keys\.json)", said, re.DOTALL)
    assert command is not None
    validated = opentrail(tmp_path, *command[1].replace("\\\n", " ").split())
    assert "log files valid" in validated
    assert "INVALID" not in validated
    command = re.search(r"opentrail (cat .*)", said)
    assert command is not None
    assert '"StopLogging"' in opentrail(tmp_path, *command[1].split())


def test_up_takes_events_delivers_them_and_goes_on_after_a_stop(tmp_path: Path, start: Callable[..., Running]) -> None:
    sent = write_events(tmp_path / "events.jsonl", 300)
    up = start("up", "--account", ACCOUNT)
    said = up.read_until("Ctrl-C")
    assert re.search(r"token of 444455556666 \"first\"\n +ot_", said)

    producer = address(said, r"producer \(gRPC\)")
    assert f"{len(sent)} events accepted" in opentrail(tmp_path, "ingest", "events.jsonl", "--producer", producer)
    wait_for(lambda: len(delivered(tmp_path)) >= len(sent))
    assert by_id(delivered(tmp_path)) == by_id(sent)

    cloudtrail = boto3.client(
        "cloudtrail",
        region_name="us-east-1",
        endpoint_url=address(said, "CloudTrail API"),
        aws_access_key_id=address(said, "AWS_ACCESS_KEY_ID=", ""),
        aws_secret_access_key=address(said, "AWS_SECRET_ACCESS_KEY=", ""),
    )
    (trail,) = cloudtrail.describe_trails()["trailList"]
    assert trail["TrailARN"] == f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/everything"
    wait_for(lambda: "LatestDigestDeliveryTime" in cloudtrail.get_trail_status(Name="everything"))
    assert cloudtrail.get_trail_status(Name="everything")["IsLogging"] is True
    assert cloudtrail.list_public_keys()["PublicKeyList"]

    status = json.loads(opentrail(tmp_path, "status", "--json"))
    assert sum(partition["lag"] for partition in status["partitions"]) == 0
    assert {chain["region"] for chain in status["chains"]} == {"us-east-1", "eu-central-1"}
    assert "everything" in opentrail(tmp_path, "status")
    assert "Stopped." in up.stop(signal.SIGINT)

    up = start("up")
    said = up.read_until("Ctrl-C")
    assert "Shown only now" not in said
    again = write_events(tmp_path / "more.jsonl", 400)
    opentrail(tmp_path, "ingest", "more.jsonl", "--producer", address(said, r"producer \(gRPC\)"))
    wait_for(lambda: len(delivered(tmp_path)) >= len(sent) + len(again))
    up.stop()
    validated = opentrail(tmp_path, *validation(tmp_path))
    assert "log files valid" in validated
    assert "INVALID" not in validated


def validation(folder: Path) -> list[str]:
    (folder / "keys.json").write_text(opentrail(folder, "keys", "export"))
    data = "opentrail-data"
    return [
        "validate-logs", "--trail-arn", f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/everything",
        "--start-time", "2020-01-01", "--s3-bucket", "opentrail-logs", "--directory", f"{data}/buckets",
        "--storage-key", f"{data}/keys/storage.key", "--public-keys", "keys.json",
    ]  # fmt: skip


def test_each_service_runs_by_itself(tmp_path: Path, start: Callable[..., Running]) -> None:
    sent = write_events(tmp_path / "events.jsonl", 200)
    (tmp_path / "declared.toml").write_text(
        f'[[accounts]]\nid = "{ACCOUNT}"\n[[tokens]]\naccount_id = "{ACCOUNT}"\nname = "t"\n'
        f'[[trails]]\nname = "everything"\naccount_id = "{ACCOUNT}"\ns3_bucket_name = "example-logs"\n'
        "is_multi_region_trail = true\n"
    )
    token = re.search(r"ot_\S+", opentrail(tmp_path, "apply", "declared.toml"))
    assert token is not None
    services = [start("serve", name) for name in ("delivery", "producer", "control-plane")]
    ready = [service.read_until("ready") for service in services]
    (tmp_path / "token").write_text(token[0] + "\n")
    producer = address(ready[1], "ready on")
    said = opentrail(tmp_path, "ingest", "events.jsonl", "--producer", producer, "--token-file", "token")
    assert f"{len(sent)} events accepted" in said
    management = [record for record in sent if record["managementEvent"]]
    wait_for(lambda: len(delivered(tmp_path)) >= len(management))
    assert by_id(delivered(tmp_path)) == by_id(management)
    for service in services:
        service.stop()


def test_ingest_tells_what_was_not_accepted_and_why(tmp_path: Path, start: Callable[..., Running]) -> None:
    good = realistic_events(5, int(time.time()) - 7200, events=20, seconds=3600)
    mine = next(event.record for event in good if event.account_id == ACCOUNT)
    other = next(event.record for event in good if event.account_id != ACCOUNT)
    (tmp_path / "a.jsonl").write_bytes(b"\n".join([mine, b"{broken", other, b'{"eventName":"X"}']))
    (tmp_path / "b.json").write_text("{}")
    up = start("up", "--account", ACCOUNT)
    producer = address(up.read_until("Ctrl-C"), r"producer \(gRPC\)")
    said = opentrail(tmp_path, "ingest", "a.jsonl", "b.json", "--producer", producer, code=1)
    assert "1 events accepted from 2 files." in said
    assert "b.json: it is neither" in said
    assert "3 records were not accepted" in said
    assert re.search(r"a\.jsonl:2  MALFORMED_JSON  ", said)
    assert re.search(r"a\.jsonl:3  UNKNOWN_ACCOUNT  account \d{12} is not known; --add-accounts adds it", said)
    assert re.search(r"a\.jsonl:4  MISSING_FIELD  ", said)

    said = opentrail(tmp_path, "ingest", "a.jsonl", "--producer", producer, code=1, OPENTRAIL_TOKEN="wrong")
    assert "0 events accepted" in said
    assert "UNAUTHENTICATED" in said
    said = opentrail(tmp_path, "ingest", "a.jsonl", "--add-accounts", "--producer", producer, code=1)
    assert re.search(r"Account \d{12} was added", said)
    assert "2 events accepted" in said
    up.stop()


def test_a_producer_that_is_not_there_and_an_address_that_is_taken(
    tmp_path: Path, start: Callable[..., Running]
) -> None:
    up = start("up")
    said = up.read_until("Ctrl-C")
    taken = address(said, "CloudTrail API").removeprefix("http://")
    other = tmp_path / "other"
    said = opentrail(tmp_path, "up", "--data-directory", str(other), code=1, OPENTRAIL_CONTROL_PLANE_ADDRESS=taken)
    assert "in use" in said
    up.stop()
    (tmp_path / "a.jsonl").write_text("{}\n")
    said = opentrail(tmp_path, "ingest", "a.jsonl", "--producer", taken, code=1)
    assert f"No producer answers on {taken}" in said


def test_over_tls_with_metrics(tmp_path: Path, start: Callable[..., Running]) -> None:
    sent = write_events(tmp_path / "events.jsonl", 50)
    certificate, key = self_signed(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    tls = {"OPENTRAIL_TLS_CERTIFICATE_FILE": str(certificate), "OPENTRAIL_TLS_PRIVATE_KEY_FILE": str(key)}
    up = start("up", "--account", ACCOUNT, OPENTRAIL_METRICS_ADDRESS=metrics, **tls)
    said = up.read_until("Ctrl-C")
    producer = address(said, r"producer \(gRPC\)")
    authority = ("--certificate-authority", str(certificate))
    assert f"{len(sent)} events accepted" in opentrail(
        tmp_path, "ingest", "events.jsonl", "--producer", producer, *authority
    )
    with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=PATIENCE) as answer:
        counted = re.search(r"^opentrail_producer_events_accepted_total (\S+)$", answer.read().decode(), re.MULTILINE)
    assert counted is not None
    assert float(counted[1]) == len(sent)
    trusting = ssl.create_default_context(cafile=str(certificate))
    api = address(said, "CloudTrail API")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(api, timeout=PATIENCE, context=trusting)
    up.stop()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as PEM files."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    chain, key = folder / "tls.crt", folder / "tls.key"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return chain, key

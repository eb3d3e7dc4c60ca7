"""The command as a process, and what a test wants to know of its folder."""

from __future__ import annotations

import gzip
import ipaddress
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
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
    "OPENTRAIL_VALIDATOR_ADDRESS": "127.0.0.1:0",
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


def validation(folder: Path) -> list[str]:
    (folder / "keys.json").write_text(opentrail(folder, "keys", "export"))
    data = "opentrail-data"
    return [
        "validate-logs", "--trail-arn", f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/everything",
        "--start-time", "2020-01-01", "--no-require-coverage",
        "--s3-bucket", "opentrail-logs", "--directory", f"{data}/buckets", "--storage-key", f"{data}/keys/storage.key",
        "--public-keys", "keys.json",
    ]  # fmt: skip


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

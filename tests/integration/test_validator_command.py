"""`opentrail serve validator`, and the validator in `opentrail up`, as an operator meets them."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from opentrail_validator.generated import validator_pb2, validator_pb2_grpc
from opentrail_validator.service.server import SERVICE_NAME, WATCHING_NAME
from tests.integration.cli_process import ACCOUNT, Running, address, opentrail, wait_for, write_events
from tests.servers.process import Port

FAST = {"OPENTRAIL_VALIDATOR_CYCLE_SECONDS": "1"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start_one(*arguments: str, **more: str) -> Running:
        running.append(Running(tmp_path, *arguments, **{**FAST, **more}))
        return running[-1]

    yield start_one
    for one in running:
        one.close()


class Asked:
    """The service, asked by its operator."""

    def __init__(self, place: str, folder: Path) -> None:
        token = (folder / "opentrail-data" / "validator.token").read_text().strip()
        self._bearer = (("authorization", f"Bearer {token}"),)
        self.channel = grpc.insecure_channel(place)
        self._stub: Any = validator_pb2_grpc.ValidatorStub(self.channel)  # type: ignore[no-untyped-call]  # generated

    def open(self) -> set[str]:
        return {each.finding.key for chain in self.chains() for each in chain.open}

    def chains(self) -> list[Any]:
        return list(self._stub.ListChains(validator_pb2.ListChainsRequest(), metadata=self._bearer, timeout=20))

    def checked(self) -> int:
        """Log files, by a validation of everything; -1 if not all was valid."""
        request = validator_pb2.ValidateRequest()
        *_, last = self._stub.Validate(request, metadata=self._bearer, timeout=60)
        return int(last.summary.counts.log_files) if last.summary.verdict == validator_pb2.VERDICT_VALID else -1

    def health(self, name: str) -> Any:
        stub = health_pb2_grpc.HealthStub(self.channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=20).status


def test_up_and_another_validator_tell_of_a_changed_log_file(tmp_path: Path, start: Callable[..., Running]) -> None:
    write_events(tmp_path / "events.jsonl", 100)
    up = start("up", "--account", ACCOUNT)
    said = up.read_until("Ctrl-C")
    opentrail(tmp_path, "ingest", "events.jsonl", "--producer", address(said, r"producer \(gRPC\)"))
    within = Asked(address(said, r"validator \(gRPC\)"), tmp_path)
    kept = Port.new()
    metrics = f"127.0.0.1:{kept.number}"
    book = tmp_path / "book.json"
    own = start("serve", "validator", OPENTRAIL_METRICS_ADDRESS=metrics, OPENTRAIL_VALIDATOR_BOOK_FILE=str(book))
    alone = Asked(address(own.read_until("ready"), "ready on", " "), tmp_path)
    with within.channel, alone.channel:
        wait_for(lambda: within.checked() > 0 and alone.checked() > 0)
        assert within.open() == alone.open() == set()
        names = ("", SERVICE_NAME, WATCHING_NAME)
        assert {alone.health(name) for name in names} == {health_pb2.HealthCheckResponse.SERVING}

        root = tmp_path / "opentrail-data" / "buckets"
        file = min(root.glob("*/AWSLogs/**/*_CloudTrail_*.json.gz"))
        original = file.read_bytes()
        replace_at_once(file, original[:-1] + bytes([original[-1] ^ 1]))
        key = file.relative_to(root).as_posix().partition("/")[2]
        wait_for(lambda: within.open() == alone.open() == {key})
        counted = b'opentrail_validator_findings_open{kind="malformed",severity="critical"} 1.0'
        wait_for(lambda: counted in urllib.request.urlopen(f"http://{metrics}/metrics", timeout=20).read())
        replace_at_once(file, original)
        wait_for(lambda: within.open() == alone.open() == set())
    own.stop()
    up.stop()
    kept.release()
    assert '"kind": "malformed"' in own.errors()
    assert '"repairedCount": 1' in own.errors()
    assert book.stat().st_mode & 0o777 == 0o600


def replace_at_once(file: Path, body: bytes) -> None:
    """Nobody reads a part of it."""
    other = file.with_name("being-written")
    other.write_bytes(body)
    other.replace(file)


def test_a_validator_that_cannot_start_says_why(tmp_path: Path, start: Callable[..., Running]) -> None:
    start("up", "--account", ACCOUNT).read_until("Ctrl-C")
    book = tmp_path / "opentrail-data" / "validator-book.json"
    wait_for(book.exists)
    (tmp_path / "bad.json").write_text("{")
    said = opentrail(tmp_path, "serve", "validator", code=1, OPENTRAIL_VALIDATOR_BOOK_FILE=str(tmp_path / "bad.json"))
    assert "Move it away" in said
    said = opentrail(tmp_path, "serve", "validator", code=1, OPENTRAIL_VALIDATOR_ADDRESS="0.0.0.0:7320")
    assert "plaintext_allowed" in said


def test_a_stop_does_not_wait_for_a_cycle(tmp_path: Path, start: Callable[..., Running]) -> None:
    up = start("up", "--account", ACCOUNT, OPENTRAIL_VALIDATOR_CYCLE_SECONDS="3600")
    up.read_until("Ctrl-C")
    up.stop()  # within a minute, or it fails

"""The command where something is refused, missing, taken or encrypted."""

from __future__ import annotations

import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from opentrail_cli.realistic_events import realistic_events
from tests.integration.cli_process import (
    ACCOUNT,
    PATIENCE,
    Running,
    address,
    opentrail,
    self_signed,
    write_events,
)
from tests.servers.process import Port


@pytest.fixture
def kept_port() -> Iterator[Port]:
    """A free port that no process gets by chance meanwhile."""
    port = Port.new()
    yield port
    port.release()


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
    tmp_path: Path, start: Callable[..., Running], kept_port: Port
) -> None:
    taken = f"127.0.0.1:{kept_port.number}"
    up = start("up", OPENTRAIL_CONTROL_PLANE_ADDRESS=taken)
    said = up.read_until("Ctrl-C")
    assert address(said, "CloudTrail API") == f"http://{taken}"
    other = tmp_path / "other"
    said = opentrail(tmp_path, "up", "--data-directory", str(other), code=1, OPENTRAIL_CONTROL_PLANE_ADDRESS=taken)
    assert "in use" in said
    up.stop()
    (tmp_path / "a.jsonl").write_text("{}\n")
    said = opentrail(tmp_path, "ingest", "a.jsonl", "--producer", taken, code=1)
    assert f"No producer answers on {taken}" in said


def test_over_tls_with_metrics(tmp_path: Path, start: Callable[..., Running], kept_port: Port) -> None:
    sent = write_events(tmp_path / "events.jsonl", 50)
    certificate, key = self_signed(tmp_path)
    metrics = f"127.0.0.1:{kept_port.number}"
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

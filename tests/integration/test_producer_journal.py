"""`opentrail ingest --journal`: a run that is killed at any moment is repeated, and each event is delivered once."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from opentrail_producer.generated import producer_pb2_grpc
from tests.integration.cli_process import (
    ACCOUNT,
    PATIENCE,
    Running,
    address,
    by_id,
    delivered,
    opentrail,
    wait_for,
    write_events,
)
from tests.integration.scripted_producer import Scripted, failing
from tests.servers.process import Port

EVENTS = 6_000


@pytest.fixture
def service() -> Scripted:
    return Scripted()


@pytest.fixture
def producer(service: Scripted) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8))
    producer_pb2_grpc.add_ProducerServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    service.gate.set()
    server.stop(None)


@pytest.fixture
def kept_port() -> Iterator[Port]:
    """A free port that no process gets by chance meanwhile."""
    port = Port.new()
    yield port
    port.release()


def kill(run: Running) -> bool:
    """Whether it was still running."""
    run.process.kill()
    run.process.communicate(timeout=PATIENCE)
    return run.process.returncode < 0


def write_files(folder: Path) -> list[str]:
    """Two files of several batches each, of two regions, with bad records among them."""
    lines = [
        "bad" if number % 997 == 0 else json.dumps({"n": number, "awsRegion": f"eu-west-{1 + number % 3 // 2}"})
        for number in range(EVENTS)
    ]
    (folder / "a.jsonl").write_text("\n".join(lines[: EVENTS // 2]))
    (folder / "b.jsonl").write_text("\n".join(lines[EVENTS // 2 :]))
    return [line for line in lines if line != "bad"]


def delivered_once(service: Scripted) -> list[str]:
    """What delivery makes of the requests: the first event under a number; never another one under the same."""
    first: dict[tuple[bytes, str, int], bytes] = {}
    for request in service.requests:
        for number, record in enumerate(request.events, request.numbers.first):
            place = request.numbers.client_id, request.region, number
            assert first.setdefault(place, record) == record, "another event under a number that was used"
    return sorted(record.decode() for record in first.values() if record != b"bad")


def test_a_run_that_is_killed_and_repeated_gives_each_event_its_number_again(
    tmp_path: Path, service: Scripted, producer: str, start: Callable[..., Running]
) -> None:
    wanted = write_files(tmp_path)
    command = ("ingest", "--token", "t", "--producer", producer, "--journal", "journal", "a.jsonl", "b.jsonl")
    service.gate.clear()  # without an answer it does not come to its end before it is killed
    killed = start(*command)
    wait_for((tmp_path / "journal").exists)
    assert kill(killed)
    for more in (1, 4, 9):
        service.closes_after = len(service.requests) + more
        service.gate.set()
        killed = start(*command)
        service.wait_for_requests(service.closes_after)
        assert kill(killed), "it ended before it was killed"
    service.closes_after = None
    service.gate.set()
    service.failures = [failing(grpc.StatusCode.UNAVAILABLE), None, failing(grpc.StatusCode.INTERNAL)]
    said = opentrail(tmp_path, *command, code=1)
    bad = EVENTS - len(wanted)
    assert f"{len(wanted)} events accepted from 2 files." in said
    assert f"{bad} records were not accepted ({bad} MALFORMED_JSON)" in said
    assert "journal" not in said
    assert delivered_once(service) == sorted(wanted)
    sent = Counter(record for request in service.requests for record in request.events if record != b"bad")
    assert max(sent.values()) > 1, "nothing was sent again: the test shows nothing"


def test_without_an_answer_it_says_that_the_command_may_be_repeated(
    tmp_path: Path, service: Scripted, producer: str
) -> None:
    (tmp_path / "a.jsonl").write_text('{"n":1}')
    service.failures = [failing(grpc.StatusCode.RESOURCE_EXHAUSTED, "its share is used up", delay=3600)]
    command = ("ingest", "--token", "t", "--producer", producer, "--journal", "journal", "a.jsonl")
    said = opentrail(tmp_path, *command, code=1)
    assert "NOT_CONFIRMED" in said
    assert "its share is used up" in said
    assert "Repeat the same command: what was accepted already is not delivered again." in said
    assert "1 events accepted" in opentrail(tmp_path, *command)
    assert delivered_once(service) == ['{"n":1}']


def test_files_that_do_not_fit_the_journal_are_refused_and_nothing_is_sent(
    tmp_path: Path, service: Scripted, producer: str
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"n":"{name}"}}')
    command = ("ingest", "--token", "t", "--producer", producer, "--journal", "journal")
    opentrail(tmp_path, *command, "a.jsonl")
    said = opentrail(tmp_path, *command, "b.jsonl", code=1)
    assert "Give the journal's files first" in " ".join(said.split())
    (tmp_path / "a.jsonl").write_text('{"n":"other"}')
    assert "has changed since" in " ".join(opentrail(tmp_path, *command, "a.jsonl", code=1).split())
    (tmp_path / "a.jsonl").write_text('{"n":"a"}')
    opentrail(tmp_path, *command, "a.jsonl", "b.jsonl")
    assert delivered_once(service) == ['{"n":"a"}', '{"n":"b"}']


def test_whole_runs_that_are_repeated_are_delivered_once(
    tmp_path: Path, start: Callable[..., Running], kept_port: Port
) -> None:
    sent = write_events(tmp_path / "events.jsonl", 3_000)
    metrics = f"127.0.0.1:{kept_port.number}"
    up = start("up", "--account", ACCOUNT, OPENTRAIL_METRICS_ADDRESS=metrics)
    producer = address(up.read_until("Ctrl-C"), r"producer \(gRPC\)")

    def metric(name: str) -> float:
        with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=PATIENCE) as answer:
            found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    command = ("ingest", "events.jsonl", "--producer", producer, "--journal", "journal")
    killed = start(*command)
    wait_for(lambda: metric("opentrail_producer_events_accepted_total") > 0)
    kill(killed)
    for _ in range(2):
        assert f"{len(sent)} events accepted" in opentrail(tmp_path, *command)
    last = write_events(tmp_path / "last.jsonl", 10)
    opentrail(tmp_path, *command, "last.jsonl")
    expected = len(sent) + len(last)
    wait_for(lambda: len(delivered(tmp_path)) >= expected)
    wait_for(lambda: metric("opentrail_delivery_repeats_total") >= 2 * len(sent))
    time.sleep(2.5)  # two windows more: what would come twice had its time
    assert by_id(delivered(tmp_path)) == by_id([*sent, *last])
    up.stop()

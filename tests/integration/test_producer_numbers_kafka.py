"""Clients that repeat their calls because answers are lost, through two producers on Kafka: each event comes once."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from opentrail.evidence.times import format_time
from opentrail_backends.event_bus.batches import unpack
from opentrail_backends.event_bus.port import Partition
from opentrail_delivery.service import DeliveryService
from opentrail_producer.client import Accepted, ClientSettings, ProducerClient
from opentrail_producer.event_ids import numbered_event_id
from opentrail_producer.workers import reserve_port
from tests.crash.world import assert_exactly_once
from tests.integration.flaky_relay import FlakyRelay
from tests.integration.producer_service import FromTheStart
from tests.integration.repeating_caller import RepeatingCaller, events_of
from tests.pipeline import pipeline as pipelines
from tests.pipeline.pipeline import OTHER_REGION, REGION, Pipeline, pipeline

ROOT = Path(__file__).parents[2]
ACCOUNTS = ("111122223333", "444455556666")
CLIENT = bytes(range(16))
"""The id of a client of each account: numbers of one account say nothing about another's."""
RESTARTED = bytes(range(100, 116))
EVENTS, IN_NEW_REGION, OF_RESTARTED = 400, 60, 300
SEED = 20_261
FROM_THE_FUTURE = range(100, 140)
PATIENT = ClientSettings(
    batch_events=25, call_timeout=0.8, first_backoff=0.02, longest_backoff=0.2, give_up=40.0, linger=0.002
)


class Workers:
    """Producer processes, each with a port of its own that it gets again after a restart."""

    def __init__(self, state_url: str, bus_url: str, ports: Sequence[int]) -> None:
        self._urls = (state_url, bus_url)
        self._ports = ports
        self._processes = [self._start(port) for port in ports]

    def restart(self, index: int, number: signal.Signals) -> None:
        old = self._processes[index]
        old.send_signal(number)
        old.communicate(timeout=60)
        assert old.returncode == (0 if number is signal.SIGTERM else -number)
        self._processes[index] = self._start(self._ports[index])

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def _start(self, port: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.integration.producer_worker", *self._urls, f"127.0.0.1:{port}"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == f"ready {port}\n"
        return process


@pytest.fixture
def bus_url(kafka_bootstrap: str) -> str:
    prefix = f"numbers-{uuid.uuid4().hex[:12]}."
    return f"kafka://{kafka_bootstrap}?prefix={prefix}&replication=1&min_insync=1&metadata_max_age=0.5"


@pytest.fixture
def running(tmp_path: Path, kafka_bootstrap: str, bus_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setattr(pipelines, "_bus_url", lambda *_: bus_url)
    with pipeline(tmp_path, kafka=kafka_bootstrap) as opened:
        yield opened


@pytest.fixture
def workers(running: Pipeline, tmp_path: Path, bus_url: str) -> Iterator[tuple[Workers, list[int]]]:
    for account in ACCOUNTS:
        running.state.configuration.add_token(hashlib.sha256(account.encode()).digest(), account, "test")
    with ExitStack() as stack:
        holders = [stack.enter_context(reserve_port("127.0.0.1:0")) for _ in range(2)]
        ports = [holder.getsockname()[1] for holder in holders]
        started = Workers(f"sqlite:///{tmp_path}/state.db", bus_url, ports)
        stack.callback(started.close)
        yield started, ports


def repeats_of(*services: DeliveryService) -> float:
    return sum(service.metrics.repeats._value.get() for service in services)


def events_on_the_bus(running: Pipeline) -> Counter[tuple[str, str, bytes, int]]:
    """How often each number lies on the bus, by account, region and client."""
    reader = running.bus.reader("counting")
    reader.subscribe(FromTheStart(reader))
    ends = {Partition(region, 0): reader.bounds(Partition(region, 0)).end for region in running.bus.topics()}
    found: Counter[tuple[str, str, bytes, int]] = Counter()
    while ends:
        messages = reader.poll(20.0)
        assert messages, f"the bus gave nothing more before {ends}"
        for message in messages:
            batch = unpack(message.value)
            for first, last in batch.number_ranges:
                found.update((batch.account_id, batch.region, batch.client_id, n) for n in range(first, last + 1))
            if ends.get(message.partition) == message.offset + 1:
                del ends[message.partition]
    reader.close()
    return found


def wait_until_all_is_read(running: Pipeline) -> None:
    """Until delivery has passed all that the bus holds: a repeat that came through would be in a file."""
    reader = running.bus.reader("looking")

    def all_read() -> bool:
        positions = {(w["region"], w["partition"]): w["next_offset"] for w in running.state.ledger.windows()}
        return all(
            positions.get((region, 0), 0) >= reader.bounds(Partition(region, 0)).end for region in running.bus.topics()
        )

    running.wait_until(all_read, "delivery has read everything")
    reader.close()


def send_twice_over_a_restart(address: str, account: str) -> None:
    """A client dies on its way and begins anew under its id: it sends the same events in the same order."""
    events = events_of(account, REGION, OF_RESTARTED, late={})
    for count, patience in ((OF_RESTARTED // 2, 0.3), (OF_RESTARTED, None)):
        client = ProducerClient(address, region=REGION, token=account, client_id=RESTARTED, settings=PATIENT)
        outcomes = [client.send(event) for event in events[:count]]
        client.close(patience)
    wanted = [Accepted(numbered_event_id(account, REGION, RESTARTED, number)) for number in range(OF_RESTARTED)]
    assert [outcome.result(0) for outcome in outcomes] == wanted


@pytest.mark.kafka
def test_calls_that_are_repeated_through_two_producers_deliver_each_event_once(
    running: Pipeline, workers: tuple[Workers, list[int]]
) -> None:
    producers, ports = workers
    trails = [
        running.add_trail(f"audit-{account}", account_id=account, is_multi_region_trail=True) for account in ACCOUNTS
    ]
    first_delivery = running.start_delivery()
    soon = format_time(int(time.time()) + 15 * 60 + 15)  # too far in the future now, and not in fifteen seconds
    late = dict.fromkeys(FROM_THE_FUTURE, soon)
    with FlakyRelay(ports, SEED) as relay:
        callers = [
            RepeatingCaller(relay.address, account, region, events, client_id=CLIENT, seed=SEED + number)
            for number, (account, region, events) in enumerate(
                (account, region, events_of(account, region, count, late=late if region == REGION else {}))
                for account in ACCOUNTS
                for region, count in ((REGION, EVENTS), (OTHER_REGION, IN_NEW_REGION))
            )
        ]

        def accepted() -> int:
            return sum(len(caller.accepted) for caller in callers)

        for caller in callers:
            caller.start()
        try:
            running.wait_until(lambda: accepted() > EVENTS // 2, "some are accepted")
            producers.restart(0, signal.SIGKILL)
            running.bus.ensure_topic(OTHER_REGION, 1)  # what was refused is taken from now on
            running.wait_until(lambda: accepted() > EVENTS, "more are accepted")
            running.stop_delivery(first_delivery, timeout=0)  # as good as a crash
            second_delivery = running.start_delivery()
            producers.restart(1, signal.SIGTERM)
            for account in ACCOUNTS:
                send_twice_over_a_restart(relay.address, account)
        finally:
            for caller in callers:
                caller.join(90.0)
        assert relay.cuts > 5
        assert relay.delays > 5

    wanted = {
        account: [
            numbered_event_id(account, region, client_id, number)
            for region, client_id, count in (
                (REGION, CLIENT, EVENTS),
                (OTHER_REGION, CLIENT, IN_NEW_REGION),
                (REGION, RESTARTED, OF_RESTARTED),
            )
            for number in range(count)
        ]
        for account in ACCOUNTS
    }
    # The test shows what it says: answers were lost, verdicts changed, and events lie on the bus more than once.
    statuses = set().union(*(caller.refused for caller in callers))
    assert {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INVALID_ARGUMENT} <= statuses
    assert any(set(caller.first_verdicts.values()) == {"INVALID_EVENT_TIME"} for caller in callers)
    on_bus = events_on_the_bus(running)
    assert len(on_bus) == sum(map(len, wanted.values()))
    assert on_bus.total() > len(on_bus) + 100
    for account in ACCOUNTS:
        assert on_bus[account, REGION, CLIENT, 0] >= 1

    wait_until_all_is_read(running)
    for account, trail in zip(ACCOUNTS, trails, strict=True):
        running.wait_until_digested(len(wanted[account]), trail)
    running.stop_delivery()
    assert repeats_of(first_delivery, second_delivery) > 0
    evidence = running.seen()
    for account, trail in zip(ACCOUNTS, trails, strict=True):
        assert Counter(evidence.event_ids(trail.name)) == Counter(wanted[account])
    assert_exactly_once(evidence, [], [id_ for ids in wanted.values() for id_ in ids])

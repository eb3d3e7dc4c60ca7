"""Several delivery services share the partitions of one consumer group while some come and some go."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from opentrail.events.partition import partition_of
from opentrail_delivery.service import DeliveryService
from tests.crash.world import REGION, assert_exactly_once
from tests.pipeline.pipeline import Pipeline, pipeline

PARTITIONS = 4


def one_account_of_each_partition() -> list[str]:
    accounts = (f"{number:012d}" for number in itertools.count(100000000001))
    found: dict[int, str] = {}
    while len(found) < PARTITIONS:
        account = next(accounts)
        found.setdefault(partition_of(account, PARTITIONS), account)
    return list(found.values())


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    kafka = request.getfixturevalue("kafka_bootstrap") if request.param == "kafka" else None
    with pipeline(tmp_path, kafka=kafka, partitions=PARTITIONS) as opened:
        yield opened


class Senders:
    """One thread for each account that sends without a pause until it is told to stop."""

    def __init__(self, running: Pipeline, accounts: list[str]) -> None:
        self.sent: dict[str, list[str]] = {account: [] for account in accounts}
        self._running = running
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(account,)) for account in accounts]
        for thread in self._threads:
            thread.start()

    def _send(self, account: str) -> None:
        while not self._stop.wait(0.02):
            self.sent[account] += self._running.send(3, account=account)

    def stop(self) -> list[str]:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return [id_ for ids in self.sent.values() for id_ in ids]


def delivered_by(service: DeliveryService) -> float:
    value: float = service.metrics.events._value.get()
    return value


def test_each_event_is_delivered_once_while_services_come_and_go(running: Pipeline) -> None:
    accounts = one_account_of_each_partition()
    trails = {account: running.add_trail(f"audit-{account}", account_id=account) for account in accounts}
    first = running.start_delivery()
    senders = Senders(running, accounts)
    try:
        running.wait_until(lambda: delivered_by(first) > 20, "the first service delivers")
        second = running.start_delivery()
        running.wait_until(lambda: delivered_by(second) > 20, "the second service got partitions and delivers")
        running.stop_delivery(first)
        took_over = delivered_by(second)
        running.wait_until(lambda: delivered_by(second) > took_over + 40, "the second service delivers all")
        third = running.start_delivery()
        running.wait_until(lambda: delivered_by(third) > 20, "the third service got partitions and delivers")
        running.stop_delivery(second, timeout=0)  # as good as a crash: what is being put is left
    finally:
        sent = senders.stop()
    for account, trail in trails.items():
        running.wait_until_digested(len(senders.sent[account]), trail)
    running.stop_delivery()
    evidence = running.seen()
    for account, trail in trails.items():
        assert sorted(evidence.event_ids(trail.name)) == sorted(senders.sent[account])
    assert {region for _, _, region in evidence.chains()} == {REGION}
    # No file beside those, each in one digest, no chain forked.
    assert_exactly_once(evidence, [], sent)

"""Nobody is held up by another's bucket, and nothing that an account does changes anything for another."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from opentrail.trails.configuration import Kind
from opentrail.trails.trail import Trail
from opentrail_backends.object_store.port import (
    ObjectStoreError,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
    StoreThrottled,
)
from opentrail_backends.state.port import NewChange
from opentrail_producer.generated.producer_pb2 import EventNumbers, PublishEventsRequest
from tests.crash.world import ACCOUNT, REGION, assert_chains_unforked
from tests.pipeline.pipeline import EVENT, FAST, SPOOL_BUCKET, Pipeline, pipeline

SETTINGS = replace(
    FAST, park_soon_seconds=0.2, silent_seconds=1.0, park_seconds=3.0, parked_retry_seconds=0.5, digest_seconds=2
)
HOSTILE = "666677778888"
HOSTILE_BUCKET = "hostile-logs"
HOSTILE_EVENTS_PER_SECOND = 40
BATCH = 5


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Pipeline]:
    """All accounts are on one partition, so that their files lie in the same windows."""
    with pipeline(tmp_path, partitions=1, settings=SETTINGS) as opened:
        opened.store.create_bucket(SPOOL_BUCKET)
        yield opened


class BadBuckets:
    """Buckets that take nothing: each put fails in its own way, until all is well again."""

    def __init__(self, running: Pipeline) -> None:
        self._works = threading.Event()
        self.ways: dict[str, Callable[[], ObjectStoreError]] = {}
        self.tries: Counter[str] = Counter()
        running.watched.before_put = self._before_put

    def mend(self) -> None:
        """They work again, and silence ends."""
        self._works.set()

    def is_silent(self) -> ObjectStoreError:
        """No answer for a long time; whether it was put, the client cannot know."""
        self._works.wait(60)
        return OutcomeUnknown("no answer")

    def _before_put(self, bucket: str, _key: str, _body: bytes, _options: PutOptions) -> None:
        if bucket in self.ways and not self._works.is_set():
            self.tries[bucket] += 1
            error = self.ways[bucket]()
            raise error


def assert_each_once(running: Pipeline, expected: dict[str, Counter[str]]) -> None:
    """Each trail has just these events in digested files, no file is in no digest or in two, no chain is forked."""
    evidence = running.seen()
    for trail, ids in expected.items():
        assert ids, "a check on nothing proves nothing"
        assert Counter(evidence.event_ids(trail)) == ids
    assert evidence.digested() == Counter(dict.fromkeys(evidence.log_files, 1))
    assert_chains_unforked(evidence)


def wait_until_the_spool_is_empty(running: Pipeline) -> None:
    """A copy is removed after its file is known as delivered, so perhaps after a digest has named that."""
    running.wait_until(lambda: running.keys_in(SPOOL_BUCKET) == [], "an empty spool")


# --- Three bad buckets among ten


def test_seven_trails_are_delivered_while_the_buckets_of_three_others_fail(running: Pipeline) -> None:
    trails: dict[str, Trail] = {}
    for number in range(10):
        account, bucket = f"{100000000001 + number}", f"logs-{number}"
        running.store.create_bucket(bucket)
        running.more_buckets.append(bucket)
        trails[account] = running.add_trail(f"audit-{number}", account_id=account, s3_bucket_name=bucket)
    bad = BadBuckets(running)
    bad.ways = {
        "logs-0": lambda: PutRefused("denied", "AccessDenied"),
        "logs-1": bad.is_silent,
        "logs-2": lambda: StoreThrottled("slow down"),
    }
    good = [account for account, trail in trails.items() if trail.s3_bucket_name not in bad.ways]
    sent: dict[str, Counter[str]] = {account: Counter() for account in trails}
    running.start_delivery(with_spool=True)
    try:
        # More windows than may wait for their puts.
        for _ in range(SETTINGS.windows_in_flight + 2):
            for account in trails:
                sent[account].update(running.send(2, account=account))
            for account in good:
                running.wait_until_digested(sent[account].total(), trails[account])
        assert bad.tries.keys() == bad.ways.keys()
        assert not any(running.seen(bucket).log_files for bucket in bad.ways)
    finally:
        bad.mend()
    for account, trail in trails.items():
        running.wait_until_digested(sent[account].total(), trail)
    wait_until_the_spool_is_empty(running)
    running.stop_delivery()
    assert_each_once(running, {trail.name: sent[account] for account, trail in trails.items()})


# --- A hostile account


class Attack:
    """An account that calls without a pause, with everything that it knows of its neighbour."""

    def __init__(self, running: Pipeline, client_id: bytes, ids: list[str]) -> None:
        self.accepted: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self._running = running
        self._client_id = client_id
        self._ids = ids
        self._first = itertools.count(0, BATCH)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        for turn in itertools.count():
            if self._stop.is_set():
                return
            first = next(self._first)
            client_id = self._client_id if turn % 2 else secrets.token_bytes(16)
            request = numbered(
                HOSTILE, [self._ids[(first + n) % len(self._ids)] for n in range(BATCH)], first, client_id
            )
            status, ids = call(self._running, HOSTILE, request)
            with self._lock:
                self.statuses[status] += 1
                self.accepted.update(ids)


def numbered(account: str, ids: list[str], first: int, client_id: bytes) -> PublishEventsRequest:
    records = [{**EVENT, "eventID": id_, "requestParameters": {"of": account}} for id_ in ids]
    events = [json.dumps(record).encode() for record in records]
    return PublishEventsRequest(events=events, region=REGION, numbers=EventNumbers(client_id=client_id, first=first))


def call(running: Pipeline, account: str, request: PublishEventsRequest) -> tuple[str, list[str]]:
    """The status, and the `eventID`s of what was accepted."""
    try:
        answer = running.stub.PublishEvents(
            request, metadata=(("authorization", f"Bearer token-of-{account}"),), timeout=20
        )
    except grpc.RpcError as error:
        return error.code().name, []
    return "OK", [result.accepted.event_id for result in answer.results if result.HasField("accepted")]


@contextmanager
def attacked(running: Pipeline, client_id: bytes, ids: list[str]) -> Iterator[Attack]:
    attack = Attack(running, client_id, ids)
    try:
        yield attack
    finally:
        attack.stop()


def test_a_hostile_account_changes_nothing_for_its_neighbour(running: Pipeline) -> None:
    neighbour = running.add_trail("audit")
    running.store.create_bucket(HOSTILE_BUCKET)
    running.more_buckets.append(HOSTILE_BUCKET)
    hostile = running.add_trail("audit-hostile", account_id=HOSTILE, s3_bucket_name=HOSTILE_BUCKET)
    bad = BadBuckets(running)
    bad.ways = {HOSTILE_BUCKET: lambda: PutRefused("denied", "AccessDenied")}
    limits = {"events_per_second": HOSTILE_EVENTS_PER_SECOND}
    running.state.configuration.apply([NewChange(Kind.ACCOUNT, HOSTILE, limits)])
    before = {account: running.send(1, account=account) for account in (ACCOUNT, HOSTILE)}  # makes their tokens
    running.start_delivery(with_spool=True)

    ids = [f"6f1c1c58-3f0a-4b0e-9d0c-{number:012}" for number in range(60 * BATCH)]
    client_id = secrets.token_bytes(16)
    try:
        with attacked(running, client_id, ids) as attack:
            for first in range(0, len(ids), BATCH):
                mine = ids[first : first + BATCH]
                assert call(running, ACCOUNT, numbered(ACCOUNT, mine, first, client_id)) == ("OK", mine)
            running.wait_until_digested(len(ids) + 1, neighbour)
            assert attack.statuses.keys() == {"OK", "RESOURCE_EXHAUSTED"}
            assert not running.seen(HOSTILE_BUCKET).log_files
    finally:
        bad.mend()
    running.wait_until_digested(attack.accepted.total() + 1, hostile)
    wait_until_the_spool_is_empty(running)
    running.stop_delivery()
    expected = {"audit": Counter(ids + before[ACCOUNT]), "audit-hostile": attack.accepted + Counter(before[HOSTILE])}
    assert_each_once(running, expected)
    for key, records in running.seen().log_files.items():
        assert all(f"/{record['recipientAccountId']}/" in key for record in records)

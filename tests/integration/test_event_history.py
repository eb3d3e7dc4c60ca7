"""Event history the whole way: gRPC, bus, index, LookupEvents, asked by unmodified AWS clients."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import EventBus
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, StateStore
from opentrail_control_plane.history.indexer import GROUP, HistoryIndexer
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.rates import NO_LIMITS
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from opentrail_producer.client import Accepted, ProducerClient
from opentrail_producer.server import serve
from opentrail_producer.settings import ProducerSettings
from tests.servers.aws_cli import AwsCli

ACCOUNT, OTHER = "111122223333", "444455556666"
REGIONS = ("us-east-1", "eu-west-1")
NOW = int(time.time())
SECONDS = 5.0
"""Within which an accepted event must be found."""


@dataclass
class Installation:
    """A producer, a control plane and any number of indexers."""

    bus: EventBus
    state: StateStore
    producer: str
    url: str
    indexers: list[HistoryIndexer] = field(default_factory=list)

    def start_indexer(self) -> HistoryIndexer:
        self.indexers.append(HistoryIndexer(self.bus, self.state.history))
        self.indexers[-1].start()
        return self.indexers[-1]

    def send(self, records: Sequence[dict[str, Any]], account_id: str = ACCOUNT, region: str = REGIONS[0]) -> list[str]:
        """The ids of the records, once all were accepted."""
        with ProducerClient(self.producer, region=region, token=account_id) as client:
            outcomes = [future.result(60) for future in [client.send(record) for record in records]]
        return [outcome.event_id for outcome in outcomes if isinstance(outcome, Accepted)]

    def cloudtrail(self, account_id: str = ACCOUNT, region: str = REGIONS[0]) -> Any:
        return boto3.client(
            "cloudtrail",
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=f"AKIA{account_id}",
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 1}),
        )

    def found(self, account_id: str = ACCOUNT, region: str = REGIONS[0], **parameters: Any) -> list[str]:
        """The ids of all events that a lookup gives, page after page."""
        pages = self.cloudtrail(account_id, region).get_paginator("lookup_events").paginate(**parameters)
        return [event["EventId"] for page in pages for event in page["Events"]]

    def wait_for(self, ids: Sequence[str], **lookup: Any) -> None:
        until(lambda: set(ids) <= set(self.found(**lookup)))


def until(is_so: Callable[[], bool], seconds: float = 60.0) -> float:
    """Waits until it is so; returns how long that took."""
    started = time.monotonic()
    while not is_so():
        assert time.monotonic() - started < seconds
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def bus_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "embedded":
        return f"embedded:///{tmp_path}/bus.db"
    prefix = f"history-{uuid.uuid4().hex[:12]}."
    bootstrap = request.getfixturevalue("kafka_bootstrap")
    return f"kafka://{bootstrap}?prefix={prefix}&replication=1&min_insync=1&metadata_max_age=0.5"


@pytest.fixture
def installation(bus_url: str, tmp_path: Path) -> Iterator[Installation]:
    with ExitStack() as stack:
        state = open_state_store(f"sqlite:///{tmp_path}/state.db", secret_key=bytes(32))
        stack.callback(state.close)
        state.migrate()
        for account_id in (ACCOUNT, OTHER):
            state.configuration.put_access_key(AccessKey(f"AKIA{account_id}", "secret", account_id))
            token_hash = hashlib.sha256(account_id.encode()).digest()
            state.configuration.add_token(token_hash, account_id, "sender")
        bus = open_event_bus(bus_url)
        stack.callback(bus.close)
        for region in REGIONS:
            bus.ensure_topic(region, 2)
        producer = serve(ProducerSettings(), state.configuration, bus, ledger=state.ledger)
        producer_port = producer.start()
        stack.callback(producer.drain, 5)
        ports = Ports(targets=None, intake=None, regions=REGIONS, token_key=bytes(32))
        server = ControlPlaneServer(ControlPlaneSettings(), state, time.time, ports=ports, limits=NO_LIMITS)
        url = f"http://127.0.0.1:{server.start()}"
        stack.callback(server.stop, 5)
        running = Installation(bus, state, f"localhost:{producer_port}", url)
        stack.callback(lambda: [indexer.stop(20) for indexer in running.indexers])
        running.start_indexer()
        yield running


def call(number: int, name: str = "GetUser", **members: Any) -> dict[str, Any]:
    return {
        "userIdentity": {"type": "IAMUser", "userName": "alice", "accessKeyId": "AKIAALICE"},
        "eventTime": datetime.fromtimestamp(NOW - number, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "eventType": "AwsApiCall",
        "readOnly": name.startswith("Get"),
        "requestParameters": {"userName": f"user-{number}"},
        **members,
    }


def by(key: str, value: str) -> list[dict[str, str]]:
    return [{"AttributeKey": key, "AttributeValue": value}]


def test_what_the_producer_accepted_is_found_within_five_seconds(installation: Installation) -> None:
    installation.wait_for(installation.send([call(0)]))  # until the indexer has its partitions
    took = []
    for number in range(1, 6):
        (event_id,) = installation.send([call(number)])
        looked_up = {"LookupAttributes": by("EventId", event_id)}
        took.append(until(lambda asked=looked_up: bool(installation.found(**asked))))  # type: ignore[misc]
    # All but one: this machine may stand still for a while.
    assert sorted(took)[-2] < SECONDS, took
    (event,) = installation.cloudtrail().lookup_events(LookupAttributes=by("ResourceName", "user-5"))["Events"]
    shown = json.loads(event["CloudTrailEvent"])
    assert shown["recipientAccountId"] == ACCOUNT
    assert event["EventTime"].strftime("%Y-%m-%dT%H:%M:%SZ") == shown["eventTime"]
    assert (event["Username"], event["ReadOnly"], event["EventName"]) == ("alice", "true", "GetUser")


def test_boto3_pages_through_an_accounts_events_and_nobody_elses(installation: Installation) -> None:
    ids = installation.send([call(number, "GetUser" if number % 2 else "CreateUser") for number in range(130)])
    abroad = installation.send([call(1)], region=REGIONS[1])
    theirs = installation.send([call(1)], OTHER)
    data = {"eventCategory": "Data", "managementEvent": False, "eventSource": "s3.amazonaws.com"}
    assert len(installation.send([call(1, "GetObject", **data)])) == 1
    installation.wait_for(ids)
    installation.wait_for(abroad, region=REGIONS[1])
    installation.wait_for(theirs, account_id=OTHER)

    assert installation.found(PaginationConfig={"PageSize": 20}) == ids
    assert installation.found(LookupAttributes=by("EventName", "CreateUser")) == ids[::2]
    assert installation.found(LookupAttributes=by("ReadOnly", "true"), PaginationConfig={"PageSize": 7}) == ids[1::2]
    assert installation.found(region=REGIONS[1]) == abroad
    assert installation.found(OTHER) == theirs
    assert installation.found(EventCategory="insight") == []
    events = installation.cloudtrail().lookup_events(MaxResults=10)["Events"]
    within = {"StartTime": events[9]["EventTime"], "EndTime": events[5]["EventTime"]}
    assert set(ids[5:10]) <= set(installation.found(**within)) <= set(ids[4:11])


def test_the_aws_cli_looks_events_up(installation: Installation, aws_cli: list[AwsCli]) -> None:
    ids = installation.send([call(number, "GetUser" if number % 2 else "CreateUser") for number in range(70)])
    installation.wait_for(ids)
    command = ("cloudtrail", "lookup-events", "--output", "json", "--endpoint-url", installation.url)
    env = {"AWS_ACCESS_KEY_ID": f"AKIA{ACCOUNT}", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": REGIONS[0]}

    def looked_up(*arguments: str) -> dict[str, Any]:
        result = aws_cli[0].run(*command, *arguments, env=env)
        assert result.returncode == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    everything = looked_up()
    assert [event["EventId"] for event in everything["Events"]] == ids
    some = looked_up("--lookup-attributes", "AttributeKey=EventName,AttributeValue=CreateUser", "--max-items", "10")
    assert [event["EventId"] for event in some["Events"]] == ids[0:20:2]
    rest = looked_up(
        "--lookup-attributes",
        "AttributeKey=EventName,AttributeValue=CreateUser",
        "--starting-token",
        some["NextToken"],
    )
    assert [event["EventId"] for event in rest["Events"]] == ids[20::2]
    wrong = aws_cli[0].run(*command, "--start-time", "2026-01-02", "--end-time", "2026-01-01", env=env)
    assert "InvalidTimeRangeException" in wrong.stderr


def test_indexers_share_the_partitions_and_go_on_for_each_other(installation: Installation) -> None:
    places = [(account, region) for account in (ACCOUNT, OTHER) for region in REGIONS]
    sent: dict[tuple[str, str], list[str]] = {place: [] for place in places}

    def send(numbers: range) -> None:
        for place in places:
            sent[place] += installation.send([call(number) for number in numbers], *place)

    send(range(10))
    installation.start_indexer()
    send(range(10, 20))
    installation.indexers[0].stop(20)
    send(range(20, 30))
    for (account_id, region), ids in sent.items():
        installation.wait_for(ids, account_id=account_id, region=region)
        assert installation.found(account_id, region) == ids


def test_the_groups_hints_tell_that_nothing_is_left(installation: Installation) -> None:
    installation.wait_for(installation.send([call(n) for n in range(20)]))

    def is_done() -> bool:
        lag = installation.bus.lag(GROUP)
        return all(bounds.end == 0 or (hint is not None and hint.offset == bounds.end) for hint, bounds in lag.values())

    until(is_done)

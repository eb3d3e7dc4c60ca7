"""How many requests an account may make in a region: two `serve control-plane` on one PostgreSQL count together.

Measured over real seconds, by concurrent boto3 clients that try nothing twice; half of them ask one process each.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, StateStore
from tests.integration.api_load import Answer, Call, ask, ask_at_once, ask_for, span, taken_within
from tests.integration.cli_process import Running, address

pytestmark = [pytest.mark.kafka, pytest.mark.postgresql]

REGION, OTHER_REGION = "eu-central-1", "us-east-1"
CLIENTS = 8
NO_RETRIES = Config(retries={"total_max_attempts": 1})


@dataclass
class Installation:
    """Two processes of the control plane, and accounts that nobody has used yet."""

    state: StateStore
    endpoints: list[str]
    channels: dict[tuple[str, str], str] = field(default_factory=dict)
    """ARNs by account and region."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(600000000001))

    def new_account(self) -> str:
        account = str(next(self._numbers))
        self.state.configuration.put_access_key(AccessKey(f"AKIA{account}", "secret", account, name="load"))
        return account

    def client(self, account: str, service: str, number: int, region: str = REGION, config: Config = NO_RETRIES) -> Any:
        """A client with a connection of its own, of one of the processes."""
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            endpoint_url=self.endpoints[number % len(self.endpoints)],
            aws_access_key_id=f"AKIA{account}",
            aws_secret_access_key="secret",
            config=config,
        )


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, postgres_database: Callable[[], str], kafka_bootstrap: str
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("rates")
    environment = of_cluster(folder, postgres_database(), kafka_bootstrap)
    state = migrated_state(folder, environment)
    processes: list[Running] = []
    try:
        processes += (started(folder / name, environment) for name in ("first", "second"))
        yield Installation(state, [address(process.output, "ready on", " ") for process in processes])
        for process in processes:
            process.stop()
    finally:
        for process in processes:
            process.close()
        state.close()


def of_cluster(folder: Path, postgres_url: str, kafka: str) -> dict[str, str]:
    """Settings that several processes share."""
    (folder / "secret.key").write_bytes(os.urandom(32))
    return {
        "OPENTRAIL_STATE": postgres_url,
        "OPENTRAIL_EVENT_BUS": f"kafka://{kafka}?prefix=rates-{uuid.uuid4().hex[:12]}.&replication=1&min_insync=1",
        "OPENTRAIL_OBJECT_STORE": f"file://{folder}/buckets",
        "OPENTRAIL_KEYS": f"file://{folder}/keys",
        "OPENTRAIL_SECRET_KEY_FILE": f"{folder}/secret.key",
        "OPENTRAIL_REGIONS": f"{REGION},{OTHER_REGION}",
    }


def migrated_state(folder: Path, environment: dict[str, str]) -> StateStore:
    state = open_state_store(environment["OPENTRAIL_STATE"], secret_key=(folder / "secret.key").read_bytes())
    state.migrate()
    return state


def started(folder: Path, environment: dict[str, str]) -> Running:
    folder.mkdir()
    process = Running(folder, "serve", "control-plane", **environment)
    process.read_until("ready on")
    return process


# --- The classes of operations


def reads(installation: Installation, account: str, number: int, region: str = REGION) -> Call:
    """All reads count together."""
    client = installation.client(account, "cloudtrail", number, region)
    calls = itertools.cycle([client.list_trails, client.describe_trails, client.list_public_keys])

    def call() -> None:
        next(calls)()

    return call


def writes(installation: Installation, account: str, number: int, region: str = REGION) -> Call:
    """All writes count together; these find no trail, which is an answer too."""
    client = installation.client(account, "cloudtrail", number, region)
    calls = itertools.cycle([client.start_logging, client.stop_logging, client.delete_trail])

    def call() -> None:
        with pytest.raises(client.exceptions.TrailNotFoundException):
            next(calls)(Name="no-such-trail")

    return call


def lookups(installation: Installation, account: str, number: int, region: str = REGION) -> Call:
    return installation.client(account, "cloudtrail", number, region).lookup_events


def audit_events(installation: Installation, account: str, number: int, region: str = REGION) -> Call:
    """Real events into a channel of the account's own; it is made by the first who asks."""
    client = installation.client(account, "cloudtrail-data", number, region)
    channel = channel_of(installation, account, region)

    def call() -> None:
        event = {"id": "one", "eventData": activity(account)}
        answer = client.put_audit_events(channelArn=channel, auditEvents=[event])
        assert [one["id"] for one in answer["successful"]] == ["one"], answer["failed"]

    return call


def channel_of(installation: Installation, account: str, region: str) -> str:
    known = installation.channels
    if (account, region) not in known:
        client = installation.client(account, "cloudtrail", 0, region)
        to_the_bus = [{"Type": "EVENT_DATA_STORE", "Location": "event-bus"}]
        made = client.create_channel(Name="load", Source="Custom", Destinations=to_the_bus)
        known[account, region] = str(made["ChannelArn"])
    return known[account, region]


def activity(account: str) -> str:
    return json.dumps(
        {
            "version": "0.1",
            "userIdentity": {"type": "CustomUser", "principalId": "user"},
            "eventSource": "com.example.app",
            "eventName": "Rule.Created",
            "eventTime": "2026-01-02T03:04:05Z",
            "UID": str(uuid.uuid4()),
            "recipientAccountId": account,
        }
    )


CLASSES = [
    pytest.param(reads, 10, id="reads"),
    pytest.param(writes, 1, id="writes"),
    pytest.param(lookups, 2, id="LookupEvents"),
    pytest.param(audit_events, 100, id="PutAuditEvents"),
]
Made = Callable[..., Call]


# --- Over seconds


@pytest.mark.parametrize(("calls_of", "limit"), CLASSES)
def test_in_no_second_more_are_taken_than_the_limit_and_the_limit_is_reached(
    installation: Installation, calls_of: Made, limit: int
) -> None:
    account, seconds = installation.new_account(), 6
    calls = [calls_of(installation, account, number) for number in range(CLIENTS)]
    time.sleep(1)
    answers = ask_for(seconds, calls)
    assert taken_within(answers, 1.0) <= limit
    taken = sum(answer.taken for answer in answers)
    assert 0.8 * limit * seconds <= taken <= limit * (seconds + 1)
    assert len(answers) > taken, "nothing was throttled: that proves no limit"


def test_another_account_and_another_region_are_not_touched(installation: Installation) -> None:
    busy, other = installation.new_account(), installation.new_account()
    bystanders = {
        (calls_of, limit): [
            calls_of(installation, other, 0),
            calls_of(installation, other, 1, OTHER_REGION),
            calls_of(installation, busy, 1, OTHER_REGION),
        ]
        for calls_of, limit in ((reads, 10), (writes, 1), (lookups, 2))
    }
    flood = [calls_of(installation, busy, number) for calls_of in (reads, writes, lookups) for number in range(2)]
    with ThreadPoolExecutor(4) as threads:
        flooding = threads.submit(ask_for, 5, flood)
        # Each at nearly its limit: a second's part, and a little, after each answer.
        calm = [threads.submit(ask_for, 5, calls, 1.1 / limit) for (_, limit), calls in bystanders.items()]
        answers = [answer for one in calm for answer in one.result()]
        assert sum(not answer.taken for answer in flooding.result()) > 100
    assert len(answers) > 3 * 5
    assert all(answer.taken for answer in answers)


def test_classes_have_limits_of_their_own(installation: Installation) -> None:
    account = installation.new_account()
    flood = [reads(installation, account, number) for number in range(4)]
    calls = [writes(installation, account, 0), lookups(installation, account, 1)]
    with ThreadPoolExecutor(1) as thread:
        flooding = thread.submit(ask_for, 3, flood)
        answers = ask_for(3, calls, 1.1)
        assert not all(answer.taken for answer in flooding.result())
    assert len(answers) >= 4
    assert all(answer.taken for answer in answers)


# --- At the limit


@pytest.mark.parametrize(("calls_of", "limit"), CLASSES)
@pytest.mark.parametrize("beyond", [-1, 0, 1])
def test_what_is_above_the_limit_is_refused_until_a_second_has_passed(
    installation: Installation, calls_of: Made, limit: int, beyond: int
) -> None:
    count = limit + beyond
    if count == 0:
        pytest.skip("one below one is none")
    answers, calls = within_a_second(installation, calls_of, count)
    assert sum(answer.taken for answer in answers) == min(count, limit)
    time.sleep(1)
    assert ask(calls[0]).taken


def within_a_second(installation: Installation, calls_of: Made, count: int) -> tuple[list[Answer], list[Call]]:
    """So many calls of an account that made none before, all judged within a second; a slow machine tries again."""
    for _ in range(10):
        account = installation.new_account()
        calls = [calls_of(installation, account, number) for number in range(min(CLIENTS, count))]
        time.sleep(1.1)
        answers = ask_at_once(calls, count)
        if span(answers) < 1:
            return answers, calls
    raise AssertionError(f"this machine cannot make {count} calls within a second")


# --- What clients see


def test_a_throttled_call_is_an_error_that_aws_clients_try_again(installation: Installation) -> None:
    account = installation.new_account()
    first = installation.client(account, "cloudtrail", 0)
    answer = refusal_of(first.list_trails)
    assert (answer["Error"]["Code"], answer["Error"]["Message"]) == ("ThrottlingException", "Rate exceeded")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert answer["ResponseMetadata"]["RequestId"]
    patient = installation.client(
        account, "cloudtrail", 1, config=Config(retries={"mode": "standard", "total_max_attempts": 8})
    )
    attempts = [patient.list_trails()["ResponseMetadata"]["RetryAttempts"] for _ in range(25)]
    assert max(attempts) > 0


def refusal_of(call: Callable[[], object]) -> Any:
    """The first one that comes; it comes within as many calls as fit into a second, and one."""
    for _ in range(1_000):
        try:
            call()
        except ClientError as error:
            return error.response
    raise AssertionError("nothing was refused")


# --- One port


def test_two_processes_share_a_port_and_one_goes_without_a_lost_request(
    tmp_path: Path, postgres_url: str, kafka_bootstrap: str
) -> None:
    environment = of_cluster(tmp_path, postgres_url, kafka_bootstrap) | {"OPENTRAIL_SHARE_PORT": "true"}
    with_port = dict(environment)
    state = migrated_state(tmp_path, environment)
    processes = [started(tmp_path / "first", environment)]
    try:
        url = address(processes[0].output, "ready on", " ")
        with_port["OPENTRAIL_CONTROL_PLANE_ADDRESS"] = url.removeprefix("http://")
        processes.append(started(tmp_path / "second", with_port))
        installation = Installation(state, [url])
        accounts = [installation.new_account() for _ in range(20)]
        # A connection belongs to one of the two; that neither has any is one chance in half a million.
        clients = [installation.client(account, "cloudtrail", 0) for account in accounts]
        for client in clients:
            client.list_trails()
        processes[0].process.send_signal(signal.SIGTERM)
        for _ in range(5):
            for client in clients:
                client.list_trails()
            time.sleep(0.2)
        assert processes[0].process.wait(30) == 0
        assert processes[1].process.poll() is None
        processes[1].stop()
    finally:
        for process in processes:
            process.close()
        state.close()

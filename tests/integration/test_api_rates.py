"""How many requests an account may make in a region: two `serve control-plane` on one PostgreSQL count together.

Measured over real seconds, by concurrent boto3 clients that try nothing twice; half of them ask one process each.
"""

from __future__ import annotations

import itertools
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.api_installation import OTHER_REGION, REGION, Installation, migrated_state, of_cluster, started
from tests.integration.api_load import Answer, Call, Replay, ask, ask_at_once, ask_for, span, taken_within, unfounded
from tests.integration.cli_process import address

pytestmark = [pytest.mark.kafka, pytest.mark.postgresql]

CLIENTS = 16


@pytest.fixture(scope="module")
def installation(
    tmp_path_factory: pytest.TempPathFactory, postgres_database: Callable[[], str], kafka_bootstrap: str
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("rates")
    environment = of_cluster(folder, postgres_database(), kafka_bootstrap)
    with ExitStack() as opened:
        state = opened.enter_context(migrated_state(folder, environment))
        processes = [opened.enter_context(started(folder / name, environment)) for name in ("first", "second")]
        endpoints = [address(process.output, "ready on", " ") for process in processes]
        yield Installation(state, endpoints, opened)
        for process in processes:
            process.stop()


# --- The classes of operations


def reads(installation: Installation, account: str, number: int, region: str = REGION) -> Call:
    """All reads count together."""
    client = installation.client(account, "cloudtrail", number, region)
    calls = itertools.cycle([client.list_trails, client.describe_trails, client.list_public_keys])
    return lambda: next(calls)()  # noqa: PLW0108 - another one at each call


def writes(installation: Installation, account: str, number: int, region: str = REGION) -> Call:
    """All writes count together. These find no trail, which is an answer too."""
    client = installation.client(account, "cloudtrail", number, region)
    calls = itertools.cycle([client.start_logging, client.stop_logging, client.delete_trail])
    return lambda: refused("TrailNotFoundException", next(calls), Name="no-such-trail")


def lookups(installation: Installation, account: str, number: int, region: str = REGION) -> Call:
    client = installation.client(account, "cloudtrail", number, region)
    return lambda: client.lookup_events(MaxResults=1)


def audit_events(installation: Installation, account: str, number: int, region: str = REGION) -> Call:
    """Requests that boto3 signed, sent again and again: there are to be many. They find no channel."""
    client = installation.client(account, "cloudtrail-data", number, region)
    channel = f"arn:aws:cloudtrail:{region}:{account}:channel/{uuid.UUID(int=0)}"
    replay = Replay(client, "put_audit_events", channelArn=channel, auditEvents=[{"id": "one", "eventData": "{}"}])
    installation.opened.callback(replay.close)
    return lambda: refused("ChannelNotFound", replay)


def refused(code: str, call: Callable[..., object], **members: Any) -> None:
    """Makes a call that is to be refused so; any other refusal is raised."""
    try:
        call(**members)
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
    else:
        raise AssertionError(f"not refused with {code}")


Made = Callable[..., Call]
CLASSES: dict[str, tuple[Made, int]] = {
    "reads": (reads, 10),
    "writes": (writes, 1),
    "LookupEvents": (lookups, 2),
    "PutAuditEvents": (audit_events, 100),
}


# --- Over seconds


@pytest.mark.parametrize(("calls_of", "limit"), CLASSES.values(), ids=CLASSES)
def test_in_no_second_more_are_taken_than_the_limit_and_the_limit_is_reached(
    installation: Installation, calls_of: Made, limit: int
) -> None:
    account = installation.new_account()
    calls = [calls_of(installation, account, number) for number in range(CLIENTS)]
    answers = ask_for(6, calls, at_least=limit)
    assert taken_within(answers, 1.0) <= limit
    taken = sum(answer.taken for answer in answers)
    assert limit <= taken <= limit * (span(answers) + 1)
    assert len(answers) > taken, "nothing was throttled: that proves no limit"
    assert unfounded(answers, limit, 1.0) == []


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
        flooding = threads.submit(ask_for, 5, flood, at_least=100)
        # Each at nearly its limit: a second's part, and a little, after each answer.
        calm = [threads.submit(ask_for, 5, calls, 1.1 / limit, at_least=2) for (_, limit), calls in bystanders.items()]
        answers = [answer for one in calm for answer in one.result()]
        assert sum(not answer.taken for answer in flooding.result()) > 100
    assert len(answers) > 3 * 5
    assert all(answer.taken for answer in answers)


def test_classes_have_limits_of_their_own(installation: Installation) -> None:
    account = installation.new_account()
    flood = [reads(installation, account, number) for number in range(4)]
    calls = [writes(installation, account, 0), lookups(installation, account, 1)]
    with ThreadPoolExecutor(1) as thread:
        flooding = thread.submit(ask_for, 3, flood, at_least=10)
        answers = ask_for(3, calls, 1.1, at_least=2)
        assert not all(answer.taken for answer in flooding.result())
    assert all(answer.taken for answer in answers)


# --- At the limit


AROUND_LIMITS = [
    pytest.param(calls_of, limit, limit + beyond, id=f"{limit + beyond} {name}")
    for name, (calls_of, limit) in CLASSES.items()
    for beyond in (-1, 0, 1)
    if limit + beyond > 0
]


@pytest.mark.parametrize(("calls_of", "limit", "count"), AROUND_LIMITS)
def test_what_is_above_the_limit_is_refused_until_a_second_has_passed(
    installation: Installation, calls_of: Made, limit: int, count: int
) -> None:
    answers, calls = within_a_second(installation, calls_of, count, limit)
    assert sum(answer.taken for answer in answers) == min(count, limit)
    time.sleep(1)
    assert ask(calls[0]).taken


def within_a_second(
    installation: Installation, calls_of: Made, count: int, limit: int
) -> tuple[list[Answer], list[Call]]:
    """So many calls of an account that made none before, all judged within a second; a slow machine tries again.

    Calls that the limit leaves room for are taken in however long a time they come.
    """
    for _ in range(25):
        account = installation.new_account()
        calls = [calls_of(installation, account, number) for number in range(min(CLIENTS, count))]
        time.sleep(1.1)
        answers = ask_at_once(calls, count)
        if span(answers) < 1:
            return answers, calls
    if count <= limit:
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
    attempts: list[int] = []
    while len(attempts) < 25 or (max(attempts) == 0 and len(attempts) < 1_000):
        attempts.append(patient.list_trails()["ResponseMetadata"]["RetryAttempts"])
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


def test_two_processes_share_a_port_and_one_goes_while_clients_ask(
    tmp_path: Path, postgres_url: str, kafka_bootstrap: str
) -> None:
    """With the retries that AWS's clients make by themselves, for a request that met the closing of its connection."""
    environment = of_cluster(tmp_path, postgres_url, kafka_bootstrap) | {"OPENTRAIL_SHARE_PORT": "true"}
    retries = Config(retries={"mode": "standard", "total_max_attempts": 3})
    with ExitStack() as opened:
        state = opened.enter_context(migrated_state(tmp_path, environment))
        first = opened.enter_context(started(tmp_path / "first", environment))
        url = address(first.output, "ready on", " ")
        there = {"OPENTRAIL_CONTROL_PLANE_ADDRESS": url.removeprefix("http://")}
        second = opened.enter_context(started(tmp_path / "second", environment | there))
        assert address(second.output, "ready on", " ") == url
        installation = Installation(state, [url], opened)
        accounts = [installation.new_account() for _ in range(20)]
        # A connection belongs to one of the two: that all go to the same has a chance of one in half a million.
        clients = [installation.client(account, "cloudtrail", 0, config=retries) for account in accounts]
        for going in (None, first, None, None):
            if going is not None:
                going.process.send_signal(signal.SIGTERM)
            for client in clients:
                assert client.list_trails()["Trails"] == []
            time.sleep(0.5)
        first.process.communicate(timeout=30)
        assert first.process.returncode == 0
        second.stop()

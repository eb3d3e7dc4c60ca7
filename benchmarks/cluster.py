"""A small cluster whose S3 server can be made to fail, with an account and a trail for each bucket.

Kafka, MinIO behind a relay, producers and one delivery: each a process of its own and set as by default, but for
windows of some seconds. The relay, in this process, knows when each object came to lie in its bucket.
"""

from __future__ import annotations

import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import msgspec

from benchmarks.processes import Process, ProcessFailed, opentrail
from opentrail.evidence.log_file import read_log_file
from opentrail.evidence.object_keys import LogFileKey, parse_key
from opentrail_backends.object_store.probe import PROBE_KEY
from opentrail_cli.apply import apply_declaration
from opentrail_cli.composition import Parts
from opentrail_cli.credentials import make_token
from opentrail_cli.declared import Declaration, DeclaredAccount, DeclaredToken, DeclaredTrail
from opentrail_cli.settings import read_settings
from opentrail_producer.client import PUBLISH_EVENTS
from opentrail_producer.generated.producer_pb2 import EventNumbers, PublishEventsRequest, PublishEventsResponse
from tests.servers import kafka, s3
from tests.servers.s3 import S3Server
from tests.servers.session import ServerSession
from tests.soak.faulty_s3 import FaultyS3

REGION = "us-east-1"
BATCH_EVENTS = 10
_NAMESPACE = uuid.UUID("6f1c1c58-3f0a-4b0e-9d0c-7d5f3c9b5a10")


@dataclass(slots=True)
class Cluster:
    """Running processes and how to reach them."""

    proxy: FaultyS3
    minio: S3Server
    addresses: Sequence[str]
    """Of the producers."""
    tokens: Mapping[str, str]
    """By account."""


def bucket_of(account: str) -> str:
    """The bucket of an account's trail."""
    return f"bench-{account}"


def event_id(account: str, number: int) -> str:
    """The `eventID` of an account's event: anybody can work it out."""
    return str(uuid.uuid5(_NAMESPACE, f"{account} {number}"))


@contextmanager
def cluster(accounts: Sequence[DeclaredAccount], *, producers: int = 1, **settings: str) -> Iterator[Cluster]:
    """A fresh one; `settings` in lower case as in a settings file. Raises Unavailable, ProcessFailed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="opentrail-bench-")))
        session = ServerSession.begin()
        stack.callback(session.end, keep_logs=False)
        broker = kafka.prepare(session.place("kafka"))
        session.run(broker)
        minio, program = s3.prepare_minio(session.place("minio"))
        session.run(program)
        for account in accounts:
            minio.client.create_bucket(Bucket=bucket_of(account.id))
        proxy = stack.enter_context(FaultyS3(minio.endpoint))
        env = {
            "OPENTRAIL_DATA_DIRECTORY": str(folder / "data"),
            "OPENTRAIL_EVENT_BUS": f"kafka://{broker.address}?replication=1&min_insync=1",
            "OPENTRAIL_OBJECT_STORE": f"s3://?endpoint={proxy.endpoint}&region={minio.region}",
            "OPENTRAIL_REGIONS": REGION,
            "OPENTRAIL_PARTITIONS": "1",
            "OPENTRAIL_PRODUCER_ADDRESS": "127.0.0.1:0",
            "OPENTRAIL_LOG_LEVEL": "error",
            "AWS_ACCESS_KEY_ID": minio.access_key,
            "AWS_SECRET_ACCESS_KEY": minio.secret_key,
            **{f"OPENTRAIL_{name.upper()}": value for name, value in settings.items()},
        }
        with Parts(read_settings(None, env)) as parts:
            apply_declaration(_declaration(accounts), parts.state.configuration, parts.secret_key)
            tokens = {account.id: make_token(parts.secret_key, account.id, "bench") for account in accounts}
        names = ["delivery", *(f"producer {number}" for number in range(producers))]
        ready = []
        for name in names:
            process = stack.enter_context(Process(name, opentrail("serve", name.split()[0]), env, folder))
            ready.append(process.read_line())
        yield Cluster(proxy, minio, [line.split()[-1] for line in ready[1:]], tokens)


def _declaration(accounts: Sequence[DeclaredAccount]) -> Declaration:
    return Declaration(
        accounts=list(accounts),
        tokens=[DeclaredToken(account_id=account.id, name="bench") for account in accounts],
        trails=[
            DeclaredTrail(name=f"of-{account.id}", account_id=account.id, s3_bucket_name=bucket_of(account.id))
            for account in accounts
        ],
    )


@dataclass
class Sender:
    """Sends an account's events in batches at an even pace, and remembers when each was accepted."""

    cluster: Cluster
    account: str
    pause: float
    """Seconds between two batches."""
    accepted_at: dict[str, float] = field(default_factory=dict)
    """On the monotonic clock, by `eventID`."""
    answers: list[tuple[float, float]] = field(default_factory=list)
    """When each answer came, and the seconds that it took."""
    statuses: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client_id = uuid.uuid5(_NAMESPACE, self.account).bytes
        self._stop = threading.Event()
        thread = ThreadPoolExecutor(1)
        self._sending = thread.submit(self._run)
        thread.shutdown(wait=False)

    def stop(self) -> None:
        """Sends no more. Raises ProcessFailed if an event was not accepted."""
        self._stop.set()
        self._sending.result()

    def _run(self) -> None:
        metadata = (("authorization", f"Bearer {self.cluster.tokens[self.account]}"),)
        with grpc.insecure_channel(self.cluster.addresses[0]) as channel:
            publish = publisher(channel)
            first = 0
            while not self._stop.wait(self.pause):
                request = batch(self.account, range(first, first + BATCH_EVENTS), self.client_id)
                started = time.monotonic()
                try:
                    answer = publish(request, metadata=metadata, timeout=60, wait_for_ready=True)
                except grpc.RpcError as error:
                    self._count(error.code().name)
                    continue  # the same events again
                now = time.monotonic()
                self._count("OK")
                self.answers.append((now, now - started))
                for result in answer.results:
                    if not result.HasField("accepted"):
                        raise ProcessFailed(f"{self.account}: an event was not accepted: {result}")
                    self.accepted_at[result.accepted.event_id] = now
                first += BATCH_EVENTS

    def _count(self, status: str) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + 1


def publisher(channel: grpc.Channel) -> grpc.UnaryUnaryMultiCallable[PublishEventsRequest, PublishEventsResponse]:
    """The call that publishes a batch."""
    return channel.unary_unary(PUBLISH_EVENTS, PublishEventsRequest.SerializeToString, PublishEventsResponse.FromString)


def batch(account: str, numbers: Sequence[int], client_id: bytes, ids_of: str | None = None) -> PublishEventsRequest:
    """A batch of an account's events, under the ids of another account's events if `ids_of` names one."""
    records = [
        {
            "eventID": event_id(ids_of or account, number),
            "userIdentity": {"type": "AWSAccount", "principalId": account, "accountId": account},
            "sourceIPAddress": "198.51.100.7",
            "userAgent": "benchmark",
            "requestParameters": {"number": number},
            "responseElements": None,
            "eventTime": "2026-01-15T10:00:00Z",
            "eventSource": "ec2.amazonaws.com",
            "eventName": "RunInstances",
            "eventType": "AwsApiCall",
            "readOnly": False,
            "managementEvent": True,
            "eventCategory": "Management",
        }
        for number in numbers
    ]
    return PublishEventsRequest(
        events=[msgspec.json.encode(record) for record in records],
        region=REGION,
        numbers=EventNumbers(client_id=client_id, first=numbers[0]),
    )


def delivered(cluster: Cluster, account: str) -> list[tuple[str, float]]:
    """(`eventID`, when its log file came to lie in the bucket) of every event in an account's bucket."""
    bucket = bucket_of(account)
    client = cluster.minio.client
    found = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", ()):
            key = entry["Key"]
            if key == PROBE_KEY or not isinstance(parse_key(key), LogFileKey):
                continue
            body = read_log_file(client.get_object(Bucket=bucket, Key=key)["Body"].read())
            records: list[dict[str, Any]] = msgspec.json.decode(body)["Records"]
            found += [(record["eventID"], cluster.proxy.stored_at[bucket, key]) for record in records]
    return found


def wait_until_delivered(cluster: Cluster, sender: Sender, seconds: float) -> float:
    """When each accepted event of the sender lay in the bucket, exactly once. Raises ProcessFailed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = delivered(cluster, sender.account)
        ids = [id_ for id_, _ in found]
        if ids and set(ids) >= sender.accepted_at.keys():
            if len(ids) != len(sender.accepted_at):
                raise ProcessFailed(f"{len(ids)} events for {len(sender.accepted_at)} that were accepted")
            return max(stored for _, stored in found)
        time.sleep(1)
    raise ProcessFailed(f"account {sender.account}: {len(sender.accepted_at)} accepted, {len(ids)} delivered")


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the greatest of some times, in seconds."""

    count: int
    median: float
    p99: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        ordered = sorted(values)
        return cls(len(ordered), statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])

    def __str__(self) -> str:
        return f"p50 {self.median * 1e3:8.1f} ms   p99 {self.p99 * 1e3:8.1f} ms   max {self.greatest * 1e3:8.1f} ms"

    def against(self, other: Spread) -> str:
        """How many times the other's."""
        return (
            f"p50 {self.median / other.median:8.2f} x    p99 {self.p99 / other.p99:8.2f} x"
            f"    max {self.greatest / other.greatest:8.2f} x"
        )


def lags(cluster: Cluster, sender: Sender, chosen: Callable[[float], bool]) -> list[float]:
    """Seconds from an event's acceptance until it lay in the bucket, of those that were accepted at chosen times."""
    return [
        stored - sender.accepted_at[id_]
        for id_, stored in delivered(cluster, sender.account)
        if chosen(sender.accepted_at[id_])
    ]

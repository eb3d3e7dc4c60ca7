"""A whole OpenTrail in this process: gRPC producer, event bus, delivery and its stores, as an operator runs them.

`World` (tests/crash) holds the stores and reads the bucket. Here the real services run in their own threads, and a
test waits for what it can see from outside: objects in the bucket, and what `status()` says.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc

from opentrail.trails.configuration import Kind, Organization, organization_body
from opentrail.trails.trail import Trail
from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import EventBus
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.port import ObjectInfo, ObjectStore
from opentrail_backends.object_store.s3_settings import Credentials
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import NewChange
from opentrail_delivery.maintenance import FORMATS
from opentrail_delivery.service import DeliveryPorts, DeliveryService
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import Spool
from opentrail_producer.generated import producer_pb2, producer_pb2_grpc
from opentrail_producer.server import serve
from opentrail_producer.settings import ProducerSettings
from tests.crash.world import ACCOUNT, REGION, Evidence, World
from tests.pipeline.watched import WatchedStore
from tests.servers.s3 import S3Server

OTHER_REGION = "us-east-1"
SPOOL_BUCKET = "opentrail-spool"
KMS_ARN = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/5b1d0c9e-4f55-4f3c-9d5c-0b8f6f2f7a11"
"""What trails name as their key; the store knows it by another name."""
FAST = DeliverySettings(window_seconds=0.3, digest_seconds=2, put_threads=4)
_CALL_SECONDS = 20.0


@dataclass
class Pipeline(World):
    """Stores, a producer that listens, and as many delivery services as the test starts."""

    settings: DeliverySettings = FAST
    more_buckets: list[str] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)
    """Keys that the test itself put."""
    _tokens: dict[str, str] = field(default_factory=dict)
    _services: list[DeliveryService] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watched = WatchedStore(self.store)
        self.store = self.watched
        self.server = serve(ProducerSettings(), self.state.configuration, self.bus)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.server.start()}")
        self.stub = producer_pb2_grpc.ProducerStub(self.channel)  # type: ignore[no-untyped-call]  # generated

    # --- sending ----------------------------------------------------------------------------------

    def offer(
        self, records: Iterable[dict[str, Any] | bytes], account: str = ACCOUNT, region: str = REGION
    ) -> list[str | None]:
        """Sends one batch; the `eventID` of each event that was accepted, None for a refused one, in order."""
        if account not in self._tokens:
            token = self._tokens[account] = f"token-of-{account}"
            self.state.configuration.add_token(hashlib.sha256(token.encode()).digest(), account, "test")
        events = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
        answer = self.stub.PublishEvents(
            producer_pb2.PublishEventsRequest(events=events, region=region),
            metadata=(("authorization", f"Bearer {self._tokens[account]}"),),
            timeout=_CALL_SECONDS,
        )
        assert len(answer.results) == len(events)
        return [result.accepted.event_id if result.HasField("accepted") else None for result in answer.results]

    def publish_over_grpc(
        self, records: Sequence[dict[str, Any] | bytes], account: str = ACCOUNT, region: str = REGION
    ) -> list[str]:
        """Sends one batch; every event must be accepted. Returns their `eventID`s, in order."""
        ids = [id_ for id_ in self.offer(records, account, region) if id_ is not None]
        assert len(ids) == len(records)
        return ids

    def send(self, count: int, account: str = ACCOUNT, region: str = REGION, **changes: Any) -> list[str]:
        """Sends management events (`changes`: other members); returns their ids."""
        records = [{**EVENT, "requestParameters": {"number": number}, **changes} for number in range(count)]
        return self.publish_over_grpc(records, account, region)

    # --- configuration ----------------------------------------------------------------------------

    def put_organization(self, organization: Organization) -> None:
        change = NewChange(Kind.ORGANIZATION, organization.id, organization_body(organization))
        self.state.configuration.apply([change])

    def delete_trail(self, trail: Trail) -> None:
        self.state.configuration.apply([NewChange(Kind.TRAIL, trail.incarnation, None)])

    # --- delivery ---------------------------------------------------------------------------------

    def start_delivery(
        self, *, with_spool: bool = False, formats: Mapping[str, int] = FORMATS, **replaced: Any
    ) -> DeliveryService:
        """Starts one delivery service, of a release that knows these formats; ports may be replaced."""
        spool = Spool(self.store, SPOOL_BUCKET) if with_spool else None
        ports = {
            "event_bus": self.bus,
            "object_store": self.store,
            "state_store": self.state,
            "key_management": self.keys,
            "spool": spool,
        }
        service = DeliveryService(self.settings, DeliveryPorts(**{**ports, **replaced}), formats=formats)
        service.start()
        self._services.append(service)
        return service

    def stop_delivery(self, *services: DeliveryService, timeout: float = 30.0) -> None:
        """Stops these, or all that run; what is not put after `timeout` seconds is left to the next owner."""
        for service in services or tuple(self._services):
            service.stop(timeout)
            self._services.remove(service)

    def close(self) -> None:
        self.stop_delivery()
        self.channel.close()
        self.server.drain(5)

    # --- waiting ----------------------------------------------------------------------------------

    def wait_until(self, holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Waits for something that shows in the bucket or in a status; fails the test if it does not come about."""
        deadline = time.monotonic() + seconds
        with self.watched.changed:
            while not holds():
                statuses = [service.status() for service in self._services]
                assert time.monotonic() < deadline, f"{what}: not within {seconds} s; {statuses}"
                self.watched.changed.wait(0.1)

    def wait_until_digested(self, count: int, trail: Trail, seconds: float = 60.0) -> None:
        """Until published digests name log files with so many events of a trail."""

        def digested() -> bool:
            return len(self.seen().event_ids(trail.name)) >= count

        self.wait_until(digested, f"{count} digested events of {trail.name}", seconds)

    def wait_until_halted(self, service: DeliveryService, what: str) -> str:
        """Until a partition or chain whose name begins so stands still; returns the reason."""

        def reasons() -> list[str]:
            return [reason for name, reason in service.status()["halted"].items() if name.startswith(what)]

        self.wait_until(lambda: bool(reasons()), f"{what} halted", 30.0)
        return reasons()[0]

    def wait_until_region_is_open(self, region: str) -> None:
        """Until the producer knows a region that was made after it started."""
        self.wait_until(lambda: region in self.server._publisher.topics(), f"region {region}", 30.0)

    def wait_until_all_ended(self) -> None:
        """Until every chain has its final digest, and that one is put."""

        def ended() -> bool:
            chains = self.state.chains
            return all(chain.ended for chain in chains.all_chains()) and not chains.unpublished(1)

        self.wait_until(ended, "all chains ended")

    def seen(self, *buckets: str) -> Evidence:
        """What lies in these or all buckets, but for what the test put there itself (`foreign`).

        While a trail moves, a digest in one place may name files in the other: look at both.
        """
        everything = Evidence()
        for bucket in buckets or (self.bucket, *self.more_buckets):
            others = SimpleNamespace(get=self.store.get, list=self._without_foreign)
            one = World(self.bus, cast("ObjectStore", others), self.state, self.keys, bucket).evidence()
            everything.log_files.update(one.log_files)
            everything.digests.update(one.digests)
        return everything

    def keys_in(self, bucket: str = "") -> list[str]:
        """The keys of all objects in a bucket."""
        return [info.key for info in self.store.list(bucket or self.bucket)]

    def _without_foreign(self, bucket: str, prefix: str) -> list[ObjectInfo]:
        return [info for info in self.store.list(bucket, prefix) if info.key not in self.foreign]


EVENT: dict[str, Any] = {
    "eventVersion": "1.11",
    "userIdentity": {
        "type": "IAMUser",
        "principalId": "AIDAEXAMPLE",
        "arn": f"arn:aws:iam::{ACCOUNT}:user/alice",
        "accountId": ACCOUNT,
        "userName": "alice",
    },
    "eventTime": "2026-01-15T10:00:00Z",
    "eventSource": "ec2.amazonaws.com",
    "eventName": "RunInstances",
    "sourceIPAddress": "198.51.100.7",
    "userAgent": "aws-cli/2",
    "requestParameters": None,
    "responseElements": None,
    "readOnly": False,
    "eventType": "AwsApiCall",
    "managementEvent": True,
    "eventCategory": "Management",
}


@contextmanager
def pipeline(
    folder: Path,
    *,
    kafka: str | None = None,
    s3: S3Server | None = None,
    s3_endpoint: str | None = None,
    regions: Sequence[str] = (REGION,),
    partitions: int = 1,
    settings: DeliverySettings = FAST,
) -> Iterator[Pipeline]:
    """Opens everything: Kafka or an embedded bus, an S3 server or a local directory. SQLite holds the state.

    `s3_endpoint`: another address of the S3 server, with something between that watches.
    """
    with ExitStack() as stack:
        state = open_state_store(f"sqlite:///{folder}/state.db", secret_key=b"k" * 32)
        stack.callback(state.close)
        state.migrate()
        bus = open_event_bus(_bus_url(folder, kafka))
        stack.callback(bus.close)
        _make_topics(bus, regions, partitions)
        keys = open_key_management(f"file://{folder}/keys")
        if s3 is not None:
            store = open_object_store(s3_url(s3, s3_endpoint), credentials=Credentials(s3.access_key, s3.secret_key))
            bucket = s3.new_bucket()
        else:
            store, bucket = open_object_store(f"file://{folder}/objects", keys), "opentrail-logs"
            store.create_bucket(bucket)
        stack.callback(store.close)
        running = Pipeline(bus, store, state, keys, bucket, settings=settings)
        stack.callback(running.close)
        yield running


def s3_url(s3: S3Server, endpoint: str | None = None) -> str:
    """The object store's URL of an S3 server."""
    sse = f"kms_key={KMS_ARN}={s3.kms_key_id}" if s3.kms_key_id else "sse=none"
    return f"s3://?endpoint={endpoint or s3.endpoint}&region={s3.region}&allow_http=true&{sse}"


def _bus_url(folder: Path, kafka: str | None) -> str:
    if kafka is None:
        return f"embedded:///{folder}/bus.db"
    return f"kafka://{kafka}?prefix=pipeline-{uuid.uuid4().hex[:12]}.&replication=1&min_insync=1&metadata_max_age=0.5"


def _make_topics(bus: EventBus, regions: Sequence[str], partitions: int) -> None:
    for region in regions:
        bus.ensure_topic(region, partitions)

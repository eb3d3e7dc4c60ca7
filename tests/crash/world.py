"""A small OpenTrail whose delivery runs by hand: every port is real, every step can be made to fail.

The loops of `DeliveryService` are turned here one round at a time in one thread, so that a test decides
what happens between two steps, and a "restart" is a new set of objects on the same stores.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from opentrail.events.batch import EventBatch, SelectorClass, group_of, ranges_of
from opentrail.events.partition import partition_of
from opentrail.evidence.digest import parse_digest
from opentrail.evidence.log_file import read_log_file
from opentrail.evidence.object_keys import LogFileKey, parse_key
from opentrail.trails.configuration import Kind, trail_body
from opentrail.trails.trail import Trail
from opentrail_backends.event_bus.batches import pack
from opentrail_backends.event_bus.port import EventBus, EventBusError, EventReader, Partition
from opentrail_backends.key_management.port import KeyManagement, KeyManagementError
from opentrail_backends.object_store.port import ObjectStore
from opentrail_backends.object_store.probe import PROBE_KEY
from opentrail_backends.state.port import Chains, Ledger, NewChange, PublicKeys, StateError, StateStore
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.digest_builder import BuilderTools, DigestBuilder
from opentrail_delivery.digest_put import DigestPublisher, PublisherTools
from opentrail_delivery.key_ring import KeyRing
from opentrail_delivery.log_file_put import PutTools
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.parked_files import ParkedFiles, ParkedTools
from opentrail_delivery.partition_delivery import DeliveryTools
from opentrail_delivery.partition_share import PartitionShare
from opentrail_delivery.put_schedule import PutSchedule
from opentrail_delivery.rate_limits import RateLimits
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.signed_heads import HeadSigner, HeadTools, SignedHeads
from opentrail_delivery.spool import Spool
from opentrail_delivery.spool_space import SpoolSpace
from opentrail_delivery.status import DeliveryStatus
from tests.crash.evidence import Evidence, assert_chains_unforked, assert_exactly_once

__all__ = [
    "ACCOUNT",
    "BEGINNING",
    "REGION",
    "Crash",
    "Evidence",
    "Inline",
    "Worker",
    "World",
    "assert_chains_unforked",
    "assert_exactly_once",
]

REGION = "eu-central-1"
ACCOUNT = "111122223333"
BEGINNING = 1_760_000_000  # eventTime of the first event, seconds


class Crash(BaseException):
    """The process dies here: nothing below the test catches it."""


@dataclass
class World:
    """The stores that outlive a crash, and the trails."""

    bus: EventBus
    store: ObjectStore
    state: StateStore
    keys: KeyManagement
    bucket: str
    spool: Spool | None = None
    settings: DeliverySettings = field(
        default_factory=lambda: DeliverySettings(window_seconds=0, digest_seconds=1, key_seconds=2, put_threads=4)
    )
    published: list[str] = field(default_factory=list)
    sequence: int = 0

    def add_trail(self, name: str, **changes: Any) -> Trail:
        trail = Trail(
            incarnation=str(uuid.uuid4()),
            name=name,
            account_id=ACCOUNT,
            home_region=REGION,
            s3_bucket_name=self.bucket,
            log_file_validation_enabled=True,
            is_logging=True,
            logging_session=1,
            started_logging_at=self.state.configuration.now(),
        )
        trail = replace(trail, **changes)
        self.put_trail(trail)
        return trail

    def put_trail(self, trail: Trail) -> None:
        self.state.configuration.apply([NewChange(Kind.TRAIL, trail.incarnation, trail_body(trail))])
        # The bus's clock and the state store's are both this machine's: the next message comes after the change.
        time.sleep(0.003)

    def publish(self, count: int, account: str = ACCOUNT, region: str = REGION, **wanted: Any) -> list[str]:
        """Puts one batch of new events on the bus, as the producer does; returns their ids."""
        ids = [str(uuid.uuid4()) for _ in range(count)]
        self.put_on_bus(ids, account, region, **wanted)
        self.published += ids
        return ids

    def put_on_bus(
        self,
        ids: list[str],
        account: str = ACCOUNT,
        region: str = REGION,
        client_id: bytes = b"",
        numbers: Sequence[int] = (),
        **wanted: Any,
    ) -> None:
        """One message with these events, numbered by a client or not."""
        selector_class = SelectorClass("Management", "ec2.amazonaws.com", "RunInstances", "AwsApiCall", False, ())
        selector_class = selector_class._replace(**wanted)
        records = [
            json.dumps({"eventID": id_, "recipientAccountId": account, "eventName": selector_class.event_name}).encode()
            for id_ in ids
        ]
        times = [BEGINNING + self.sequence + i for i in range(len(ids))]
        self.sequence += len(ids)
        group = group_of(selector_class, records, [len(r) for r in records], times, numbers=numbers)
        topic = self.bus.topics()[region]
        partition = Partition(region, partition_of(account, topic.partitions))
        batch = EventBatch(account, region, [group], client_id, ranges_of(numbers))
        publisher = self.bus.publisher()
        publisher.publish(partition, account.encode(), pack(batch)).result(30)
        publisher.close(10)

    def worker(self, **replaced: Any) -> Worker:
        return Worker(self, **replaced)

    # --- what lies in the bucket ------------------------------------------------------------------

    def evidence(self, prefix: str = "", bucket: str | None = None) -> Evidence:
        """Reads a bucket with nothing but the object store."""
        found = Evidence()
        for info in self.store.list(bucket or self.bucket, prefix):
            if info.key == PROBE_KEY:
                continue  # there for a moment when a bucket is checked
            key = parse_key(info.key)
            stored = self.store.get(bucket or self.bucket, info.key)
            if isinstance(key, LogFileKey):
                found.log_files[info.key] = json.loads(read_log_file(stored.body))["Records"]
            else:
                found.digests[info.key] = (key, parse_digest(read_log_file(stored.body)))
        return found


class Worker:
    """One delivery process's objects. Ports may be replaced by ones that fail."""

    def __init__(
        self,
        world: World,
        *,
        ledger: Ledger | None = None,
        chains: Chains | None = None,
        public_keys: PublicKeys | None = None,
        store: ObjectStore | None = None,
        reader: Callable[[EventReader], EventReader] = lambda reader: reader,
    ) -> None:
        self.world = world
        state = world.state
        self.status = DeliveryStatus()
        self.metrics = DeliveryMetrics()
        self.reader = reader(world.bus.reader(world.settings.group))
        self._digest_putter = ThreadPoolExecutor(world.settings.put_threads)
        settings = world.settings
        feed = ConfigurationFeed(state.configuration)
        puts = PutTools(
            store=CheckedStore(store or world.store),
            spool=world.spool,
            health=BucketHealth(
                settings.parked_retry_seconds, soon=settings.park_soon_seconds, silent=settings.silent_seconds
            ),
            metrics=self.metrics,
            status=self.status,
            space=SpoolSpace(ledger or state.ledger, settings.spool_bytes),
            park_soon_seconds=settings.park_soon_seconds,
            park_seconds=settings.park_seconds,
        )
        limits = RateLimits(settings.trail_bytes_per_second, settings.bucket_requests_per_second)
        self._putter = PutSchedule(puts, settings.put_threads, limits, silent=settings.silent_seconds)
        self.parked = ParkedFiles(
            ParkedTools(
                ledger=ledger or state.ledger,
                puts=puts,
                feed=feed,
                executor=Inline(),
                limits=limits,
                settings=settings,
            )
        )
        self.share = PartitionShare(
            self.reader,
            DeliveryTools(
                ledger=ledger or state.ledger,
                reader=self.reader,
                feed=feed,
                codec=fastest_codec(),
                putter=self._putter,
                puts=puts,
                settings=world.settings,
            ),
            lambda: time.time_ns() // 1_000_000,
        )
        keys = KeyRing(public_keys or state.public_keys, world.keys, valid_seconds=world.settings.key_seconds)
        signer = HeadSigner(chains or state.chains, keys, self.metrics, settings.parked_retry_seconds)
        self.builder = DigestBuilder(
            BuilderTools(
                chains=chains or state.chains,
                calls=state.calls,
                ledger=ledger or state.ledger,
                feed=feed,
                event_bus=world.bus,
                key_ring=keys,
                settings=world.settings,
            )
        )
        self.publisher = DigestPublisher(
            PublisherTools(
                chains=chains or state.chains,
                public_keys=state.public_keys,
                key_ring=keys,
                store=puts.store,
                health=puts.health,
                putter=self._digest_putter,
                metrics=self.metrics,
                status=self.status,
                signer=signer,
            )
        )
        self.heads = SignedHeads(
            HeadTools(chains or state.chains, state.public_keys, signer, puts.store, self._digest_putter, self.metrics),
            settings.heads_bucket,
            settings.parked_retry_seconds,
        )
        self.reader.subscribe(self.share)

    def turn(self) -> None:
        """One round of everything that a delivery process does."""
        self.share.run_once()
        rounds = (self.parked.run_once, self.builder.run_once, self.publisher.run_once, self.heads.run_once)
        for step in rounds:
            with suppress(StateError, KeyManagementError, EventBusError):
                step()

    def run_until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        """Turns until something holds; fails the test if it never does."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, f"did not come about in {seconds} s: {self.status.snapshot()}"
            self.turn()

    def run_until_digested(self, trail: Trail, events: int, seconds: float = 60.0) -> None:
        """Until so many events of a trail lie in log files that its published digests name."""

        def done() -> bool:
            prefix = f"{trail.s3_key_prefix}/" if trail.s3_key_prefix else ""
            evidence = self.world.evidence(prefix, trail.s3_bucket_name)
            return len(evidence.event_ids(trail.name)) >= events

        self.run_until(done, seconds)

    def close(self) -> None:
        """Stops in order, or dies: what is open stays as it is."""
        self.share.abandon()
        self.reader.close()
        self._putter.close()
        self._digest_putter.shutdown(wait=True)


class Inline(Executor):
    """Calls at once, in the caller's thread; a crash in it is the caller's."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future

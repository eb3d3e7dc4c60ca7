"""Makes the evidence that is tampered with: by the whole pipeline, on an S3 server or in a local directory.

Records go over gRPC to a producer, over a bus to delivery, and from there as log files, digests and signed heads into
their buckets: four chains, of two accounts, two regions and two trails. Only the clocks are moved by hand, so that the
seven hours of their life pass in seconds, and each run has as many files. The objects get the times of those clocks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import grpc

from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store import open_object_store
from opentrail_backends.object_store.port import ObjectStore, PutOptions
from opentrail_backends.object_store.s3_settings import Credentials
from opentrail_backends.state import open_state_store
from opentrail_cli.reading import export_public_keys
from opentrail_cli.realistic_events import realistic_events
from opentrail_delivery.settings import DeliverySettings
from opentrail_producer.generated import producer_pb2, producer_pb2_grpc
from opentrail_producer.server import serve
from opentrail_producer.settings import ProducerSettings
from tests.crash.world import Worker, World
from tests.pipeline.pipeline import s3_url
from tests.servers.s3 import S3Server
from tests.tampering.attacker.places import LocalPlace, S3Place
from tests.tampering.attacker.scene import Scene, chain_in
from tests.tampering.attacker.stolen_keys import signing_keys, storage_key

ACCOUNT, OTHER_ACCOUNT = "444455556666", "777788889999"
REGIONS = REGION, OTHER_REGION = "us-east-1", "eu-central-1"
MADE = {
    "main": ("audit", ACCOUNT, ACCOUNT, REGION),
    "region": ("audit", ACCOUNT, ACCOUNT, OTHER_REGION),
    "trail": ("second", ACCOUNT, ACCOUNT, REGION),
    "account": ("audit", OTHER_ACCOUNT, OTHER_ACCOUNT, REGION),
}
"""The chains: trail, its owner, account, region."""
BEGINNING = 1_772_352_000
"""When logging is switched on: 2026-03-01T08:00:00Z."""
HOUR, MINUTE = 3600, 60
DIGESTS = 7
"""Of the main chain; of the others those that there are when it has so many."""
EVENTS = 4
"""In each log file of every 20 minutes."""
SETTINGS = DeliverySettings(window_seconds=0, key_seconds=5 * HOUR // 2, put_threads=4)


@contextmanager
def evidence_on(s3: S3Server, folder: Path) -> Iterator[tuple[Scene, S3Place]]:
    """The evidence in a bucket of a server."""
    store = open_object_store(s3_url(s3), credentials=Credentials(s3.access_key, s3.secret_key))
    place = S3Place(s3.client, s3.new_bucket())
    yield _live(store, place, s3.new_bucket(), folder), place


@contextmanager
def evidence_in(folder: Path) -> Iterator[tuple[Scene, LocalPlace]]:
    """The evidence in a local directory, encrypted."""
    store = open_object_store(f"file://{folder}/objects", open_key_management(f"file://{folder}/keys"))
    for bucket in ("audit-logs", "audit-heads"):
        store.create_bucket(bucket)
    place = LocalPlace(folder / "objects", "audit-logs", storage_key(folder / "keys"))
    yield _live(store, place, "audit-heads", folder), place


class _Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def seconds(self) -> float:
        return self.now

    def milliseconds(self) -> int:
        return self.now * 1000


class _TimedStore:
    """An object store that notes when objects were put, by the clock that is moved by hand."""

    def __init__(self, store: ObjectStore, clock: _Clock) -> None:
        self._store = store
        self._clock = clock
        self.put_at: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        self._store.put(bucket, key, body, options)
        self.put_at[key] = self._clock.now


@dataclass
class _Life:
    """All services, and the clock of all of them."""

    world: World
    clock: _Clock
    stub: Any
    worker: Worker
    tokens: dict[str, str] = field(default_factory=dict)

    def send(self, records: list[bytes], account: str, region: str) -> None:
        """One batch over gRPC; all of it must be accepted."""
        if account not in self.tokens:
            self.tokens[account] = f"token-of-{account}"
            hashed = hashlib.sha256(self.tokens[account].encode()).digest()
            self.world.state.configuration.add_token(hashed, account, "test")
        answer = self.stub.PublishEvents(
            producer_pb2.PublishEventsRequest(events=records, region=region),
            metadata=(("authorization", f"Bearer {self.tokens[account]}"),),
            timeout=20.0,
        )
        assert records, f"there are not enough realistic events of {account} in {region}"
        assert all(result.HasField("accepted") for result in answer.results), answer

    def settle(self) -> None:
        """Turns delivery until everything on the bus is delivered, and every digest that is due is put."""
        chains, deadline = self.world.state.chains, time.monotonic() + 60
        while True:
            self.worker.turn()
            lags = self.world.bus.lag(SETTINGS.group).values()
            behind = any(bounds.end > (committed.offset if committed else bounds.start) for committed, bounds in lags)
            due = any(not chain.ended and chain.next_end <= self.clock.now for chain in chains.all_chains())
            if not behind and not due and not chains.unpublished(1) and not chains.heads_to_put(1):
                return
            assert time.monotonic() < deadline, f"delivery stands still: {self.worker.status.snapshot()}"


@contextmanager
def _services(store: ObjectStore, bucket: str, heads_bucket: str, folder: Path, clock: _Clock) -> Iterator[_Life]:
    with ExitStack() as stack:
        state = open_state_store(f"sqlite:///{folder}/state.db", secret_key=b"k" * 32, clock=clock.milliseconds)
        stack.callback(state.close)
        state.migrate()
        bus = open_event_bus(f"embedded:///{folder}/bus.db", now=clock.seconds)
        stack.callback(bus.close)
        for region in REGIONS:
            bus.ensure_topic(region, 1)
        keys = open_key_management(f"file://{folder}/keys")
        world = World(bus, store, state, keys, bucket, settings=replace(SETTINGS, heads_bucket=heads_bucket))
        server = serve(ProducerSettings(), state.configuration, bus, now=clock.milliseconds)
        stack.callback(server.drain, 5)
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{server.start()}"))
        worker = world.worker()
        stack.callback(worker.close)
        stub = producer_pb2_grpc.ProducerStub(channel)  # type: ignore[no-untyped-call]  # generated
        yield _Life(world, clock, stub, worker)


def _live(store: ObjectStore, place: S3Place | LocalPlace, heads_bucket: str, folder: Path) -> Scene:
    """Seven hours of the trails' life, and what then lies in the bucket."""
    clock = _Clock()
    timed = _TimedStore(store, clock)
    with _services(timed, place.bucket, heads_bucket, folder, clock) as life:
        for number, (trail, owner, is_everywhere) in enumerate(
            [("audit", ACCOUNT, True), ("second", ACCOUNT, False), ("audit", OTHER_ACCOUNT, False)]
        ):
            life.world.add_trail(
                trail,
                incarnation=f"00000000-0000-4000-8000-00000000000{number}",
                account_id=owner,
                home_region=REGION,
                is_multi_region_trail=is_everywhere,
            )
        events = _realistic_events()
        while True:
            for (account, region), records in events.items():
                life.send(list(islice(records, EVENTS)), account, region)
            for _ in range(4):
                life.settle()
                clock.now += 5 * MINUTE
            life.settle()
            found = place.objects()
            if sum("_audit_" in key and f"/{ACCOUNT}/CloudTrail-Digest/{REGION}/" in key for key in found) >= DIGESTS:
                break
        keys = {region: export_public_keys(life.world.state, (region,))["PublicKeyList"] for region in REGIONS}
    heads = [store.get(heads_bucket, info.key).body for info in store.list(heads_bucket)]
    store.close()
    objects = {key: replace(stored, modified=float(timed.put_at[key])) for key, stored in found.items()}
    place.change(found, objects)
    return Scene(
        bucket=place.bucket,
        objects=objects,
        **{name: chain_in(objects, name, *parts) for name, parts in MADE.items()},
        keys=keys,
        heads=heads,
        stolen=signing_keys(folder / "keys"),
    )


def _realistic_events() -> dict[tuple[str, str], Iterator[bytes]]:
    """Records by account and region."""
    found: dict[tuple[str, str], list[bytes]] = {}
    for event in realistic_events(seed=6, start=BEGINNING - HOUR, seconds=HOUR, events=4000):
        found.setdefault((event.account_id, event.region), []).append(event.record)
    return {(account, region): iter(found[account, region]) for _, _, account, region in MADE.values()}

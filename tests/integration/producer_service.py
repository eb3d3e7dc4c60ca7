"""A producer on loopback with a state store on SQLite, for the tests of its calls."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from opentrail.trails.configuration import Kind
from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.batches import unpack
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import NewChange
from opentrail_producer.generated import producer_pb2, producer_pb2_grpc
from opentrail_producer.server import ProducerServer, serve
from opentrail_producer.settings import IntakeLimits, ProducerSettings
from tests.unit.producer.fakes import ACCOUNT, NOW, OTHER, REGION, MemoryPublisher

TOKEN = "a-token-of-the-account"
OTHERS_TOKEN = "a-token-of-another-account"
EXPIRED_TOKEN = "a-token-that-has-expired"
Request = producer_pb2.PublishEventsRequest


class MemoryBus:
    """As much of a bus as a producer needs."""

    def __init__(self):
        self.memory = MemoryPublisher()

    def publisher(self):
        return self.memory


def token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def new_store(folder):
    """A store with two accounts, a token of each, and one that has expired."""
    store = open_state_store(f"sqlite:///{folder}/state.db")
    store.migrate()
    store.configuration.add_token(token_hash(TOKEN), ACCOUNT, "good")
    store.configuration.add_token(token_hash(OTHERS_TOKEN), OTHER, "good")
    store.configuration.add_token(token_hash(EXPIRED_TOKEN), ACCOUNT, "expired", expires_at=1)
    return store


@dataclass
class Service:
    """A server under test and a channel to it."""

    store: Any
    bus: Any = field(default_factory=MemoryBus)
    settings: ProducerSettings = field(
        default_factory=lambda: ProducerSettings(intake=IntakeLimits(publish_timeout=10.0))
    )
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    server: ProducerServer = field(init=False)
    channel: grpc.Channel = field(init=False)

    def start(self, credentials=None):
        self.server = serve(
            self.settings,
            self.store.configuration,
            self.bus,
            ledger=self.store.ledger,
            registry=self.registry,
            now=lambda: NOW,
        )
        port = self.server.start()
        self.channel = self.connect(port, credentials)
        return self

    def connect(self, port, credentials=None, *, alone=False):
        """A channel; `alone` gives it a connection that it shares with no other."""
        target, options = f"localhost:{port}", [("grpc.use_local_subchannel_pool", int(alone))]
        if credentials:
            return grpc.secure_channel(target, credentials, options)
        return grpc.insecure_channel(target, options)

    @property
    def stub(self):
        return producer_pb2_grpc.ProducerStub(self.channel)

    def send(self, events, region=REGION, token=TOKEN, numbers=None, timeout=20):
        request = Request(events=events, region=region, numbers=numbers)
        return self.stub.PublishEvents(request, metadata=bearer(token), timeout=timeout)

    def limit(self, account_id=ACCOUNT, **limits):
        self.store.configuration.apply([NewChange(Kind.ACCOUNT, account_id, limits)])

    def metric(self, name, **labels):
        return self.registry.get_sample_value(f"opentrail_producer_{name}", labels) or 0.0

    def stop(self):
        self.channel.close()
        self.server.drain(0)
        self.store.close()


def bearer(token):
    return (("authorization", f"Bearer {token}"),) if token is not None else ()


def results(response):
    """The accepted events' ids and the rejected ones' codes, in order."""
    return [
        result.accepted.event_id
        if result.HasField("accepted")
        else producer_pb2.RejectionCode.Name(result.rejected.code)
        for result in response.results
    ]


class FromTheStart:
    """Reads every partition from its start."""

    def __init__(self, reader):
        self.reader = reader

    def assigned(self, partitions):
        for partition in partitions:
            self.reader.seek(partition, self.reader.bounds(partition).start)

    def revoked(self, partitions):
        pass

    lost = revoked


def records_on(bus_url, count):
    """The `eventID`s on the bus, sorted, each as often as it is there; waits until there are `count` of them."""
    bus = open_event_bus(bus_url)
    reader = bus.reader("test")
    reader.subscribe(FromTheStart(reader))
    found = []
    while len(found) < count:
        messages = reader.poll(10.0)
        assert messages, f"{len(found)} of {count} records came"
        for message in messages:
            for group in unpack(message.value):
                found += [item["eventID"] for item in json.loads(b"[%b]" % group.records)]
    reader.close()
    bus.close()
    return sorted(found)

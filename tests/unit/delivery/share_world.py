"""A share of partitions on small fakes, and all that it touches."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from opentrail.evidence.log_file import STANDARD_CODEC, read_log_file
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.configuration_feed import ConfigurationFeed
from opentrail_delivery.log_file_put import PutTools
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.partition_delivery import DeliveryTools
from opentrail_delivery.partition_share import PartitionShare
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.status import DeliveryStatus
from tests.unit.delivery.delivery_fakes import BUCKET, HERE, THERE, Configurations, Ledger, Putter, Reader, message

EACH_BY_ITSELF = {"window_bytes": 1}


@dataclass
class World:
    """A share of partitions, and all that it touches."""

    reader: Reader
    ledger: Ledger = field(default_factory=Ledger)
    store: InMemoryObjectStore = field(default_factory=lambda: InMemoryObjectStore([BUCKET]))
    status: DeliveryStatus = field(default_factory=DeliveryStatus)
    metrics: DeliveryMetrics = field(default_factory=DeliveryMetrics)
    share: PartitionShare = field(init=False)
    putter: Putter = field(init=False)
    now: int = 0
    """The wall clock, milliseconds."""
    seconds: float = 0.0

    def start(self, **settings):
        puts = PutTools(
            store=CheckedStore(self.store),
            spool=None,
            health=BucketHealth(30),
            metrics=self.metrics,
            status=self.status,
        )
        self.putter = Putter(puts)
        tools = DeliveryTools(
            ledger=self.ledger,
            reader=self.reader,
            feed=ConfigurationFeed(Configurations()),
            codec=STANDARD_CODEC,
            putter=self.putter,
            puts=puts,
            settings=DeliverySettings(**settings),
        )
        self.share = PartitionShare(self.reader, tools, lambda: self.now, lambda: self.seconds)
        self.reader.assign(self.share, *self.reader.logs)
        return self

    def run(self, rounds):
        for _ in range(rounds):
            self.share.run_once()

    @property
    def stored(self):
        """The ids of the events in all log files, sorted."""
        files = [self.store.get(BUCKET, info.key).body for info in self.store.list(BUCKET, "AWSLogs/")]
        return sorted(r["eventID"] for body in files for r in json.loads(read_log_file(body))["Records"])

    def halted_partitions(self):
        return self.metrics.registry.get_sample_value("opentrail_delivery_halted_partitions")


def world(here=0, there=0, size=500, **at):
    sent = [message(HERE, n, size, **at) for n in range(here)] + [message(THERE, n, **at) for n in range(there)]
    return World(Reader(*sent))


def events(partition, count):
    return [f"{partition.region}/{n}" for n in range(count)]

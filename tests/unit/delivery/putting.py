"""Log files to put, and the tools that puts share, on a clock of the test's."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass, field

from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.state.port import IntendedFile, SpoolUsage
from opentrail_delivery.bucket_health import BucketHealth
from opentrail_delivery.checked_store import CheckedStore
from opentrail_delivery.log_file_put import PutTools
from opentrail_delivery.metrics import DeliveryMetrics
from opentrail_delivery.spool import LogFilePut, Spool
from opentrail_delivery.spool_space import SpoolSpace
from opentrail_delivery.status import DeliveryStatus

SPOOL = "opentrail-spool"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Usage:
    """A ledger that knows what lies in the spool."""

    total = 0

    def spool_usage(self):
        return SpoolUsage(self.total, {})


def log_file(number=0, bucket="good", incarnation="i-1", size=10, **changes):
    """A small log file; its number is in its key."""
    text = b'{"Records":[]}' + bytes(str(number), "ascii") + b" " * size
    fields = {
        "incarnation": incarnation,
        "logging_session": 1,
        "account_id": "111122223333",
        "part": number,
        "bucket": bucket,
        "object_key": f"{incarnation}/AWSLogs/111122223333/CloudTrail/eu-central-1/2026/01/15/"
        f"111122223333_CloudTrail_eu-central-1_20260115T1000Z_{number:016}.json.gz",
        "sha256": hashlib.sha256(text).hexdigest(),
        "events": 1,
        "oldest_event_time": 0,
        "newest_event_time": 0,
        "trail_arn": f"arn:aws:cloudtrail:eu-central-1:111122223333:trail/{incarnation}",
        "owner": "111122223333",
    }
    return LogFilePut("eu-central-1", 0, 1, IntendedFile(**(fields | changes)), gzip.compress(text, mtime=0))


@dataclass
class Putting:
    """A store, a spool in it, and the tools of puts."""

    clock: Clock = field(default_factory=Clock)
    store: InMemoryObjectStore = field(default_factory=lambda: InMemoryObjectStore(["good", "bad", SPOOL]))
    usage: Usage = field(default_factory=Usage)
    spool_bytes: int = 10**9
    has_spool: bool = True
    monotonic: object = None

    def __post_init__(self):
        clock = self.monotonic or self.clock
        self.metrics = DeliveryMetrics()
        self.health = BucketHealth(30, soon=1, silent=10, clock=clock)
        self.spool = Spool(self.store, SPOOL)
        self.tools = PutTools(
            store=CheckedStore(self.store),
            spool=self.spool if self.has_spool else None,
            health=self.health,
            metrics=self.metrics,
            status=DeliveryStatus(),
            space=SpoolSpace(self.usage, self.spool_bytes, clock),
            monotonic=clock,
            jitter=lambda: 1.0,
        )

    def run(self, put, limit=100.0):
        """Tries until there is an outcome; returns it and the seconds that it took."""
        began = self.clock.now
        while self.clock.now - began <= limit:
            result = put.attempt()
            if not isinstance(result, float):
                return result, self.clock.now - began
            self.clock.now += result
        return None, self.clock.now - began

    def tries(self, bucket):
        """How often a bucket was asked."""
        return sum(attempt.bucket == bucket for attempt in self.store.attempts)

    def held(self):
        """The keys in the spool."""
        return [info.key for info in self.store.list(SPOOL)]

"""Small fakes of the ports that a partition's delivery stands on: a bus, a ledger, puts that wait."""

from __future__ import annotations

import json
import random
from concurrent.futures import Future
from dataclasses import replace

from opentrail.events.batch import EventBatch, SelectorClass, group_of
from opentrail.trails.configuration import Change, Kind, trail_body
from opentrail.trails.trail import Trail
from opentrail_backends.event_bus.batches import pack
from opentrail_backends.event_bus.port import Bounds, Message, OffsetOutOfRange, Partition, Topic
from opentrail_backends.state.port import KnownTopic, Lease, LedgerLost
from opentrail_delivery.log_file_put import Put, PutOutcome, PutResult

ACCOUNT = "111122223333"
HERE, THERE = Partition("eu-central-1", 0), Partition("us-east-1", 0)
BUCKET = "trail-logs"
TRAIL = Trail(
    incarnation="6f1c1f0e-0000-4000-8000-000000000000",
    name="all",
    account_id=ACCOUNT,
    home_region=HERE.region,
    s3_bucket_name=BUCKET,
    is_multi_region_trail=True,
    is_logging=True,
    logging_session=1,
)


def message(partition: Partition, offset: int, size: int = 500, at: int = 1_000) -> Message:
    """A batch of one event that says where it lies; `size` characters of it cannot be compressed away."""
    pad = random.Random(f"{partition}{offset}").randbytes(size).hex()
    text = json.dumps({"eventID": f"{partition.region}/{offset}", "pad": pad}).encode()
    selector_class = SelectorClass("Management", "ec2.amazonaws.com", "Run", "AwsApiCall", False, ())
    batch = EventBatch(ACCOUNT, partition.region, [group_of(selector_class, [text], [len(text)], [0])])
    return Message(partition, offset, at, pack(batch))


class Configurations:
    """One trail that wants everything."""

    def changes_after(self, revision):
        known = Change(revision=1, effective_at=1, kind=Kind.TRAIL, id=TRAIL.incarnation, body=trail_body(TRAIL))
        return [known] if revision < 1 else []


class Reader:
    """A bus that gives one message of each partition a poll. What is assigned anew is not paused."""

    def __init__(self, *messages):
        self.logs = {}
        for sent in messages:
            self.logs.setdefault(sent.partition, []).append(sent)
        self.starts = dict.fromkeys(self.logs, 0)
        self.positions = {}
        self.paused = set()
        self.given = []
        self.commits = []

    def assign(self, listener, *partitions):
        for partition in partitions:
            self.positions[partition] = None
            self.paused.discard(partition)
        listener.assigned(partitions)

    def assigned_to_us(self):
        return frozenset(self.positions)

    def poll(self, _timeout):
        found = []
        for partition, position in self.positions.items():
            assert position is not None, f"{partition} has no position"
            if partition in self.paused:
                continue
            if position < self.starts[partition]:
                raise OffsetOutOfRange(partition, position, self.bounds(partition))
            found += self.logs[partition][position : position + 1]
        for sent in found:
            self.positions[sent.partition] = sent.offset + 1
        self.given += [(sent.partition, sent.offset) for sent in found]
        return found

    def seek(self, partition, offset):
        assert partition in self.positions
        self.positions[partition] = offset

    def pause(self, partitions):
        self.paused |= set(partitions)

    def resume(self, partitions):
        self.paused -= set(partitions)

    def bounds(self, partition):
        return Bounds(self.starts[partition], len(self.logs[partition]))

    def topic(self, region):
        return Topic(region, f"events-{region}", f"id-{region}", 1)

    def commit(self, partition, offset, _metadata=""):
        self.commits.append((partition, offset))

    def committed(self, _partition):
        return None


class Ledger:
    """The fence and the open intents, in memory. `fail` makes a call fail once: before it is kept, or after."""

    def __init__(self):
        self.topics = {}
        self.leases = {}
        self.intents = {}
        self.written = []
        self.delivered = []
        self.files = {}
        self._failures = {}

    def fail(self, call, error, *, kept=False):
        self._failures.setdefault(call, []).append((error, kept))

    def _do(self, call, work):
        error, kept = self._failures[call].pop(0) if self._failures.get(call) else (None, True)
        result = work() if kept else None
        if error is not None:
            raise error
        return result

    def now(self):
        return 600_000

    def record_topic(self, region, topic_id, partitions):
        return self.topics.setdefault(region, KnownTopic(topic_id, partitions))

    def client_numbers(self, _region, _account_id):
        return {}

    def own(self, region, partition, start_offset):
        def work():
            before = self.leases.get((region, partition), Lease(region, partition, 0, "", 0, start_offset))
            lease = replace(before, epoch=before.epoch + 1, token=f"token-{before.epoch + 1}")
            self.leases[region, partition] = lease
            return lease, list(self.intents.get(region, ()))

        return self._do("own", work)

    def write_intent(self, lease, intent):
        def work():
            self.intents.setdefault(lease.region, []).append(intent)
            self.files.setdefault(lease.region, []).extend(intent.files)
            self.written.append((Partition(lease.region, lease.partition), intent.first_offset, intent.end_offset))
            return self._moved(lease, last_intent=intent.number)

        return self._do("write_intent", work)

    def deliver(self, lease, intent, _parked=(), _numbers=None):
        def work():
            assert self.intents[lease.region].pop(0).number == intent.number
            offsets = range(intent.first_offset, intent.end_offset)
            self.delivered += [(Partition(lease.region, lease.partition), offset) for offset in offsets]
            return self._moved(lease, next_offset=intent.end_offset)

        return self._do("deliver", work)

    def _moved(self, lease, **changes):
        known = self.leases[lease.region, lease.partition]
        if (known.epoch, known.token) != (lease.epoch, lease.token):
            raise LedgerLost("another owner has raised the epoch")
        self.leases[lease.region, lease.partition] = replace(known, **changes)
        return replace(lease, **changes)


class Putter:
    """Puts at once, but those of held regions, which wait for `release`."""

    def __init__(self, tools):
        self.tools = tools
        self.held_regions = set()
        self.redone = []
        self._waiting = []

    def submit(self, file, *, redone):
        put = Put(file, self.tools, redone=redone)
        self.redone += [file.file.object_key] if redone else []
        future = Future()
        self._waiting.append((future, put))
        if file.region not in self.held_regions:
            self._put(future, put)
        return future

    def abandon(self, futures):
        for future in futures:
            if not future.done():
                future.set_result(PutOutcome(PutResult.STOPPED))

    def release(self):
        """Puts what waits and was not abandoned."""
        self.held_regions.clear()
        for future, put in self._waiting:
            if not future.done():
                self._put(future, put)
        self._waiting.clear()

    def _put(self, future, put):
        for _ in range(20):
            outcome = put.attempt()
            if isinstance(outcome, PutOutcome):
                future.set_result(outcome)
                return
        raise AssertionError("not put after 20 tries")

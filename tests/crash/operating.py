"""What tests of the operator's commands do to a world from outside: dumps, restores, topics made anew, cut logs."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opentrail.evidence.chain_head import parse_head
from opentrail.trails.trail import Trail
from opentrail_backends.event_bus import open_event_bus
from opentrail_backends.event_bus.port import Partition, Topic
from opentrail_backends.key_management import open_key_management
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.state import open_state_store
from opentrail_backends.state.inspection import inspection_of
from opentrail_delivery.codec import fastest_codec
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.settle import Settle, SettleReport, SettleTools
from opentrail_delivery.spool import Spool
from tests.crash.evidence import root_of
from tests.crash.faults import Effect, Faulty, Step, Then
from tests.crash.world import REGION, Crash, World, assert_exactly_once

BUCKET, SPOOL, HEADS = "evidence", "spool-bucket", "second-place"
ONLY = Partition(REGION, 0)


@contextlib.contextmanager
def operated_world(path: Path) -> Iterator[World]:
    """A world of one partition, in a folder from which its files can be dumped, restored and cut."""
    bus = open_event_bus(f"embedded:///{path}/bus.db")
    bus.ensure_topic(REGION, 1)
    store = InMemoryObjectStore([BUCKET, SPOOL, HEADS])
    keys = open_key_management(f"file://{path}/keys")
    settings = DeliverySettings(
        window_seconds=0,
        digest_seconds=1,
        park_seconds=0.3,
        parked_retry_seconds=0.1,
        put_threads=4,
        heads_bucket=HEADS,
    )
    world = World(bus, store, open_state(path), keys, BUCKET, Spool(store, SPOOL), settings)
    yield world
    bus.close()
    world.state.close()


def open_state(path: Path) -> Any:
    """The state store of a world in this folder."""
    state = open_state_store(f"sqlite:///{path}/state.db", secret_key=b"k" * 32)
    state.migrate()
    return state


def dump(path: Path) -> Path:
    """A backup of the state store, taken while it is in use."""
    copy = path / "dump.db"
    copy.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(path / "state.db")) as source,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    return copy


def restore(world: World, path: Path, copy: Path) -> None:
    """The state store is what it was at the backup."""
    world.state.close()
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        (path / name).unlink(missing_ok=True)
    (path / "state.db").write_bytes(copy.read_bytes())
    world.state = open_state(path)


def keep_messages(world: World) -> None:
    """Another group reads the bus and has passed nothing, so that the embedded bus forgets nothing."""
    reader = world.bus.reader("history")
    reader.subscribe(_Nobody())
    reader.poll(0.1)
    reader.close()


class _Nobody:
    def assigned(self, partitions: Any) -> None: ...

    def revoked(self, partitions: Any) -> None: ...

    def lost(self, partitions: Any) -> None: ...


def make_topic_anew(world: World, path: Path, region: str, partitions: int = 1) -> Topic:
    _change(path, "DELETE FROM topics WHERE region = ?", region)
    return world.bus.ensure_topic(region, partitions)


_PLACE = "(SELECT partitions.id FROM partitions JOIN topics ON topic = topics.id WHERE region = ? AND number = ?)"


def cut_start(path: Path, partition: Partition, below: int) -> None:
    """Messages below an offset are gone."""
    _change(path, f"DELETE FROM messages WHERE partition = {_PLACE} AND offset < ?", *partition, below)
    _change(path, f"UPDATE partitions SET start_offset = ? WHERE id = {_PLACE}", below, *partition)


def cut_end(path: Path, partition: Partition, end: int) -> None:
    """Messages from an offset on are gone."""
    _change(path, f"DELETE FROM messages WHERE partition = {_PLACE} AND offset >= ?", *partition, end)
    _change(path, f"UPDATE partitions SET end_offset = ? WHERE id = {_PLACE}", end, *partition)


def _change(path: Path, statement: str, *values: Any) -> None:
    with contextlib.closing(sqlite3.connect(path / "bus.db")) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(statement, values)


def settle(
    world: World,
    region: str | None = None,
    number: int | None = None,
    *,
    accept: bool = True,
    adopt_unproven: bool = False,
    **replaced: Any,
) -> SettleReport:
    """One run of `opentrail settle`."""
    assert world.spool is not None
    tools = SettleTools(
        event_bus=world.bus,
        object_store=replaced.get("store", world.store),
        state=replaced.get("state", world.state),
        inspection=inspection_of(world.state),
        spool=world.spool,
        codec=fastest_codec(),
        settings=world.settings,
        patience=30.0,
        adopt_unproven=adopt_unproven,
    )
    return Settle(tools).run(region, number, accept=accept)


def next_offset(world: World, partition: int = 0) -> int:
    (row,) = [row for row in world.state.ledger.windows() if row["partition"] == partition]
    return int(row["next_offset"])


def run_for(worker: Any, seconds: float) -> None:
    """Lets a worker do what it does, for what must not happen: also on a machine that stands still for so long."""
    end, turns = time.monotonic() + seconds, 0
    while time.monotonic() < end or turns < 10:
        worker.turn()
        turns += 1


def deliver(world: World, trail: Trail, *counts: int) -> None:
    """Publishes batches and delivers each in a window of its own."""
    worker = world.worker()
    for count in counts:
        world.publish(count)
        worker.run_until_digested(trail, len(world.published))
    worker.close()


def open_window(world: World, count: int) -> None:
    """A window whose files were put and whose step 5 never came."""
    world.publish(count)
    fault = Faulty(world.state.ledger, Step(5, "deliver", "ledger", "deliver"), Effect.LOST, Then.DIES)
    worker = world.worker(ledger=fault)
    with contextlib.suppress(Crash):
        worker.run_until(lambda: False)
    worker.close()
    assert fault.fired


def halts(world: World, said: str) -> None:
    """A worker notices before it puts a log file, and says what to do."""

    def has_halted() -> bool:
        halted = worker.status.snapshot()["halted"]
        return any(said in reason and "opentrail settle" in reason for reason in halted.values())

    before = log_files(world)
    worker = world.worker()
    worker.run_until(has_halted)
    run_for(worker, 0.5)
    assert has_halted()
    worker.close()
    assert log_files(world) == before


def log_files(world: World) -> list[str]:
    """The keys of all that lies in the bucket but digests."""
    return [info.key for info in world.store.list(BUCKET) if "Digest" not in info.key]


def finish(world: World, trail: Trail, expected: Sequence[str] | None = None) -> None:
    """Delivery goes on with new events; then the whole bucket is judged."""
    expected = [*(world.published if expected is None else expected), *world.publish(3)]
    worker = world.worker()
    worker.run_until_digested(trail, len(expected))
    run_for(worker, 1.2)
    assert worker.status.snapshot()["halted"] == {}
    worker.run_until(lambda: not (world.state.chains.unsigned(1) or world.state.chains.heads_to_put(1)))
    worker.close()
    assert_exactly_once(world.evidence(), [trail.name], expected)
    assert_proven(world)


def assert_proven(world: World) -> None:
    """Each entry of each digest has the root of its log file's records, and each head names its trail and a digest."""
    evidence = world.evidence()
    entries = [entry for _, digest in evidence.digests.values() for entry in digest.log_files]
    assert entries, "a check on nothing proves nothing"
    for entry in entries:
        found = root_of(world.store.get(entry.s3_bucket, entry.s3_object).body)
        assert (entry.record_count, entry.records_root) == found
    for head in [parse_head(head.document) for head in world.state.chains.heads()]:
        key, digest = evidence.digests[head.digest_key]
        assert (head.end, head.digest_bucket) == (digest.end, world.bucket)
        assert head.trail_arn.endswith(f":trail/{key.trail_name}")


class WithLedger:
    """A state store with another ledger."""

    def __init__(self, state: Any, ledger: Any) -> None:
        self._state = state
        self.ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

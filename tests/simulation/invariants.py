"""What must hold at the end of every schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from opentrail.events.batch import EventBatch, MalformedBatch, numbers_of, record_views
from opentrail.events.client_numbers import ClientNumbers, covers, take
from opentrail_backends.event_bus.batches import NewerFormat, unpack
from opentrail_backends.event_bus.port import Partition
from tests.simulation.evidence import Buckets
from tests.simulation.memory_bus import Taken
from tests.simulation.trails import BUCKETS, History
from tests.simulation.virtual_time import FAULTS

import msgspec

if TYPE_CHECKING:
    from tests.simulation.world import World


class Violated(AssertionError):
    """The protocol does not keep what it promises."""


class _Record(msgspec.Struct):
    eventID: str  # noqa: N815 - as in the record
    readOnly: bool | None = None  # noqa: N815


_record = msgspec.json.Decoder(_Record)


def check(world: World) -> None:
    """Raises Violated with all that does not hold."""
    found = list(_violations(world))
    if found:
        raise Violated("\n".join(found[:8]))


def _violations(world: World) -> Iterator[str]:
    for fault in FAULTS:
        yield f"a fault of OpenTrail itself: {fault!r}"
    yield from _unexpected_halts(world)
    buckets = Buckets.read(world.store, BUCKETS, world.planted)
    yield from buckets.defects(world.state.tables.keys)
    yield from files_and_digests(world, buckets)
    yield from exactly_once(world, buckets)
    yield from _spool(world)
    yield from _bounded(world)


def _unexpected_halts(world: World) -> Iterator[str]:
    for worker in world.workers:
        for what, reason in worker.halted().items():
            if not world.expects_halt(what):
                yield f"{worker.process.name}: {what} stands still: {reason}"


def files_and_digests(world: World, buckets: Buckets) -> Iterator[str]:
    """Each log file in exactly one digest, of its trail; those of trails without validation in none."""
    named = buckets.named()
    for place in buckets.log_files:
        file = world.audit.files.get(place)
        if file is None:
            yield f"a stray object: no intent ever knew {place}"
        elif named[place] > 1:
            yield f"{place} is in {named[place]} digests"
        elif named[place] == 0 and file.is_digested and not world.has_lost_something:
            yield f"a stray object: no digest names {place} ({world.describe(file)})"
        elif named[place] and not file.is_digested:
            yield f"{place} is in a digest, though its trail has no validation"
    names = world.history().names
    for found in buckets.digests.values():
        for entry in found.digest.log_files:
            file = world.audit.files.get((entry.s3_bucket, entry.s3_object))
            if file is not None and names[file.incarnation] != found.key.trail_name:
                yield f"{entry.s3_object} is in a digest of another trail"


def exactly_once(world: World, buckets: Buckets) -> Iterator[str]:
    """Each event that the bus took is exactly once in each trail that wanted it then, and in no other."""
    history = world.history()
    delivered: dict[str, Counter[str]] = {}
    for place in buckets.log_files:
        file = world.audit.files.get(place)
        if file is not None:
            for record in buckets.records(place):
                delivered.setdefault(record["eventID"], Counter())[history.names[file.incarnation]] += 1
    expected = 0
    for taken in world.bus.history:
        for event_id, wanted in _wanted(world, taken, history):
            expected += 1
            found = delivered.pop(event_id, Counter())
            if any(times > 1 for times in found.values()):
                yield f"{event_id} of {_name(taken)} was delivered more than once: {dict(found)}"
            elif frozenset(found) not in wanted and not (world.may_miss(taken) and not found):
                yield f"{event_id} of {_name(taken)} is in {sorted(found)} instead of {[sorted(w) for w in wanted]}"
            world.accepted.discard(event_id)
    for event_id, trails in delivered.items():
        yield f"{event_id} is in {dict(trails)}, and should be in none"
    for event_id in world.accepted:
        yield f"{event_id} was accepted, and the bus never took it"


def _name(taken: Taken) -> str:
    return f"{taken.partition.region}/{taken.partition.number}/{taken.offset}"


def _wanted(world: World, taken: Taken, history: History) -> Iterator[tuple[str, list[frozenset[str]]]]:
    """Of each event that is to be delivered from this message: its id, and the sets of trails that may have it."""
    new = world.new_events.get((taken.topic_id, taken.partition, taken.offset))
    if new is None:
        return
    batch, dropped = new
    revisions = history.governing(taken.append_time, taken.revision)
    for group in batch.groups:
        numbers = numbers_of(group)
        for index, view in enumerate(record_views(group)):
            if numbers and covers(dropped, numbers[index]):
                continue
            record = _record.decode(view)
            read_only = bool(record.readOnly)
            wanted = {history.wanting(r, batch.account_id, batch.region, read_only=read_only) for r in revisions}
            yield record.eventID, list(wanted)


def first_deliveries(history: list[Taken]) -> dict[tuple[str, Partition, int], tuple[EventBatch, list[tuple[int, int]]]]:
    """What is new in each message: clients' numbers judged one message after the other, in the order of the bus."""
    clients: dict[tuple[str, str, bytes], ClientNumbers] = {}
    found = {}
    for taken in history:
        batch = _unpacked(taken.value)
        if batch is None:
            continue
        dropped: list[tuple[int, int]] = []
        if batch.client_id:
            client = (taken.partition.region, batch.account_id, batch.client_id)
            judged = take(clients.get(client, ClientNumbers()), batch.number_ranges, taken.append_time)
            clients[client] = judged.numbers
            dropped = [*judged.repeats, *judged.unknown]
        found[taken.topic_id, taken.partition, taken.offset] = (batch, dropped)
    return found


@lru_cache(maxsize=512)
def _unpacked(value: bytes) -> EventBatch | None:
    try:
        return unpack(value)
    except (MalformedBatch, NewerFormat):
        return None


def _spool(world: World) -> Iterator[str]:
    """What could not be read lies in the spool, as the bus had it."""
    kept = {info.key for info in world.store.list(world.spool_bucket, "poison/")}
    for taken in world.bus.history:
        region, number = taken.partition
        key = f"poison/{region}/{taken.topic_id}/{number}/{taken.offset}"
        if _unpacked(taken.value) is None:
            if key not in kept and not world.may_miss(taken):
                yield f"poison at {_name(taken)} is not in the spool"
        elif key in kept:
            yield f"{_name(taken)} is no poison and lies in the spool as such"


def _bounded(world: World) -> Iterator[str]:
    """After long enough nothing is left but what is needed: heads of chains, the newest intent of a partition."""
    if world.has_lost_something:
        return
    tables = world.state.tables
    world.scheduler.now += 3 * 3600 * 1000
    while world.state.forget(3600 * 1000):
        pass
    open_intents = sum(not row.closed for rows in tables.intents.values() for row in rows.values())
    bodies = sum(bool(row.digest.body) for row in tables.digests.values())
    for what, count, most in (
        ("files", len(tables.files), 0),
        ("digests", len(tables.digests), len(tables.chains)),
        ("bodies of digests", bodies, 0),
        ("open intents", open_intents, 0),
        ("intents", sum(map(len, tables.intents.values())), len(tables.partitions)),
    ):
        if count > most:
            yield f"the state store keeps {count} {what} for ever; {most} are needed"

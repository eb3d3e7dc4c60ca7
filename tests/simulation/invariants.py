"""What must hold at the end of every schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from opentrail.events.batch import FORMAT_VERSION, EventBatch, MalformedBatch, numbers_of, record_views
from opentrail.events.client_numbers import ClientNumbers, bounded, covers, take
from opentrail_backends.event_bus.batches import NewerFormat, unpack
from tests.simulation.evidence import Buckets
from tests.simulation.heads import check_heads
from tests.simulation.lines import check_lines
from tests.simulation.memory_bus import Taken
from tests.simulation.trails import BUCKETS, History
from tests.simulation.virtual_time import BREAKING, FAULTS

if TYPE_CHECKING:
    from tests.simulation.world import World


class Violated(AssertionError):
    """The protocol does not keep what it promises."""


class _Record(msgspec.Struct):
    eventID: str  # noqa: N815 - as in the record
    readOnly: bool | None = None  # noqa: N815 - as in the record


_record = msgspec.json.Decoder(_Record)


def check(world: World) -> None:
    """Raises Violated with all that does not hold."""
    found = list(_violations(world))
    if found:
        raise Violated("\n".join(found[:8]))


def _violations(world: World) -> Iterator[str]:
    for written in world.faults.written:
        yield f"after the ledger went back: {written}"
    for fault in FAULTS:
        yield f"a fault of OpenTrail itself: {fault!r}"
    yield from _unexpected_halts(world)
    buckets = Buckets.read(world.store, BUCKETS, world.planted)
    yield from buckets.defects([*world.keys_before, *world.state.tables.keys])
    yield from files_and_digests(world, buckets)
    yield from check_lines(world, buckets)
    yield from check_heads(world, buckets)
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
        elif named[place] == 0 and file.is_digested and not world.may_be_stray(place):
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
    expected: dict[str, list[_Expected]] = {}
    for index, taken in enumerate(world.bus.history):
        for event_id, wanted in _wanted(world, index, taken, history):
            expected.setdefault(event_id, []).append(_Expected(taken, wanted))
            world.accepted.discard(event_id)
    for event_id, times in expected.items():
        found = delivered.pop(event_id, Counter())
        if any(count > len(times) for count in found.values()):
            yield f"{event_id} of {_name(times[0].taken)} was delivered more than once: {dict(found)}"
        elif not _is_any_right(world, times) and not any(
            _fits(found, choice, may_miss=_may_miss(world, times)) for choice in _choices(times)
        ):
            wanted_by = [sorted(trails) for one in times for trails in one.wanted]
            yield f"{event_id} of {_name(times[0].taken)} is in {sorted(found)} instead of {wanted_by}"
    for event_id, trails in delivered.items():
        yield f"{event_id} is in {dict(trails)}, and should be in none"
    for event_id in world.accepted:
        yield f"{event_id} was accepted, and the bus never took it"


class _Expected(NamedTuple):
    """One delivery of an event. There are more than one only if its client was forgotten in between."""

    taken: Taken
    wanted: list[frozenset[str]]


def _choices(times: list[_Expected]) -> Iterator[Counter[str]]:
    """What the deliveries may be in sum."""
    for choice in product(*(one.wanted for one in times)):
        yield Counter(trail for trails in choice for trail in trails)


def _is_any_right(world: World, times: list[_Expected]) -> bool:
    """Whether it is not known when the bus took an event, or what governed it: then it must not be there twice."""
    return world.restored or any(one.taken.partition in world.unsure for one in times)


def _may_miss(world: World, times: list[_Expected]) -> bool:
    return any(world.may_miss(one.taken) for one in times)


def _fits(found: Counter[str], wanted: Counter[str], *, may_miss: bool) -> bool:
    return found == wanted or (may_miss and found <= wanted)


def _name(taken: Taken) -> str:
    return f"{taken.partition.region}/{taken.partition.number}/{taken.offset}"


def _wanted(world: World, index: int, taken: Taken, history: History) -> Iterator[tuple[str, list[frozenset[str]]]]:
    """Of each event that is to be delivered from this message: its id, and the sets of trails that may have it."""
    batch, dropped, _ = world.new_events[index]
    if batch is None:
        return
    if taken.value in BREAKING and _is_kept(world, taken):  # it waits in the spool for `opentrail redrive`
        dropped = [(0, 2**63)]
    revisions = history.governing(taken.append_time, taken.revision)
    for group in batch.groups:
        numbers = numbers_of(group)
        for position, view in enumerate(record_views(group)):
            record = _record.decode(view)
            if dropped and (not numbers or covers(dropped, numbers[position])):
                world.accepted.discard(record.eventID)
                continue
            read_only = bool(record.readOnly)
            wanted = {history.wanting(r, batch.account_id, batch.region, read_only=read_only) for r in revisions}
            yield record.eventID, list(wanted)


class New(NamedTuple):
    """What of a message is to be delivered."""

    batch: EventBatch | None
    """None: nobody can read it."""
    dropped: list[tuple[int, int]]
    """Numbers that were delivered before, or that may have been."""
    unknown: bool = False


def first_deliveries(world: World) -> list[New]:
    """What is new in each message: clients' numbers judged one message after the other, in the order of the bus."""
    accounts: dict[tuple[str, str], dict[bytes, ClientNumbers]] = {}
    found = []
    for taken in world.bus.history:
        batch = _unpacked(taken.value)
        if batch is None or not batch.client_id or (taken.value in BREAKING and _is_kept(world, taken)):
            found.append(New(batch, []))
            continue
        clients = accounts.setdefault((taken.partition.region, batch.account_id), {})
        judged = take(clients.get(batch.client_id, ClientNumbers()), batch.number_ranges, taken.append_time)
        clients[batch.client_id] = judged.numbers
        most_clients, most_holes = world.bounds
        kept = bounded(clients, most_clients, most_holes).clients
        clients.clear()
        clients.update(kept)
        found.append(New(batch, [*judged.repeats, *judged.unknown], bool(judged.unknown)))
    return found


@lru_cache(maxsize=512)
def _unpacked(value: bytes) -> EventBatch | None:
    try:
        return unpack(value)
    except (MalformedBatch, NewerFormat):
        return None


def _spool(world: World) -> Iterator[str]:
    """What could not be read lies in the spool, as the bus had it."""
    for index, taken in enumerate(world.bus.history):
        new = world.new_events[index]
        is_kept = _is_kept(world, taken)
        if _is_newer(taken.value):
            if is_kept:
                yield f"{_name(taken)} has a newer format and was taken for poison"
        elif new.batch is None:
            if not is_kept and not world.may_miss(taken):
                yield f"poison at {_name(taken)} is not in the spool"
        elif is_kept and taken.value not in BREAKING and taken.partition not in world.unsure:
            yield f"{_name(taken)} is no poison and lies in the spool as such"
        if new.unknown and not _is_kept(world, taken, "dead-letters") and not world.may_miss(taken):
            yield f"{_name(taken)} has numbers of holes that were given up, and is no dead letter"


def _is_kept(world: World, taken: Taken, why: str = "poison") -> bool:
    region, number = taken.partition
    key = f"{why}/{region}/{taken.topic_id}/{number}/{taken.offset}"
    return any(info.key == key for info in world.store.list(world.spool_bucket, key))


def _is_newer(value: bytes) -> bool:
    return value[:4] == b"OTEB" and len(value) > 4 and value[4] > FORMAT_VERSION


def _bounded(world: World) -> Iterator[str]:
    """After long enough nothing is left but what is needed: heads of chains, the newest intent of a partition."""
    if world.unsure or world.newer or world.restored:
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

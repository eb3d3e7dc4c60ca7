"""How a schedule comes to rest: nothing fails any more, or one bucket still does, and all that can be done is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from opentrail_backends.state.port import FileState
from tests.simulation.invariants import Violated
from tests.simulation.virtual_time import BREAKING
from tests.simulation.world import World

_WITHIN = 400_000
"""Milliseconds of the schedule's time after which all must be done."""


def come_to_rest(world: World) -> None:
    """Raises Violated if something is left to be done, or stands still that should not."""
    heal(world)
    if world.restored:
        _see_the_halt(world)
        return
    _run_until(world, lambda: list(unrest(world)))


def come_to_rest_around(world: World, bucket: str, failure: str) -> None:
    """One bucket still fails: what goes to the others is done all the same. Raises Violated."""
    heal(world)
    world.faults.buckets[bucket] = failure
    _run_until(world, lambda: list(unrest(world, without=bucket)))


def heal(world: World) -> None:
    """Buckets, bus and store behave; zombies wake up; what is late arrives or never will."""
    world.faults.clear()
    world.answers_lost = 0
    world.bus.unmet.clear()
    for put in world.late_puts:
        if world.choices.below(2) and put.land(world.store):
            world.scheduler.note("put landed late")
    world.late_puts.clear()
    for land in world.bus.late:
        if world.choices.below(2):
            land()
            world.scheduler.note("message landed late")
    world.bus.late.clear()
    for worker in world.workers:
        worker.process.is_frozen = False
    if not any(producer.process.is_alive for producer in world.producers):
        world.start_producer()
    for client in world.clients:
        client.is_done = True
        if world.bus.blocked:
            client.gives_up = True
            client.unanswered.clear()
    if BREAKING:  # only newer workers can read all messages
        for worker in world.living():
            world.kill(worker)


def _run_until(world: World, unrest_of: Callable[[], list[str]]) -> None:
    scheduler = world.scheduler
    deadline = scheduler.now + _WITHIN
    while left := unrest_of():
        for worker in world.living():
            for what, reason in worker.halted().items():
                if not world.expects_halt(what) and not worker.refused:
                    raise Violated(f"{what} stands still: {reason}")
        if scheduler.now > deadline:
            raise Violated(f"it does not come to rest: {left[:10]}")
        world.keep_house()
        if not any(a.wake_at <= scheduler.now and not a.process.is_frozen for a in scheduler.actors):
            scheduler.pass_time()
        scheduler.round()


def _see_the_halt(world: World) -> None:
    """The ledger went back: each process refuses to start, and writes nothing."""
    refused = 0
    for _ in range(2_000):
        refused += sum(1 for worker in world.living() if "restored from a backup" in worker.refused)
        if refused > 1:
            return
        world.keep_house()
        world.scheduler.pass_time()
        world.scheduler.round()
    raise Violated("nobody notices that the ledger was restored from a backup")


def unrest(world: World, without: str = "") -> Iterator[str]:
    """What is still to be done, but for what goes to one bucket."""
    tables = world.state.tables
    for client in world.clients:
        if client.unanswered:
            yield f"{client.name} waits for answers"
    yield from _unread(world)
    held_up = {c for (c, _), row in tables.digests.items() if row.published_at is None and row.digest.bucket == without}
    held_up |= {row.chain.id for row in tables.chains.values() if row.chain.bucket == without}
    ours = {row.identity: row.chain.id for row in tables.chains.values()}
    for file in tables.files.values():
        if file.file.bucket == without or _is_open(world, file.region, file.partition):
            continue
        if file.state in {FileState.PARKED, FileState.INTENDED}:
            yield f"file {file.id} is {file.state}"
        elif file.is_of_chain and ours.get(file.identity) not in held_up:
            yield f"file {file.id} is in no digest"
    for (chain_id, sequence), row in tables.digests.items():
        if row.published_at is None and chain_id not in held_up:
            yield f"digest {sequence} of chain {chain_id} waits"
    for row in tables.chains.values():
        chain = row.chain
        stands = any(_is_open(world, chain.region, number) for number in range(world.bus.counts[chain.region]))
        if chain.ending and not chain.ended and chain.id not in held_up and not stands:
            yield f"chain {chain.id} ends"
        if row.published_sequence > row.signed_head_sequence:
            yield f"chain {chain.id} has no head of digest {row.published_sequence}"
        if row.signed_head_sequence > row.signed_head_put:
            yield f"the head of chain {chain.id} is not in the second place"


def _unread(world: World) -> Iterator[str]:
    """Each partition is read to its end; those whose messages the schedule took away, or that may stop: halted."""
    halted = {what for worker in world.living() for what in worker.halted()}
    for partition, log in world.bus.logs.items():
        row = world.state.tables.partitions.get((partition.region, partition.number))
        at = row.next_offset if row else 0
        may_halt = partition in world.unsure or partition in world.newer
        is_halted = f"partition {partition.region}/{partition.number}" in halted
        if at != log.end and not (may_halt and is_halted):
            yield f"{partition.region}/{partition.number} is at {at} of {log.end}"


def _is_open(world: World, region: str, number: int) -> bool:
    """Whether a partition may stand still with open intents."""
    return any((p.region, p.number) == (region, number) for p in {*world.unsure, *world.newer})

"""One schedule: everything in memory, what goes wrong in it, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opentrail_backends.event_bus.port import Partition
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.state.port import FileState, IntendedFile
from opentrail_delivery.settings import DeliverySettings
from tests.simulation import virtual_time
from tests.simulation.audit import Audit
from tests.simulation.choices import Choices
from tests.simulation.clients import Client, Producer
from tests.simulation.evidence import Place
from tests.simulation.fake_keys import FakeKeys
from tests.simulation.faults import Faults, LatePut
from tests.simulation.invariants import Violated, check, first_deliveries
from tests.simulation.memory_bus import MemoryBus, Taken
from tests.simulation.memory_state import MemoryStateStore
from tests.simulation.memory_tables import Tables
from tests.simulation.scheduler import Scheduler
from tests.simulation.trails import BUCKETS, FIRST, HERE, PARTITIONS, SECOND, THERE, THIRD, History, Operator
from tests.simulation.workers import SPOOL_BUCKET, Worker, settings

_QUIET_WITHIN = 600_000
"""Milliseconds of the schedule's time after which all must be done once nothing fails any more."""


@dataclass
class World:
    """All stores, all processes."""

    choices: Choices
    settings: DeliverySettings = field(default_factory=settings)
    spool_bucket: str = SPOOL_BUCKET
    workers: list[Worker] = field(default_factory=list)
    producers: list[Producer] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    """Events that a client was told are accepted."""
    planted: set[Place] = field(default_factory=set)
    late_puts: list[LatePut] = field(default_factory=list)
    backup: Tables | None = None
    lost_partitions: set[Partition] = field(default_factory=set)
    """Partitions whose messages the schedule took away: they must halt."""
    restored: bool = False
    answers_lost: float = 0
    names_of_workers: int = 0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.choices)
        virtual_time.begin(self.scheduler)
        self.audit = Audit(self.scheduler.seen)
        self.state = MemoryStateStore(lambda: self.scheduler.now + self.store_clock_offset, self.audit)
        self.store_clock_offset = 0
        self.bus = MemoryBus(self.scheduler, revision=lambda: self.state.tables.head_revision)
        self.keys = FakeKeys()
        self.store = InMemoryObjectStore([*BUCKETS, SPOOL_BUCKET])
        self.faults = Faults(self.scheduler)
        for region, partitions in PARTITIONS.items():
            self.bus.ensure_topic(region, partitions)
        self.operator = Operator(self.state, self.choices)
        self.new_events: dict[Any, Any] = {}

    # --- who takes part ----------------------------------------------------------------------------

    def start_worker(self, wall_offset: int = 0) -> Worker:
        self.names_of_workers += 1
        worker = Worker.start(f"worker-{self.names_of_workers}", self, wall_offset)
        self.workers.append(worker)
        return worker

    def start_producer(self) -> None:
        self.producers.append(Producer.start(f"producer-{len(self.producers)}", self.scheduler, self.bus, self.faults))

    def start_clients(self) -> None:
        """Two accounts use the same client id; one numbers nothing."""
        for index, (account, region, is_numbered) in enumerate(
            [(FIRST, HERE, True), (SECOND, HERE, True), (THIRD, HERE, True), (FIRST, THERE, False)]
        ):
            client = Client(
                name=f"client-{index}",
                account=account,
                region=region,
                client_id=b"the same for all" if is_numbered else None,
                scheduler=self.scheduler,
                producers=lambda: [p for p in self.producers if p.process.is_alive],
                accepted=self.accepted.add,
                answers_lost=lambda: self.answers_lost,
            )
            self.clients.append(client)
            self.scheduler.spawn(client.process, "send", client.run)

    def living(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.process.is_alive]

    def kill(self, worker: Worker) -> None:
        """The group hears of it only later."""
        self.scheduler.kill(worker.process)
        self.workers.remove(worker)

    def forget_the_dead(self) -> None:
        for member in [member for member in self.bus.members if not member.process.is_alive]:
            self.bus.leave(member)

    # --- the end -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Nothing fails any more: all that can be done is done, or the schedule has found a defect."""
        self.heal()
        for client in self.clients:
            client.is_done = True
        deadline = self.scheduler.now + _QUIET_WITHIN
        while not self.is_quiet():
            if self.scheduler.now > deadline:
                raise Violated(f"it does not come to rest: {self.unrest()}; {self.scheduler.seen}")
            self.keep_house()
            self.scheduler.round()

    def heal(self) -> None:
        """Buckets, bus and store behave; zombies wake up; what is late arrives or never will."""
        self.faults.clear()
        self.answers_lost = 0
        self.bus.unmet.clear()
        for put in self.late_puts:
            if self.choices.below(2):
                put.land(self.store)
                self.scheduler.note("put landed late")
        self.late_puts.clear()
        for land in self.bus.late:
            if self.choices.below(2):
                land()
                self.scheduler.note("message landed late")
        self.bus.late.clear()
        for worker in self.workers:
            worker.process.is_frozen = False
        if not self.producers or not any(p.process.is_alive for p in self.producers):
            self.start_producer()

    def keep_house(self) -> None:
        """What an operator's platform does: processes that ended are started again, partitions are spread."""
        self.forget_the_dead()
        for worker in self.living():
            if (worker.refused or worker.process.is_stopping) and not self._has_actors(worker):
                worker.process.is_alive = False
                self.workers.remove(worker)
        if not self.living():
            self.start_worker()
        members = [m for m in self.bus.members if m.process.is_alive]
        if members:
            free = [p for p, owner in self.bus.owners.items() if owner is None and self.bus.wanted.get(p) is None]
            self.bus.rebalance({partition: members[partition.number % len(members)] for partition in free})
        if not any(a.wake_at <= self.scheduler.now and not a.process.is_frozen for a in self.scheduler.actors):
            self.scheduler.pass_time()

    def _has_actors(self, worker: Worker) -> bool:
        return any(actor.process is worker.process for actor in self.scheduler.actors)

    def is_quiet(self) -> bool:
        return not self.unrest()

    def unrest(self) -> list[str]:
        """What is still to be done."""
        tables = self.state.tables
        found = [f"{client.name} waits for answers" for client in self.clients if client.unanswered]
        for partition, log in self.bus.logs.items():
            row = tables.partitions.get((partition.region, partition.number))
            if partition not in self.lost_partitions and (row.next_offset if row else 0) < log.end:
                found.append(f"{partition} is at {row and row.next_offset} of {log.end}")
        for row in tables.files.values():
            if row.state in {FileState.PARKED, FileState.INTENDED} and not self._is_lost(row.region, row.partition):
                found.append(f"file {row.id} is {row.state}")
            elif row.is_of_chain:
                found.append(f"file {row.id} is in no digest")
        found += [f"digest {key} waits" for key, row in tables.digests.items() if row.published_at is None]
        found += [f"chain {row.chain.id} ends" for row in tables.chains.values() if row.chain.ending and not row.chain.ended]
        return found

    def _is_lost(self, region: str, number: int) -> bool:
        return Partition(region, number) in self.lost_partitions

    def check(self) -> None:
        """All invariants. Raises Violated."""
        self.new_events = first_deliveries(self.bus.history)
        check(self)

    def end(self) -> None:
        """Frees all greenlets."""
        for process in {actor.process for actor in self.scheduler.actors}:
            self.scheduler.kill(process)

    # --- asked by the invariants -------------------------------------------------------------------

    @property
    def has_lost_something(self) -> bool:
        return self.restored or bool(self.lost_partitions)

    def expects_halt(self, what: str) -> bool:
        return self.has_lost_something

    def may_miss(self, taken: Taken) -> bool:
        return taken.partition in self.lost_partitions or self.restored

    def history(self) -> History:
        return History(self.state.tables.changes)

    def describe(self, file: IntendedFile) -> str:
        rows = [row for row in self.state.tables.files.values() if row.file.object_key == file.object_key]
        return f"incarnation {file.incarnation}, session {file.logging_session}, rows {rows}"

"""One schedule: everything in memory, what goes wrong in it, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from opentrail.events.client_numbers import MAX_CLIENTS, MAX_HOLES
from opentrail.trails.configuration import Change, ConfigurationHistory
from opentrail_backends.event_bus.port import Partition
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.state.port import IntendedFile, PublicKey
from opentrail_delivery.settings import DeliverySettings
from opentrail_producer.spool_shares import SpoolShares
from tests.simulation import virtual_time
from tests.simulation.audit import Audit
from tests.simulation.choices import Choices
from tests.simulation.clients import Client, Producer
from tests.simulation.evidence import Place
from tests.simulation.fake_keys import FakeKeys
from tests.simulation.faults import Faults, LatePut
from tests.simulation.invariants import New, check, first_deliveries
from tests.simulation.memory_bus import MemoryBus, Taken
from tests.simulation.memory_state import MemoryStateStore
from tests.simulation.memory_tables import Tables
from tests.simulation.scheduler import Scheduler
from tests.simulation.trails import BUCKETS, FIRST, HERE, PARTITIONS, SECOND, THERE, THIRD, History, Operator
from tests.simulation.workers import HEADS_BUCKET, SPOOL_BUCKET, Worker, settings


@dataclass
class World:
    """All stores, all processes."""

    choices: Choices
    settings: DeliverySettings = field(default_factory=settings)
    bounds: tuple[int, int] = (MAX_CLIENTS, MAX_HOLES)
    """Clients and holes that are remembered."""
    share_bytes: int = 2**40
    spool_bucket: str = SPOOL_BUCKET
    workers: list[Worker] = field(default_factory=list)
    producers: list[Producer] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    """Events that a client was told are accepted."""
    planted: set[Place] = field(default_factory=set)
    late_puts: list[LatePut] = field(default_factory=list)
    backup: Tables | None = None
    unsure: set[Partition] = field(default_factory=set)
    """Partitions whose messages the schedule took away: they halt, unless all was read before."""
    newer: dict[Partition, int] = field(default_factory=dict)
    """Partitions with a message of a newer format, by its offset: they halt there."""
    restored: bool = False
    keys_before: list[PublicKey] = field(default_factory=list)
    """Those that a restored backup may not know."""
    changes_before: list[Change] = field(default_factory=list)
    clocks_differed: bool = False
    answers_lost: float = 0
    names_of_workers: int = 0
    new_events: list[New] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.choices)
        virtual_time.begin(self.scheduler, self.bounds)
        self.audit = Audit(self.scheduler.seen)
        self.store_clock_offset = 0
        self.state = MemoryStateStore(lambda: self.scheduler.now + self.store_clock_offset, self.audit)
        self.bus = MemoryBus(self.scheduler, revision=lambda: self.state.tables.head_revision)
        self.keys = FakeKeys()
        self.store = InMemoryObjectStore([*BUCKETS, SPOOL_BUCKET, HEADS_BUCKET])
        self.faults = Faults(self.scheduler)
        for region, partitions in PARTITIONS.items():
            self.bus.ensure_topic(region, partitions)
        self.operator = Operator(self.state, self.choices)

    # --- who takes part ----------------------------------------------------------------------------

    def start_worker(self) -> Worker:
        self.names_of_workers += 1
        worker = Worker.start(f"worker-{self.names_of_workers}", self)
        self.workers.append(worker)
        return worker

    def start_producer(self) -> None:
        shares = SpoolShares(
            lambda: self.state.ledger.spool_usage().by_owner,
            lambda: ConfigurationHistory(self.state.tables.changes).newest,
            self.share_bytes,
        )
        name = f"producer-{len(self.producers)}"
        self.producers.append(Producer.start(name, self.scheduler, self.bus, self.faults, shares))

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

    def keep_house(self) -> None:
        """What an operator's platform does: processes that ended are started again, partitions are spread."""
        self.forget_the_dead()
        for worker in self.living():
            if (worker.refused or worker.process.is_stopping) and not self._goes_on(worker):
                worker.process.is_alive = False
                self.workers.remove(worker)
        if not self.living():
            self.start_worker()
        members = [member for member in self.bus.members if member.process.is_alive]
        if members:
            free = [p for p, owner in self.bus.owners.items() if owner is None and self.bus.wanted.get(p) is None]
            self.bus.rebalance({partition: members[partition.number % len(members)] for partition in free})
            self.bus.give()

    def _goes_on(self, worker: Worker) -> bool:
        return any(actor.process is worker.process for actor in self.scheduler.actors)

    # --- the end -----------------------------------------------------------------------------------

    def check(self) -> None:
        """All invariants. Raises Violated."""
        self.new_events = first_deliveries(self)
        check(self)

    def end(self) -> None:
        """Frees all greenlets."""
        for process in {actor.process for actor in self.scheduler.actors}:
            self.scheduler.kill(process)

    # --- asked by the invariants -------------------------------------------------------------------

    def expects_halt(self, what: str) -> bool:
        stopped = {f"partition {partition.region}/{partition.number}" for partition in {*self.unsure, *self.newer}}
        return self.restored or what in stopped

    def may_miss(self, taken: Taken) -> bool:
        """Whether events of a message may be in no log file: it was taken away, or lies behind what halts."""
        return self.restored or taken.partition in {*self.unsure, *self.newer}

    def may_be_stray(self, place: Place) -> bool:
        """Whether a log file may lie in its bucket and wait for its digest: its partition stands still."""
        return self.restored or self.audit.partitions[place] in {*self.unsure, *self.newer}

    def history(self) -> History:
        return History(self.changes_before or self.state.tables.changes)

    def describe(self, file: IntendedFile) -> str:
        rows = [row for row in self.state.tables.files.values() if row.file.object_key == file.object_key]
        return f"incarnation {file.incarnation}, session {file.logging_session}, rows {rows}"

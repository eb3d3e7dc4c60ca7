"""A delivery process: the real service, whose threads are actors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from opentrail_delivery.errors import DeliveryHalted
from opentrail_delivery.service import DeliveryPorts, DeliveryService
from opentrail_delivery.settings import DeliverySettings
from opentrail_delivery.spool import Spool
from tests.simulation.faults import PortOfProcess, StateOfProcess, StoreOfProcess
from tests.simulation.memory_bus import BusOfProcess
from tests.simulation.scheduler import Process
from tests.simulation.silent_metrics import Silent
from tests.simulation.virtual_time import wall_ms

SPOOL_BUCKET = "opentrail-spool"
HEADS_BUCKET = "second-place"
_WANTED: dict[str, Any] = {
    "window_seconds": 2.0,
    "window_bytes": 6_000,
    "file_bytes": 1_500,
    "memory_bytes": 20_000,
    "windows_in_flight": 3,
    "put_threads": 4,
    "park_soon_seconds": 0.5,
    "silent_seconds": 2.0,
    "park_seconds": 6.0,
    "parked_retry_seconds": 3.0,
    "parked_threads": 2,
    "parked_expire_seconds": 1e9,
    "digest_seconds": 20,
    "key_seconds": 45,
    "heads_bucket": f"{HEADS_BUCKET}/heads",
}


def settings(**changes: Any) -> DeliverySettings:
    """Everything in seconds what in production takes minutes and hours."""
    known = {field.name for field in fields(DeliverySettings)}
    return DeliverySettings(**{name: value for name, value in {**_WANTED, **changes}.items() if name in known})


class Ordered(dict[Any, None]):
    """A set whose order does not depend on where its members lie in memory."""

    def add(self, member: Any) -> None:
        self[member] = None

    def discard(self, member: Any) -> None:
        self.pop(member, None)


@dataclass
class Worker:
    """One process; a restart is another one."""

    process: Process
    service: DeliveryService | None = None
    refused: str = ""
    """Why it did not start."""

    @classmethod
    def start(cls, name: str, world: Any, wall_offset: int = 0) -> Worker:
        worker = cls(Process(name, world.names_of_workers))
        worker.process.wall_offset = wall_offset
        worker.process.monotonic_offset = world.scheduler.choices.below(1000)
        world.scheduler.spawn(worker.process, "main", lambda: worker._run(world))
        return worker

    def _run(self, world: Any) -> None:
        faults = world.faults
        store = StoreOfProcess(world.store, world.late_puts, faults, self.process)
        state = StateOfProcess(world.state, faults)
        ports = DeliveryPorts(
            event_bus=BusOfProcess(world.bus, self.process, faults.bus_fails),
            object_store=store,
            state_store=state,
            key_management=PortOfProcess(world.keys, world.scheduler, faults.key_call),
            spool=Spool(store, SPOOL_BUCKET),
        )
        world.scheduler.sleep(0.01 * (self.process.number % 7))  # never two at the same moment
        self.service = DeliveryService(world.settings, ports, clock=wall_ms, metrics=Silent())
        self.service._putter._running = Ordered()
        try:
            self.service.start()
        except DeliveryHalted as halt:
            self.refused = str(halt)
            world.scheduler.note("worker refused to start")
        except Exception as error:
            self.refused = f"failed: {error}"

    def halted(self) -> dict[str, str]:
        """What stands still and why."""
        if self.refused:
            return {"process": self.refused}
        return self.service.status()["halted"] if self.service else {}

    def stop(self, world: Any) -> None:
        """In order, within a limit, by a thread of its own."""
        service = self.service
        self.process.is_stopping = True
        if service is not None and not self.refused:
            world.scheduler.spawn(self.process, "stop", lambda: service.stop(10.0))

"""Producers and their clients: events on their way to the bus, with answers that get lost on the way back."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from opentrail.events.record import MAX_AHEAD, Rejection
from opentrail.evidence.times import format_time
from opentrail_backends.event_bus.port import EventBusError, Partition, PublishFailed, Topic
from opentrail_producer.intake import Intake, NotConfirmed, Numbers, Throttled
from opentrail_producer.rate_limit import Rate, RateLimit
from opentrail_producer.settings import IntakeLimits
from opentrail_producer.spool_shares import SpoolShares
from tests.simulation.faults import Faults
from tests.simulation.memory_bus import MemoryBus
from tests.simulation.scheduler import Process, Scheduler
from tests.simulation.silent_metrics import Silent

LIMITS = IntakeLimits()


class PublisherOfProcess:
    """The bus as a producer sees it: a message may be taken, lost, taken late, or taken and not confirmed."""

    def __init__(self, bus: MemoryBus, faults: Faults) -> None:
        self._bus = bus
        self._faults = faults

    def topics(self) -> dict[str, Topic]:
        return self._bus.topics()

    def publish(self, partition: Partition, _key: bytes, value: bytes) -> Future[None]:
        scheduler = self._bus.scheduler
        scheduler.pause()
        if self._faults.bus_fails() or partition in self._bus.blocked:
            raise EventBusError("simulated: the bus takes nothing")
        confirmation: Future[None] = Future()
        kind = scheduler.choices.below(3) if scheduler.choices.chance(self._faults.publishing) else None
        if kind in (None, 1):
            self._bus.append(partition, value)
        elif kind == 2:
            self._bus.late.append(lambda: self._bus.append(partition, value))
        if kind is None:
            confirmation.set_result(None)
        else:
            scheduler.note(("publish lost", "publish kept, not confirmed", "publish lands late")[kind])
            confirmation.set_exception(PublishFailed("simulated: not confirmed"))
        scheduler.pause()
        return confirmation

    def close(self, timeout: float) -> None:
        """Nothing to free."""


@dataclass
class Producer:
    """A producer process: the real intake over the bus in memory."""

    process: Process
    intake: Intake

    @classmethod
    def start(
        cls,
        name: str,
        scheduler: Scheduler,
        bus: MemoryBus,
        faults: Faults,
        shares: SpoolShares | None = None,
    ) -> Producer:
        process = Process(name)
        intake = Intake(
            PublisherOfProcess(bus, faults),
            RateLimit(lambda _: Rate(1e9, 1e12), 1.0, lambda: scheduler.now / 1000),
            LIMITS,
            Silent(),
            now=lambda: scheduler.now + process.wall_offset,
            clock=lambda: scheduler.now / 1000,
            spool_shares=shares,
        )
        return cls(process, intake)


@dataclass
class Batch:
    """Events that are to be sent until there is an answer."""

    texts: list[bytes]
    first: int | None


@dataclass
class Client:
    """Sends batches of an account, one after the other, and sends those again that it got no answer for."""

    name: str
    account: str
    region: str
    client_id: bytes | None
    """None: it numbers nothing, and sends nothing twice."""
    scheduler: Scheduler
    producers: Callable[[], Sequence[Producer]]
    accepted: Callable[[str], None]
    answers_lost: Callable[[], float]
    process: Process = field(default_factory=lambda: Process("client"))
    unanswered: list[Batch] = field(default_factory=list)
    next_number: int = 0
    is_done: bool = False
    """It sends nothing new, only what it got no answer for."""
    gives_up: bool = False
    """Its partition takes nothing any more."""
    made: int = 0

    def run(self) -> None:
        self.process.name = self.name
        choices = self.scheduler.choices
        while True:
            if self.is_done and not self.unanswered:
                self.scheduler.sleep(1000.0)
                continue
            self.scheduler.sleep(choices.pick((0.3, 0.1, 0.9, 0.02)))
            if self.unanswered and (self.is_done or choices.chance(60)):
                self._send_again()
            elif not self.is_done:
                self._send(self._new())

    def restart(self, client_id: bytes) -> None:
        """It begins anew with another id; what it got no answer for is not sent again."""
        self.client_id, self.next_number = client_id, 0
        self.unanswered.clear()

    def _new(self) -> Batch:
        count = self.scheduler.choices.pick((1, 2, 3, 1))
        first = self.next_number
        self.next_number += count
        if self.client_id is not None and self.scheduler.choices.chance(5):
            self.next_number += 1  # an event that the client lost: a hole that stays
        return Batch([self._record() for _ in range(count)], None if self.client_id is None else first)

    def _record(self) -> bytes:
        self.made += 1
        choices = self.scheduler.choices
        record: dict[str, object] = {
            "eventSource": "ec2.amazonaws.com",
            "eventName": "RunInstances",
            "sourceIPAddress": "192.0.2.1",
            "userIdentity": {},
            "eventType": "AwsApiCall",
            "readOnly": choices.below(2) == 1,
        }
        if self.client_id is None:
            record["eventID"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.name}/{self.made}"))
        elif choices.chance(4):
            # Refused now, perhaps not when it is sent again.
            record["eventTime"] = format_time(self.scheduler.now // 1000 + MAX_AHEAD + 1)
        elif choices.chance(2):
            record["eventName"] = 7  # refused for ever
        return json.dumps(record, separators=(",", ":")).encode()

    def _send_again(self) -> None:
        choices = self.scheduler.choices
        batch = self.unanswered.pop(choices.below(len(self.unanswered)))
        if len(batch.texts) > 1 and choices.chance(40):
            self.scheduler.note("batch split")
            cut = 1 + choices.below(len(batch.texts) - 1)
            assert batch.first is not None
            self.unanswered.append(Batch(batch.texts[cut:], batch.first + cut))
            batch = Batch(batch.texts[:cut], batch.first)
        self.scheduler.note("batch sent again")
        self._send(batch)

    def _send(self, batch: Batch) -> None:
        producers = self.producers()
        producer = producers[self.scheduler.choices.below(len(producers))]
        numbers = None if batch.first is None or self.client_id is None else Numbers(self.client_id, batch.first)
        outcomes = None
        try:
            outcomes = producer.intake.accept(self.account, batch.texts, self.region, numbers)
        except NotConfirmed:
            self.scheduler.note("batch not confirmed")
        except Throttled:
            self.scheduler.note("owner refused: share of the spool")
        if outcomes is not None and not producer.process.is_alive:
            outcomes = None
        if outcomes is not None and numbers is not None and self.scheduler.choices.chance(self.answers_lost()):
            self.scheduler.note("answer to the client lost")
            outcomes = None
        if outcomes is None:
            if numbers is not None and not self.gives_up:
                self.unanswered.append(batch)
            return
        for outcome in outcomes:
            if isinstance(outcome, Rejection):
                self.scheduler.note("event rejected")
            else:
                self.accepted(outcome)

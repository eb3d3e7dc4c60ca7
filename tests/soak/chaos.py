"""What goes wrong, and when: a plan drawn from a seed, bounded in count and time, and its execution."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from tests.soak.faulty_s3 import LATE_SECONDS, Kind, Trouble
from tests.soak.installation import TRAILS, Installation
from tests.soak.services import Service


class What(StrEnum):
    """What is done to the installation."""

    KILL = "kill -9 of a service"
    DEPLOY = "SIGTERM and start of a service"
    FREEZE = "a service frozen for seconds"
    BROKER_KILL = "kill -9 of the broker"
    BROKER_STOP = "restart of the broker"
    POSTGRES_KILL = "crash of PostgreSQL"
    POSTGRES_STOP = "restart of PostgreSQL"
    S3 = "trouble with S3"


class Event(NamedTuple):
    """Something that happens `at` seconds after the start."""

    at: float
    what: What


def draw(seconds: float, kills: int, chance: random.Random) -> list[Event]:
    """When what happens: `kills` kills, and the rest in the same proportion to them, at random moments."""
    counts = {
        What.KILL: kills,
        What.DEPLOY: kills // 5,
        What.FREEZE: kills // 5,
        What.BROKER_KILL: max(1, kills // 40),
        What.BROKER_STOP: kills // 40,
        What.POSTGRES_KILL: max(1, kills // 40),
        What.POSTGRES_STOP: max(1, kills // 40),
        What.S3: kills // 2,
    }
    return sorted(Event(chance.uniform(0, seconds), what) for what, count in counts.items() for _ in range(count))


class _Server(Protocol):
    """Kafka or PostgreSQL."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


@dataclass
class Chaos:
    """Carries a plan out. What takes long (a freeze, a server's restart) goes on beside what comes next."""

    installation: Installation
    plan: list[Event]
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    """What could not be done; there must be none."""

    def __post_init__(self) -> None:
        self._locks = {"kafka": threading.Lock(), "postgres": threading.Lock()}
        self._beside: list[threading.Thread] = []

    def run(self, say: Callable[[str], None]) -> None:
        """Until the whole plan is carried out and all that was stopped runs again; says how far it is."""
        started = time.monotonic()
        told = 0
        for event in self.plan:
            time.sleep(max(0.0, started + event.at - time.monotonic()))
            self._do(event.what)
            if event.at // 60 > told:
                told = int(event.at // 60)
                say(f"  {told} min: {self.kills} kills")
        for thread in self._beside:
            thread.join()

    def _do(self, what: What) -> None:
        chance, installation = self.chance, self.installation
        kafka, postgres = installation.kafka, installation.postgres
        pause = chance.choice((0.0, 0.0, 0.5, 2.0, 5.0))
        match what:
            case What.KILL:
                self._to_one_that_runs(what, lambda service: service.kill(pause))
            case What.DEPLOY:
                self._to_one_that_runs(what, Service.terminate)
            case What.FREEZE:
                seconds = chance.choice((1.0, 4.0, 9.0, 15.0))  # a member of the group is given up after 6
                service = chance.choice(installation.services)
                self._go_on_beside(lambda: self._count(what, service.freeze(seconds)))
            case What.BROKER_KILL:
                self._go_on_beside(lambda: self._restart(what, "kafka", kafka, kafka.kill, pause))
            case What.BROKER_STOP:
                self._go_on_beside(lambda: self._restart(what, "kafka", kafka, kafka.stop, pause))
            case What.POSTGRES_KILL:
                self._go_on_beside(lambda: self._restart(what, "postgres", postgres, postgres.kill, pause))
            case What.POSTGRES_STOP:
                self._go_on_beside(lambda: self._restart(what, "postgres", postgres, postgres.stop, pause))
            case What.S3:
                self._trouble()

    def _to_one_that_runs(self, what: What, act: Callable[[Service], bool]) -> None:
        """Any of those that run; waits for one where none does."""
        deadline = time.monotonic() + 60
        services = list(self.installation.services)
        while time.monotonic() < deadline:
            self.chance.shuffle(services)
            for service in services:
                if act(service):
                    self._count(f"{what}: {service.name}", True)
                    return
            time.sleep(0.1)
        self.errors.append(f"{what}: no service ran for a minute")

    def _restart(self, what: What, name: str, server: _Server, end: Callable[[], None], pause: float) -> None:
        with self._locks[name]:
            end()
            time.sleep(pause)
            server.start()
        self._count(what, True)

    def _trouble(self) -> None:
        chance = self.chance
        kind = chance.choice(list(Kind))
        buckets = [trail.bucket for trail in TRAILS]
        struck = buckets if chance.random() < 0.3 and kind is not Kind.SILENT else [chance.choice(buckets)]
        seconds = chance.uniform(3, 15)
        self.installation.proxy.begin(
            Trouble(
                kind,
                frozenset(struck),
                until=time.monotonic() + seconds,
                left=3 if kind is Kind.LATE else 1000,
                share=chance.choice((0.2, 0.5, 1.0)),
                seconds=chance.uniform(1, 6) if kind is Kind.STALL else LATE_SECONDS,
            )
        )
        self._count(What.S3, True)
        self.troubles[kind] += 1

    def _go_on_beside(self, work: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                work()
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded)
        self._beside.append(thread)
        thread.start()

    def _count(self, what: str, happened: bool) -> None:
        if happened:
            self.done[what] += 1

    @property
    def kills(self) -> int:
        """How many processes of ours were killed by kill -9."""
        return sum(count for what, count in self.done.items() if what.startswith(What.KILL))

"""What goes wrong: set by the schedule, asked by every call of a port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opentrail_backends.key_management.port import KeyManagementError
from opentrail_backends.object_store.in_memory import InMemoryObjectStore
from opentrail_backends.object_store.port import (
    ObjectStoreError,
    PutOptions,
    PutRefused,
    StoredObject,
    StoreThrottled,
)
from opentrail_backends.object_store.port import OutcomeUnknown as PutUnknown
from opentrail_backends.state.port import OutcomeUnknown, StateError
from tests.simulation.scheduler import Process, Scheduler

SILENCE = 2.5
"""Seconds after which a client of a silent bucket gives up."""
_READING = frozenset(
    {
        "now", "known_topic", "client_numbers", "parked_files", "spool_usage", "windows", "clients", "lost_offsets",
        "parked_by_trail", "due", "all_chains", "undigested", "unpublished", "orphans", "changes_after", "covering",
        "between", "unmet_conditions", "oldest_pending", "unsigned", "heads_to_put", "heads",
    }
)  # fmt: skip


@dataclass
class Faults:
    """Percent of calls that fail, and what each bucket does."""

    scheduler: Scheduler
    state: float = 0
    bus: float = 0
    keys: float = 0
    publishing: float = 0
    """Messages that are not confirmed."""
    puts: float = 0
    """Lost answers of buckets that are otherwise well."""
    buckets: dict[str, str] = field(default_factory=dict)
    """`refuse`, `throttle`, `error` (5xx), `silent`, or `mixed`; all others are well."""
    nothing_may_be_written: bool = False
    written: list[str] = field(default_factory=list)
    """What was written all the same."""

    def clear(self) -> None:
        self.state = self.bus = self.keys = self.puts = self.publishing = 0
        self.buckets.clear()

    def wrote(self, what: str) -> None:
        """A process writes something."""
        if self.nothing_may_be_written and what not in {"report_worker", "remove_worker"}:
            self.written.append(what)

    def bus_fails(self) -> bool:
        return self._happens("bus call failed", self.bus)

    def _happens(self, what: str, percent: float) -> bool:
        if not percent or not self.scheduler.choices.chance(percent):
            return False
        self.scheduler.note(what)
        return True

    def state_call(self, name: str, call: Callable[[], Any]) -> Any:
        """A transaction: it may be refused, or its outcome lost, kept or not."""
        if name not in _READING:
            self.wrote(name)
        if not self.state or not self.scheduler.choices.chance(self.state):
            return call()
        kind = self.scheduler.choices.below(3)
        if name in _READING or kind == 0:
            self.scheduler.note("state refused")
            raise StateError(f"simulated: {name} was refused")
        if kind == 1:
            call()
            self.scheduler.note("state answer lost, kept")
            raise OutcomeUnknown(f"simulated: the answer of {name} was lost, it was kept")
        self.scheduler.note("state answer lost, not kept")
        raise OutcomeUnknown(f"simulated: the answer of {name} was lost, it was not kept")

    def key_call(self, name: str, call: Callable[[], Any]) -> Any:
        if self._happens("key management failed", self.keys):
            raise KeyManagementError(f"simulated: {name} failed")
        return call()


class PortOfProcess:
    """A port as one process sees it: others may go on before and after each call, and a call may fail."""

    def __init__(
        self, target: Any, scheduler: Scheduler, run: Callable[[str, Callable[[], Any]], Any], counts: Any = None
    ) -> None:
        self._target = target
        self._scheduler = scheduler
        self._run = run

    def __getattr__(self, name: str) -> Any:
        scheduler, run, target = self._scheduler, self._run, self._target

        def call(*arguments: Any, **named: Any) -> Any:
            scheduler.pause()
            scheduler.tell(f"{name}{arguments}")
            answer = run(name, lambda: getattr(target, name)(*arguments, **named))
            scheduler.pause()
            return answer

        self.__dict__[name] = call
        return call


class StateOfProcess:
    """The state store as one process sees it."""

    def __init__(self, state: Any, faults: Faults) -> None:
        for part in ("configuration", "ledger", "chains", "public_keys", "calls"):
            setattr(self, part, _Part(state, part, faults))
        self.notifications = state.notifications  # there is nothing in it that could fail
        self._whole = PortOfProcess(state, faults.scheduler, faults.state_call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)


class _Part(PortOfProcess):
    def __init__(self, state: Any, part: str, faults: Faults) -> None:
        super().__init__(getattr(state, part), faults.scheduler, faults.state_call)


class StoreOfProcess:
    """The object store as one process sees it: the strict store, behind what the schedule makes of each bucket."""

    def __init__(self, store: InMemoryObjectStore, late: list[LatePut], faults: Faults, process: Process) -> None:
        self._store = store
        self._late = late
        self._faults = faults
        self._process = process

    def put(self, bucket: str, key: str, body: bytes, options: PutOptions) -> None:
        scheduler, kind = self._faults.scheduler, self._kind(bucket)
        scheduler.pause()
        put = LatePut(bucket, key, bytes(body), options)
        scheduler.tell(f"put {bucket}/{key} ({kind})")
        self._faults.wrote(f"put {key}")
        if kind == "mixed":
            kind = scheduler.choices.pick(("well", "refuse", "throttle", "error", "silent"))
        match kind:
            case "refuse":
                scheduler.note("put refused")
                raise PutRefused(f"simulated: {key} refused", "AccessDenied")
            case "throttle":
                scheduler.note("put throttled")
                raise StoreThrottled(f"simulated: slow down ({key})")
            case "silent":
                self._lose(put)
                scheduler.note("put silent")
                scheduler.sleep(SILENCE)
                raise PutUnknown(f"simulated: no answer for {key}")
            case "error":
                self._lose(put)
                scheduler.note("put answered 5xx")
                raise PutUnknown(f"simulated: 500 for {key}")
        self._store.put(bucket, key, body, options)
        if self._faults._happens("put answer lost, kept", self._faults.puts):
            raise PutUnknown(f"simulated: the answer for {key} was lost")
        scheduler.pause()

    def _lose(self, put: LatePut) -> None:
        """It was kept, may appear later, or never."""
        kind = self._faults.scheduler.choices.below(3)
        if kind == 1:
            put.land(self._store)
        elif kind == 2:
            self._late.append(put)

    def _kind(self, bucket: str) -> str:
        return self._faults.buckets.get(bucket, "well")

    def _ask(self, bucket: str) -> None:
        scheduler = self._faults.scheduler
        scheduler.pause()
        match self._kind(bucket):
            case "refuse":
                raise PutRefused("simulated: refused", "AccessDenied")
            case "throttle":
                raise StoreThrottled("simulated: slow down")
            case "silent" | "error":
                raise PutUnknown("simulated: no answer")

    def get(self, bucket: str, key: str) -> StoredObject:
        self._ask(bucket)
        found = self._store.get(bucket, key)
        self._faults.scheduler.pause()
        return found

    def delete(self, bucket: str, key: str) -> None:
        self._ask(bucket)
        self._faults.scheduler.tell(f"delete {bucket}/{key}")
        self._store.delete(bucket, key)
        self._faults.scheduler.pause()

    def probe(self, bucket: str) -> None:
        self._ask(bucket)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass(frozen=True, slots=True)
class LatePut:
    """A put that its client gave up and that may still arrive."""

    bucket: str
    key: str
    body: bytes
    options: PutOptions

    def land(self, store: InMemoryObjectStore) -> bool:
        """Whether the object appeared."""
        try:
            store.put(self.bucket, self.key, self.body, self.options)
        except ObjectStoreError:
            return False
        return True

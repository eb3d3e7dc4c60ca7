"""The real code under the schedule's clocks: `time`, `threading`, randomness and loggers of its modules are replaced.

What the modules import by name from elsewhere is left as it is; the clocks that they take as arguments are given.
"""

from __future__ import annotations

import gzip
import importlib
import pkgutil
import random
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from functools import partial
from types import FunctionType, SimpleNamespace
from typing import Any

import opentrail_delivery
import opentrail_producer.answers
import opentrail_producer.intake
import opentrail_producer.rate_limit
from opentrail.events.client_numbers import MAX_CLIENTS, bounded
from opentrail.evidence import signature
from opentrail.evidence.log_file import Codec
from opentrail_backends.event_bus.batches import MalformedBatch, unpack
from opentrail_delivery import client_book, file_names, service, window_build
from opentrail_delivery.threads import DaemonExecutor
from tests.simulation import fake_keys
from tests.simulation.fake_threads import THREADING, ActorExecutor, Now, wait_for
from tests.simulation.scheduler import Scheduler


def begin(scheduler: Scheduler, bounds: tuple[int, int]) -> None:
    """The replaced modules belong to this schedule from here on. `bounds`: clients and holes that are remembered."""
    Now.scheduler = scheduler
    _Uniques.count = 0
    FAULTS.clear()
    BREAKING.clear()
    client_book.MAX_CLIENTS, client_book.bounded = (
        bounds[0],
        partial(bounded, max_clients=bounds[0], max_holes=bounds[1]),
    )


def wall_ms() -> int:
    """The wall clock of the process whose turn it is."""
    actor = Now.scheduler.current
    return Now.scheduler.now + (actor.process.wall_offset if actor else 0)


def monotonic() -> float:
    """The clock that only rises, of the process whose turn it is. Seconds."""
    actor = Now.scheduler.current
    return (Now.scheduler.now + (actor.process.monotonic_offset if actor else 0)) / 1000


BREAKING: dict[bytes, int] = {}
"""Messages that break the reader of workers of a release before: those with a number up to this one."""


def _unpack(value: Any) -> Any:
    actor = Now.scheduler.current
    if BREAKING and actor is not None and actor.process.number <= BREAKING.get(bytes(value), -1):
        raise MalformedBatch("simulated: this release cannot read it")
    return unpack(value)


FAULTS: list[BaseException] = []
"""Exceptions that the code took for its own faults: no schedule may bring one about."""


class _Log:
    """Counts what is logged, by its text."""

    def _count(self, event: str, *arguments: Any, **values: Any) -> None:
        scheduler = Now.scheduler
        scheduler.seen[event] += 1
        if scheduler.trace is not None:
            scheduler.trace.append(f"           log: {event} {arguments or ''}{values or ''}")

    debug = info = warning = error = critical = _count

    def exception(self, event: str, **values: Any) -> None:
        error = sys.exc_info()[1]
        assert error is not None
        self._count(event, error=repr(error), **values)
        FAULTS.append(error)


class _Uniques:
    count = 0


def _unique() -> str:
    _Uniques.count += 1
    return f"{_Uniques.count:016d}"


def _deflate(data: bytes) -> bytes:
    """Stored blocks and a sync flush: what is deflated is of no interest here."""
    blocks = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)]
    return b"".join(struct.pack("<BHH", 0, len(b), len(b) ^ 0xFFFF) + b for b in blocks) + b"\0\0\0\xff\xff"


def _gzip(data: bytes, mtime: int = 0) -> bytes:
    compressor = zlib.compressobj(level=0, wbits=31)
    return compressor.compress(data) + compressor.flush()


CODEC = Codec(_deflate, zlib.crc32)


def _sleep(seconds: float) -> None:
    Now.scheduler.sleep(seconds)


_TIME = SimpleNamespace(
    monotonic=monotonic,
    time=lambda: wall_ms() / 1000,
    time_ns=lambda: wall_ms() * 1_000_000,
    perf_counter=monotonic,
    sleep=_sleep,
)


_INSTEAD: dict[Any, Any] = {time.monotonic: monotonic, random.random: lambda: 0.5}
"""Clocks and chance that functions take as arguments, by what is their default."""


def _instead(value: Any) -> Any:
    return _INSTEAD.get(value, value) if callable(value) else value


def _functions_of(module: Any) -> Iterator[Any]:
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, FunctionType):
            yield value
        elif isinstance(value, type):
            yield from [member for member in vars(value).values() if isinstance(member, FunctionType)]


def _replace_defaults(module: Any, put: Callable[[Any, str, Any], None]) -> None:
    for function in _functions_of(module):
        defaults, named = function.__defaults__ or (), function.__kwdefaults__ or {}
        if any(_instead(value) is not value for value in defaults):
            put(function, "__defaults__", tuple(_instead(value) for value in defaults))
        if any(_instead(value) is not value for value in named.values()):
            put(function, "__kwdefaults__", {name: _instead(value) for name, value in named.items()})


_REPLACED: dict[str, list[tuple[Any, Any]]] = {
    "time": [(time, _TIME)],
    "threading": [(threading, THREADING)],
    "DaemonExecutor": [(DaemonExecutor, ActorExecutor)],
    "wait": [(wait, wait_for)],
    "gzip": [(gzip, SimpleNamespace(compress=_gzip))],
    "verify": [(signature.verify, fake_keys.verify)],
}
"""By the name that a module knows it by: what is replaced, and what is there instead."""


@contextmanager
def replaced() -> Iterator[None]:
    """For as long as this lasts, the modules of delivery and the producer live in the schedule's time."""
    undo: list[Callable[[], None]] = []

    def put(module: Any, name: str, value: Any) -> None:
        before = getattr(module, name)
        setattr(module, name, value)
        undo.append(lambda: setattr(module, name, before))

    for module in _modules():
        for name, instead in _REPLACED.items():
            for value, substitute in instead:
                if getattr(module, name, None) is value:
                    put(module, name, substitute)
        if hasattr(module, "_log"):
            put(module, "_log", _Log())
        _replace_defaults(module, put)
    put(file_names, "_unique", _unique)
    put(window_build, "unpack", _unpack)
    put(client_book, "bounded", bounded)
    put(client_book, "MAX_CLIENTS", MAX_CLIENTS)
    put(service, "fastest_codec", lambda: CODEC)
    put(opentrail_producer.answers, "log", _Log())
    put(opentrail_producer.intake, "log", _Log())
    try:
        yield
    finally:
        for step in reversed(undo):
            step()


def _modules() -> list[Any]:
    names = [info.name for info in pkgutil.iter_modules(opentrail_delivery.__path__)]
    return [
        *(importlib.import_module(f"opentrail_delivery.{name}") for name in names),
        opentrail_producer.rate_limit,
    ]

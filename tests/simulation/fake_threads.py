"""`threading` and executors for actors: who waits lets others go on, and a thread is one more actor of its process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from types import SimpleNamespace
from typing import Any

from tests.simulation.scheduler import Actor, Scheduler

_FOR_EVER = 10**9


class Now:
    """The scheduler of the schedule that runs now."""

    scheduler: Scheduler


class Lock:
    """`threading.Lock` and `threading.RLock`."""

    def __init__(self) -> None:
        self._is_held = False

    def acquire(self) -> bool:
        while self._is_held:
            Now.scheduler.sleep(0.001)
        self._is_held = True
        return True

    def release(self) -> None:
        self._is_held = False

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Event:
    """`threading.Event`."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[Actor] = []

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        for actor in self._waiting:
            actor.wake_at = 0

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        actor = Now.scheduler.current
        if not self._is_set and actor is not None:
            self._waiting.append(actor)
            Now.scheduler.sleep(_FOR_EVER if timeout is None else timeout)
            self._waiting.remove(actor)
        return self._is_set


class Condition:
    """`threading.Condition`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: list[Actor] = []

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        actor = Now.scheduler.current
        assert actor is not None
        self._waiting.append(actor)
        self._lock.release()
        Now.scheduler.sleep(_FOR_EVER if timeout is None else timeout)
        was_told = actor not in self._waiting
        if not was_told:
            self._waiting.remove(actor)
        self._lock.acquire()
        return was_told

    def notify(self, count: int = 1) -> None:
        told, self._waiting = self._waiting[:count], self._waiting[count:]
        for actor in told:
            actor.wake_at = 0

    def notify_all(self) -> None:
        self.notify(len(self._waiting))


class Thread:
    """`threading.Thread`: an actor of the process that starts it."""

    def __init__(
        self, target: Callable[..., None], name: str = "", args: tuple[Any, ...] = (), daemon: bool = False
    ) -> None:
        self._run = lambda: target(*args)
        self.name = name
        self._actor: Actor | None = None

    @property
    def ident(self) -> int | None:
        return None if self._actor is None else id(self._actor)

    def start(self) -> None:
        current = Now.scheduler.current
        assert current is not None
        self._actor = Now.scheduler.spawn(current.process, self.name, self._run)

    def is_alive(self) -> bool:
        return self._actor in Now.scheduler.actors

    def join(self, timeout: float | None = None) -> None:
        until = Now.scheduler.now + (_FOR_EVER if timeout is None else timeout) * 1000
        while self.is_alive() and Now.scheduler.now < until:
            Now.scheduler.sleep(0.05)


class _Future(Future[Any]):
    """Who waits for it lets others go on."""

    def result(self, timeout: float | None = None) -> Any:
        while not self.done():
            Now.scheduler.sleep(0.01)
        return super().result(0)


def wait_for(futures: Iterable[Future[Any]], timeout: float | None = None, **_: Any) -> None:
    """`concurrent.futures.wait` for all of them."""
    until = Now.scheduler.now + (_FOR_EVER if timeout is None else timeout * 1000)
    pending = list(futures)
    while not all(future.done() for future in pending) and Now.scheduler.now < until:
        Now.scheduler.sleep(0.01)


class ActorExecutor(Executor):
    """`ThreadPoolExecutor`: each call is an actor of the process that asks for it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future = _Future()

        def run() -> None:
            try:
                future.set_result(function(*arguments, **named))
            except Exception as error:
                future.set_exception(error)

        Thread(run, "call").start()
        return future

    def map(self, function: Callable[..., Any], *items: Iterable[Any], **_: Any) -> Iterator[Any]:
        futures = [self.submit(function, *arguments) for arguments in zip(*items, strict=False)]
        return iter([future.result() for future in futures])

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What is under way is left to itself."""


THREADING = SimpleNamespace(
    Lock=Lock, RLock=Lock, Event=Event, Condition=Condition, Thread=Thread, local=threading.local
)

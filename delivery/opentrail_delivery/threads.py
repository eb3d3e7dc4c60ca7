"""An executor whose threads do not keep a process alive: a call that has no answer must not delay its end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Work = tuple[Future[Any], Callable[[], Any]]


class DaemonExecutor(Executor):
    """A fixed number of daemon threads, each started when it is needed."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._name = name
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._busy = 0
        self._is_closed = False

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Runs a call on one of the threads. Raises RuntimeError after `shutdown`."""
        future: Future[_T] = Future()
        with self._lock:
            if self._is_closed:
                raise RuntimeError("no calls are taken after the shutdown")
            self._busy += 1
            self._work.put((future, lambda: fn(*args, **kwargs)))
            if self._started < min(self._busy, self._threads):
                self._started += 1
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 (as declared)
        """Takes nothing more; what is under way is left to itself."""
        with self._lock:
            self._is_closed = True
            for _ in range(self._started):
                self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, call = work
            try:
                if self._is_closed:
                    future.cancel()
                if future.set_running_or_notify_cancel():
                    future.set_result(call())
            except BaseException as error:  # the future tells it
                future.set_exception(error)
            finally:
                with self._lock:
                    self._busy -= 1
            del work, future, call

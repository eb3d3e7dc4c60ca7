"""One stream's requests on their way: read ahead, answered in their order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

Request = TypeVar("Request")
Pending = TypeVar("Pending")


class Draining(Exception):
    """The server is draining: what was taken is answered, nothing more is taken."""


class ReadAhead(Generic[Request, Pending]):
    """Reads requests in a thread of its own while earlier ones still wait for the bus; at most `depth` wait at once.

    Iterating gives what `begin` made of each request, in order. What `begin` or the reading raised is raised there,
    after all earlier requests; `Draining` is raised after `drain`, once nothing is under way.
    """

    def __init__(self, requests: Iterable[Request], begin: Callable[[Request], Pending], depth: int) -> None:
        self._requests = requests
        self._begin = begin
        self._depth = depth
        self._changed = threading.Condition()
        self._begun: deque[Pending] = deque()
        self._beginning = False
        self._end: Exception | None = None
        self._cancelled = False
        self._draining = False
        threading.Thread(target=self._read, name="stream-reader", daemon=True).start()

    def cancel(self) -> None:
        """Nobody waits for answers any more: both sides stop."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def drain(self) -> None:
        """Takes no more requests."""
        with self._changed:
            self._draining = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Pending]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._begun or self._cancelled or self._ended())
                if self._cancelled:
                    return
                if not self._begun:
                    break
                pending = self._begun.popleft()
                self._changed.notify_all()
            yield pending
        if isinstance(self._end, StopIteration):
            return
        raise self._end or Draining

    def _ended(self) -> bool:
        return self._end is not None or (self._draining and not self._beginning)

    def _read(self) -> None:
        end: Exception = StopIteration()
        try:
            for request in self._requests:
                if not self._may_begin():
                    return
                pending = self._begin(request)
                with self._changed:
                    self._begun.append(pending)
                    self._beginning = False
                    self._changed.notify_all()
        except Exception as error:  # it is raised on the answering side
            end = error
        with self._changed:
            self._end = end
            self._beginning = False
            self._changed.notify_all()

    def _may_begin(self) -> bool:
        """Waits for room; False when no more may be taken."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._begun) < self._depth or self._cancelled or self._draining)
            self._beginning = not (self._cancelled or self._draining)
            return self._beginning

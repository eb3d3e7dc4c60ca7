"""Answers that a thread of its own reads ahead, so that whoever waits for them can go at any time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Empty, Full, Queue
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")
_AHEAD: Final = 256
"""Answers that wait for one who reads slowly."""
_LOOK_SECONDS: Final = 0.5
"""How often it is looked whether somebody still waits."""


class _End(NamedTuple):
    error: Exception | None


class ReadAhead(Generic[T]):
    """Reads from the start. A server that is silent keeps its thread, but neither the caller nor the process's end.

    Args:
        answers: read, and closed, on the thread.
        ended: called on the thread when it has ended.
    """

    def __init__(self, answers: Iterator[T], ended: Callable[[], None]) -> None:
        self._answers = answers
        self._ended = ended
        self._waiting: Queue[T | _End] = Queue(_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="validator-reading", daemon=True)
        self._thread.start()

    def answers(self, may_go_on: Callable[[], bool]) -> Iterator[T]:
        """The answers, or their error; ends soon after nobody waits any more. To be asked for once."""
        try:
            while may_go_on():
                try:
                    answer = self._waiting.get(timeout=_LOOK_SECONDS)
                except Empty:
                    continue
                if isinstance(answer, _End):
                    if answer.error is not None:
                        raise answer.error
                    return
                yield answer
        finally:
            self._stopped.set()
            self._thread.join(_LOOK_SECONDS)

    def _read(self) -> None:
        try:
            self._put(_End(self._read_all()))
        finally:
            self._ended()

    def _read_all(self) -> Exception | None:
        try:
            try:
                for answer in self._answers:
                    if not self._put(answer):
                        break
            finally:
                close = getattr(self._answers, "close", None)
                if close is not None:
                    close()
        except Exception as error:  # whoever asked is to see it
            return error
        return None

    def _put(self, answer: T | _End) -> bool:
        """Waits for room; whether somebody still waits for it."""
        while not self._stopped.is_set():
            try:
                self._waiting.put(answer, timeout=_LOOK_SECONDS)
            except Full:
                continue
            return True
        return False

"""A value of the state store that is read anew from time to time, and that outlives the store's absence."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from opentrail_backends.state.port import StateError

log = logging.getLogger(__name__)

Value = TypeVar("Value")


class Refreshed(Generic[Value]):
    """Read at most every `seconds`, by one of the threads that ask for it; safe for use by several threads.

    A store that cannot be asked changes nothing: what is known stays in force, and is said to.

    Args:
        what: what the value says, for the log.
        value: what holds before the first reading.
        read: makes the new value of the known one; may raise StateError and ValueError.
        clock: seconds that only rise.
        seconds: how old the value may grow.
    """

    def __init__(
        self, what: str, value: Value, read: Callable[[Value], Value], clock: Callable[[], float], seconds: float
    ) -> None:
        self._what = what
        self._value = value
        self._read = read
        self._clock = clock
        self._seconds = seconds
        self._refreshing = threading.Lock()
        self._refresh_at = clock()

    def __call__(self) -> Value:
        """The newest known value."""
        if self._clock() >= self._refresh_at and self._refreshing.acquire(blocking=False):
            try:
                self._refresh()
            finally:
                self._refreshing.release()
        return self._value  # if another thread is at it: what is known will do

    def _refresh(self) -> None:
        self._refresh_at = self._clock() + self._seconds
        try:
            self._value = self._read(self._value)
        except (StateError, ValueError) as error:
            log.warning("%s could not be read anew, what is known stays in force: %s", self._what, error)

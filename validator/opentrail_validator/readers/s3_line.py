"""libcurl's multi interface on a selector: transfers go on when something happens at their sockets."""

from __future__ import annotations

import time
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Final

import pycurl

from opentrail_validator.readers.s3_transfer import Attempt

_READS: Final = frozenset({pycurl.POLL_IN, pycurl.POLL_INOUT})
_WRITES: Final = frozenset({pycurl.POLL_OUT, pycurl.POLL_INOUT})


class Line:
    """Connections and handles of one caller at a time, moved on by what happens at their sockets."""

    def __init__(self) -> None:
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._selector = DefaultSelector()
        self._timer: float | None = None
        self._free: list[Attempt] = []

    def keep(self, count: int) -> None:
        """From now on keeps so many connections open, at most, for what is sent later."""
        self._multi.setopt(pycurl.M_MAXCONNECTS, count)

    def attempt(self) -> Attempt:
        """A handle that is not under way."""
        return self._free.pop() if self._free else Attempt()

    def send(self, attempt: Attempt) -> None:
        """Sends what was prepared."""
        self._multi.add_handle(attempt.handle)

    def take_back(self, attempt: Attempt) -> None:
        """An attempt that has ended: it is used again."""
        self._multi.remove_handle(attempt.handle)
        self._free.append(attempt)

    def give_up(self, attempt: Attempt) -> None:
        """An attempt that is under way. If the whole reader was dropped, its connections may have gone first."""
        with suppress(pycurl.error):
            self._multi.remove_handle(attempt.handle)
        attempt.handle.close()

    def go_on(self, seconds: float) -> list[tuple[pycurl.Curl, int, str]]:
        """Waits until something happens, for so long at most; the transfers that have ended: handle, code, message."""
        if self._timer is not None:
            seconds = min(seconds, max(0.0, self._timer - time.monotonic()))
        ready = self._selector.select(seconds)
        for key, events in ready:
            mask = pycurl.CSELECT_IN * bool(events & EVENT_READ) | pycurl.CSELECT_OUT * bool(events & EVENT_WRITE)
            self._multi.socket_action(key.fd, mask)
        if self._timer is not None and self._timer <= time.monotonic():
            self._timer = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        return self._ended()

    def _ended(self) -> list[tuple[pycurl.Curl, int, str]]:
        ended: list[tuple[pycurl.Curl, int, str]] = []
        left = 1
        while left:
            left, whole, failed = self._multi.info_read()
            ended += [(handle, 0, "") for handle in whole]
            ended += failed
        return ended

    def _watch(self, what: int, socket: int, _multi: object, _data: object) -> None:
        """Libcurl's word on a socket."""
        events = EVENT_READ * (what in _READS) | EVENT_WRITE * (what in _WRITES)
        is_watched = socket in self._selector.get_map()
        if not events:
            if is_watched:
                self._selector.unregister(socket)
        elif is_watched:
            self._selector.modify(socket, events)
        else:
            self._selector.register(socket, events)

    def _set_timer(self, milliseconds: int) -> None:
        self._timer = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

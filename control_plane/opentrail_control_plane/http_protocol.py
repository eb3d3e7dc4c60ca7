"""uvicorn's HTTP protocol with an end to everything: no client holds a connection by being slow, or by saying nothing.

uvicorn itself ends only connections that are idle between requests. Here each phase has its time: until a request has
come in whole, headers and body; until it is answered and the answer is taken; and until the other side has closed.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

TLS_IN_SCOPE = "opentrail.tls"
"""Where a request's ASGI scope has the connection's `ssl.SSLObject`; absent on plain HTTP."""

_CLOSING_SECONDS = 5.0


class BoundedHttpProtocol(H11Protocol):
    """One connection."""

    def __init__(self, *args: Any, receive_seconds: float, answer_seconds: float, **kwargs: Any) -> None:
        """What uvicorn gives, and two times.

        Args:
            args: uvicorn's.
            receive_seconds: from a connection's begin, or a later request's first byte, to the request's last byte.
            answer_seconds: from a request's last byte until its answer is written.
            kwargs: uvicorn's.
        """
        super().__init__(*args, **kwargs)
        self._receive_seconds = receive_seconds
        self._answer_seconds = answer_seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._deadline_is_of: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection: its first request is awaited."""
        super().connection_made(transport)
        encryption: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if encryption is not None:
            self.app = _with_tls(self.app, encryption)
        self._expect(h11.IDLE, self._receive_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the connection."""
        self._expect(None, 0.0)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Reads what came in; the time of the phase that the connection is in now begins with it."""
        super().handle_events()
        their_state = self.conn.their_state
        if their_state is h11.IDLE and not self.conn.trailing_data[0]:
            if self.cycle is not None:  # idle between requests: uvicorn's keep-alive timeout ends that
                self._expect(None, 0.0)
        elif their_state in {h11.IDLE, h11.SEND_BODY}:
            self._expect(h11.IDLE, self._receive_seconds)
        elif self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr]
            self._expect(h11.DONE, self._answer_seconds)

    def on_response_complete(self) -> None:
        """An answer was written: the connection waits for the next request, or is reading it already."""
        self._expect(None, 0.0)
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect(h11.CLOSED, _CLOSING_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """Idle for too long: closes, and breaks off if the other side does not take what is still to be sent."""
        super().timeout_keep_alive_handler()
        self._expect(h11.CLOSED, _CLOSING_SECONDS)

    def _expect(self, phase: Any, seconds: float) -> None:
        """Begins the time of a phase, unless it is running already; None ends the one that is."""
        if phase is self._deadline_is_of and phase is not None:
            return
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._deadline_is_of = phase
        if phase is not None:
            self._deadline = self.loop.call_later(seconds, self.transport.abort)


def _with_tls(app: Any, encryption: ssl.SSLObject) -> Any:
    async def with_tls(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, TLS_IN_SCOPE: encryption}, receive, send)

    return with_tls

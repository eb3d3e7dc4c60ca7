"""A relay in front of an S3 server that fails in the ways in which servers and networks do, while a test says so."""

from __future__ import annotations

import contextlib
import socket
from enum import StrEnum

from tests.servers.relay import Relay

_SLOW_DOWN = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Slow down</Message></Error>'
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(_SLOW_DOWN), _SLOW_DOWN)
)


class Failure(StrEnum):
    """What becomes of a request."""

    NONE = "none"
    CLOSED = "closed"
    """The connection is closed."""
    SILENT = "silent"
    """There is no answer until that is over; then the connection is closed."""
    BUSY = "busy"
    """503 SlowDown."""
    CUT = "cut"
    """The answer breaks off in the middle."""


class FailingS3(Relay):
    """Relays to a server on 127.0.0.1; `failure` may be changed at any time, and holds for the next request."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self.failure = Failure.NONE
        self.failed = 0
        """Requests that failed."""

    def connect(self) -> socket.socket | None:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", self._port))
        return None

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        self.start(self._requests, client, server)
        self.start(self._answers, client, server)

    def _requests(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                failure = self.failure
                if failure in {Failure.NONE, Failure.CUT}:
                    server.sendall(data)
                    continue
                self.failed += 1
                match failure:
                    case Failure.CLOSED:
                        pass
                    case Failure.SILENT:
                        while self.failure is Failure.SILENT and not self.closing.wait(0.05):
                            pass
                    case Failure.BUSY:
                        client.sendall(_BUSY)
                break
        self._end(client, server)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if self.failure is Failure.CUT:
                    self.failed += 1
                    client.sendall(data[: len(data) - max(len(data) // 8, 1)])
                    break
                client.sendall(data)
        self._end(client, server)

    def _end(self, *sockets: socket.socket) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

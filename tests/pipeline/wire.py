"""What goes over the wire to an HTTP server: a relay that keeps the head of each PUT."""

from __future__ import annotations

import contextlib
import re
import socket
from urllib.parse import unquote, urlsplit

from tests.servers.relay import Relay

_PUT = re.compile(rb"PUT (\S+) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n")


class Wire(Relay):
    """Relays connections to an HTTP server. `requests` tells the PUTs that were sent, by path, with their headers.

    It changes nothing, so signatures hold: they are over the host that the client was told.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        parts = urlsplit(endpoint)
        self._server = (parts.hostname or "", parts.port or 80)
        self.endpoint = f"http://{self.address}"
        self._sent: list[bytearray] = []

    def requests(self) -> list[tuple[str, dict[str, str]]]:
        """(path, headers) of each PUT; the names of the headers in lower case."""
        found = []
        for sent in self._sent:
            for path, head in _PUT.findall(bytes(sent)):
                lines = [line.partition(":") for line in head.decode("latin-1").splitlines()]
                headers = {name.lower(): value.strip() for name, _, value in lines}
                found.append((unquote(path.decode()), headers))
        return found

    def connect(self) -> socket.socket | None:
        with contextlib.suppress(OSError):
            return socket.create_connection(self._server)
        return None

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        sent = bytearray()
        self._sent.append(sent)
        self.start(self._pump, client, server, sent)
        self.start(self._pump, server, client, None)

    def _pump(self, source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

"""What goes over the wire to an HTTP server: a relay that keeps the head of each PUT."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

_PUT = re.compile(rb"PUT (\S+) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n")


class Wire:
    """Relays connections to an HTTP server. `requests` tells the PUTs that were sent, by path, with their headers.

    It changes nothing, so signatures hold: they are over the host that the client was told.
    """

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._server = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sent: list[bytearray] = []
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()

    def requests(self) -> list[tuple[str, dict[str, str]]]:
        """(path, headers) of each PUT; the names of the headers in lower case."""
        found = []
        for sent in self._sent:
            for path, head in _PUT.findall(bytes(sent)):
                lines = [line.partition(":") for line in head.decode("latin-1").splitlines()]
                headers = {name.lower(): value.strip() for name, _, value in lines}
                found.append((unquote(path.decode()), headers))
        return found

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        for open_socket in self._sockets:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for open_socket in self._sockets:
            open_socket.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]  # always a method of ours
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
            except OSError:
                return
            sent = bytearray()
            self._sent.append(sent)
            self._sockets += [client, server]
            self._start(self._relay, client, server, sent)
            self._start(self._relay, server, client, None)

    def _relay(self, source: socket.socket, target: socket.socket, kept: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if kept is not None:
                    kept += data
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

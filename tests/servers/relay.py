"""A TCP relay on loopback: what stands between a client and a server, for tests of what goes over the wire."""

from __future__ import annotations

import contextlib
import socket
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Relay(ABC):
    """Accepts connections and gives each, with one to a server, to `relay`. Everything is closed at the block's end."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = {self._listener}
        self._threads: list[threading.Thread] = []
        self.closing = threading.Event()

    @abstractmethod
    def connect(self) -> socket.socket | None:
        """A connection to the server; None if there is none now."""

    @abstractmethod
    def relay(self, client: socket.socket, server: socket.socket) -> None:
        """Starts what moves the bytes of a new connection."""

    def start(self, work: object, *arguments: object) -> None:
        """Runs a method of the relay in a thread that the block's end waits for."""
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]  # always a method of ours
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        self.start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        with self._lock:
            sockets = list(self._sockets)
        for open_socket in sockets:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for open_socket in self._sockets:
            open_socket.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self.connect()
            if server is None:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            self.relay(client, server)

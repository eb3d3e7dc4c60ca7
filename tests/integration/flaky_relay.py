"""A TCP relay in front of several servers that loses answers: it cuts connections and holds data back, by a seed.

It knows nothing of what it relays. A connection that it cuts is cut for the client only: the server still gets all that
was sent and answers into nothing, as it is when a network fails on the way back.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Sequence

from tests.servers.relay import Relay

_AFTERWARDS = 2.0
"""Seconds for which a server's answers to a cut connection are still read."""


class FlakyRelay(Relay):
    """Relays each connection to one of the servers, by chance.

    Args:
        servers: ports on 127.0.0.1.
        seed: decides what happens to which connection.
        bytes_until_cut: bounds of how much a client may send before its connection is cut.
        longest_delay: seconds that an answer is held back at most; above the client's patience some calls time out.
        delayed: the part of the answers that are held back.
    """

    def __init__(
        self,
        servers: Sequence[int],
        seed: int,
        *,
        bytes_until_cut: tuple[int, int] = (5_000, 120_000),
        longest_delay: float = 1.5,
        delayed: float = 0.05,
    ) -> None:
        super().__init__()
        self._servers = servers
        self._chance = random.Random(seed)
        self._bytes_until_cut = bytes_until_cut
        self._longest_delay = longest_delay
        self._delayed = delayed
        self._calm = threading.Event()
        self.cuts = 0
        self.delays = 0

    def be_calm(self) -> None:
        """From now on nothing is cut and nothing is held back."""
        self._calm.set()

    def connect(self) -> socket.socket | None:
        """To one of the servers; to another if that one is being restarted."""
        for port in self._chance.sample(self._servers, len(self._servers)):
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", port))
        return None

    def relay(self, client: socket.socket, server: socket.socket) -> None:
        seeds = self._chance.random(), self._chance.random()
        self.start(self._requests, client, server, random.Random(seeds[0]))
        self.start(self._answers, client, server, random.Random(seeds[1]))

    def _requests(self, client: socket.socket, server: socket.socket, chance: random.Random) -> None:
        left = chance.randint(*self._bytes_until_cut)
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
                left -= len(data)
                if left <= 0 and not self._calm.is_set():
                    self.cuts += 1
                    client.shutdown(socket.SHUT_RDWR)
                    time.sleep(_AFTERWARDS)
                    break
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _answers(self, client: socket.socket, server: socket.socket, chance: random.Random) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if not self._calm.is_set() and chance.random() < self._delayed:
                    self.delays += 1
                    self.closing.wait(chance.uniform(0.0, self._longest_delay))
                with contextlib.suppress(OSError):  # the client may be cut off: the answer is read all the same
                    client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

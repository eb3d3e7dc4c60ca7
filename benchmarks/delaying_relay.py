"""A relay on loopback in front of a server far away: what a client sends arrives some milliseconds later.

python -m benchmarks.delaying_relay PORT MILLISECONDS    prints the port that it listens on
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable


class _Side(asyncio.Protocol):
    """One side of a connection: gives what comes to the other side."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.give: Callable[[bytes], None] = lambda _data: None
        self.end: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.give(data)

    def connection_lost(self, _error: Exception | None) -> None:
        self.end()


class _Client(_Side):
    """The client's side. What it sends before the server is connected waits."""

    def __init__(self, port: int, delay: float) -> None:
        super().__init__()
        self._port = port
        self._delay = delay
        self._early: list[bytes] = []
        self.give = self._early.append

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            server, side = await loop.create_connection(_Side, "127.0.0.1", self._port)
        except OSError:
            assert self.transport is not None
            self.transport.abort()
            return
        assert self.transport is not None
        side.give, side.end = self.transport.write, self.transport.close
        self.end = server.close
        # Each piece is as late as the one before it, so they stay in order.
        self.give = lambda data: loop.call_later(self._delay, server.write, data) and None
        for data in self._early:
            self.give(data)


async def relay(port: int, delay: float) -> None:
    """Relays connections to `port` until it is cancelled. `delay`: seconds."""
    server = await asyncio.get_running_loop().create_server(lambda: _Client(port, delay), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), float(sys.argv[2]) / 1000))

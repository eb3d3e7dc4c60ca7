"""A TCP relay in front of a producer that delays answers, and now and then breaks off a connection in their place."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


class LossyRelay:
    """What clients send arrives; what comes back may be late, or lost together with its connection."""

    def __init__(self, upstream: str, seed: str, *, lost: float = 0.005, late: float = 0.02) -> None:
        """`lost` and `late` are shares of the pieces that come back; a late one is held for up to two seconds."""
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self._chance = random.Random(seed)
        self._lost, self._late = lost, late
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.answers_lost = 0
        self.address = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._in_loop(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _close(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            from_server, to_server = await asyncio.open_connection(*self._upstream)
            try:
                pumps = [self._pump(from_client, to_server), self._pump_back(from_server, to_client)]
                await asyncio.wait([asyncio.ensure_future(pump) for pump in pumps], return_when=asyncio.FIRST_COMPLETED)
            finally:
                to_server.transport.abort()
        to_client.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()

    async def _pump_back(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self._chance.random() < self._lost:
                    self.answers_lost += 1
                    return
                if self._chance.random() < self._late:
                    await asyncio.sleep(self._chance.uniform(0, 2))
                target.write(data)
                await target.drain()

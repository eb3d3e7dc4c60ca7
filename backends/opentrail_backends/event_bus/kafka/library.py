"""kafka-python's clients are made here, and its errors end here."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from kafka.errors import (
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    KafkaError,
    NodeNotReadyError,
    NotCoordinatorError,
)
from kafka.net import KafkaNetSocket
from kafka.net.compat import KafkaNetClient

from opentrail_backends.event_bus.port import EventBusError

T = TypeVar("T")

_PATIENCE_SECONDS = 10.0
_NOT_READY = (NodeNotReadyError, CoordinatorNotAvailableError, CoordinatorLoadInProgressError, NotCoordinatorError)


def explain(error: BaseException) -> str:
    """One sentence for an error of the library."""
    said = str(error)
    name = type(error).__name__
    return said if name in said else f"{name}: {said}" if said else name


@contextmanager
def kafka_errors(doing: str) -> Iterator[None]:
    """Turns the library's errors into EventBusError.

    It also raises bare built-in ones: for the values that it was given, for a loop that has ended.
    """
    try:
        yield
    except (KafkaError, ValueError, RuntimeError, OSError) as error:
        raise EventBusError(f"Kafka: {doing}: {explain(error)}") from error


def patiently(ask: Callable[[], T]) -> T:
    """Asks again, for some seconds, while the cluster is well and only not ready to answer.

    The library says NodeNotReadyError at once while its connections are being made. A group's coordinator is not there
    before the first question about a group (a new cluster makes its topic then), and loads after a broker's restart.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except _NOT_READY:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class _ClosingSocket(KafkaNetSocket):  # type: ignore[misc]  # the library is untyped
    """A plain connection. The library (3.0.12) leaves each attempt that failed open, to the garbage collector.

    It takes the class of its connections by the scheme of `proxy_url`.
    """

    SCHEMES = ("opentrail-direct",)

    async def sock_connect(self, net: Any, sock: socket.socket, *args: Any, **options: Any) -> socket.socket:
        try:
            connected: socket.socket = await super().sock_connect(net, sock, *args, **options)
        except BaseException:
            sock.close()
            raise
        _OPENED[net] = [one for one in _OPENED.get(net, []) if one.fileno() >= 0] + [connected]
        return connected


_OPENED: WeakKeyDictionary[Any, list[socket.socket]] = WeakKeyDictionary()
"""The connections of each client, by its event loop."""


class _Client(KafkaNetClient):  # type: ignore[misc]  # the library is untyped
    """What all of the library's clients talk through."""

    def close(self, node_id: Any = None) -> None:
        """Closes what the library (3.0.12) leaves open: a connection that still has something to send."""
        super().close(node_id)
        if node_id is None:  # the event loop has ended
            for one in _OPENED.pop(self._net, []):
                one.close()


def connect(kind: Any, **options: Any) -> Any:
    """Makes a client of the library; one that finds no cluster leaves no thread and no socket behind.

    Raises the library's errors.
    """
    connections: list[_Client] = []

    def connection(**configs: Any) -> _Client:
        connections.append(_Client(**configs))
        return connections[-1]

    try:
        return kind(kafka_client=connection, proxy_url=f"{_ClosingSocket.SCHEMES[0]}://", **options)
    except BaseException:
        for one in connections:
            one.close()
        raise

"""Several server processes on one port: grpcio scales by processes, not by threads."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable

from opentrail_producer.server import ProducerServer


def reserve_port(address: str) -> socket.socket:
    """Binds `host:port` (port 0: the system picks) for server processes to share; close it when they have ended.

    The socket never listens, so no connection goes to it. Give each process a Listener with its `getsockname()` and
    `share_port=True`. Raises OSError if the address cannot be had.
    """
    host, _, port = address.rpartition(":")
    family, _, _, _, place = socket.getaddrinfo(host.strip("[]") or None, int(port), type=socket.SOCK_STREAM)[0]
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(place)
    except OSError:
        holder.close()
        raise
    return holder


def run_worker(build: Callable[[], ProducerServer], started: Callable[[int], None] = lambda _port: None) -> bool:
    """Runs one server in this process's main thread until SIGTERM or SIGINT, then drains; True if all calls finished.

    The process must be spawned, not forked from one that has used gRPC: grpcio's threads do not survive a fork.

    Args:
        build: makes the server (and its bus and state store) in this process.
        started: told the first listener's port once the server serves.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    server = build()
    started(server.start())
    stop.wait()
    return server.drain()

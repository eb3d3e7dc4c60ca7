"""A control plane on a loopback port, and connections to it byte by byte."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import AccessKey, StateStore
from opentrail_control_plane.rates import NO_LIMITS
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from tests.unit.control_plane.conftest import MANAGEMENT, PORTS, SECRET, TARGET, key_id, signed_request

LIST_TRAILS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": TARGET["cloudtrail"] + "ListTrails"}


def opened_state() -> StateStore:
    """In memory, with the key that requests are signed with."""
    store = open_state_store("sqlite://", secret_key=bytes(32))
    store.migrate()
    store.configuration.put_access_key(AccessKey(key_id(MANAGEMENT), SECRET, MANAGEMENT))
    return store


@contextmanager
def serving(state: StateStore, registry: CollectorRegistry | None = None, **settings: Any) -> Iterator[int]:
    server = ControlPlaneServer(
        ControlPlaneSettings(**settings), state, time.time, ports=PORTS, limits=NO_LIMITS, registry=registry
    )
    port = server.start()
    try:
        yield port
    finally:
        server.stop(10)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def until_closed(connection: socket.socket) -> bytes:
    """All that the other side sends until it closes the connection, or breaks it off."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def status_on(connection: socket.socket) -> int:
    """The status of the next answer, which is read to its end."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.status


def signed_bytes(body: bytes = b"{}", headers: dict[str, str] | None = None, extra: str = "") -> bytes:
    request = signed_request(body, headers=headers or LIST_TRAILS)
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST / HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n{extra}\r\n".encode() + body

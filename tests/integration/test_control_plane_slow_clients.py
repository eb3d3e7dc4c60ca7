"""No client holds a connection of the control plane by being slow, by saying nothing, or by being many."""

from __future__ import annotations

import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn

from opentrail_backends.state.port import StateStore
from opentrail_control_plane.http_protocol import BoundedHttpProtocol
from tests.integration.control_plane_port import (
    connected,
    opened_state,
    serving,
    signed_bytes,
    status_on,
    until_closed,
)


@pytest.fixture
def state() -> Iterator[StateStore]:
    store = opened_state()
    yield store
    store.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"P",
        b"POST / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_request_that_does_not_come_in_is_given_up(state: StateStore, begun: bytes, before: int) -> None:
    sent = signed_bytes() * before + begun  # made before the time of the connection begins
    with serving(state, receive_seconds=1.0, idle_seconds=1) as port, connected(port) as connection:
        connection.sendall(sent)
        answers = until_closed(connection)  # the test's time limit tells if it is never closed
        assert answers.count(b"HTTP/1.1 200") == before


def test_a_client_that_dribbles_gains_no_time(state: StateStore) -> None:
    with serving(state, receive_seconds=1.0) as port, connected(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        sent = _send_until_closed(connection, b"x", pause=0.02)
        assert sent < 1_000


def test_an_idle_connection_stays_open_between_requests_and_no_longer_than_it_may(state: StateStore) -> None:
    with serving(state, receive_seconds=1.0, idle_seconds=3) as port:
        for _ in range(10):
            began = time.monotonic()
            with connected(port) as connection:
                if _are_answered(connection, began):
                    assert until_closed(connection) == b""
                    return
    raise AssertionError("this machine stood still each time")


def _are_answered(connection: socket.socket, began: float) -> bool:
    """Sends a request at once, and one after a pause: longer than a request may take, shorter than idleness may last.

    False: the machine stood still, so that the connection may be closed by right.
    """
    request = signed_bytes()
    for pause, limit in ((0.0, 1.0), (1.5, 3.0)):
        time.sleep(pause)
        is_in_time = _is_sent(connection, request) and time.monotonic() < began + limit
        if not is_in_time:
            return False
        assert status_on(connection) == 200
    return True


def _is_sent(connection: socket.socket, request: bytes) -> bool:
    try:
        connection.sendall(request)
    except OSError:
        return False
    return True


def test_a_body_without_an_end_is_given_up(state: StateStore) -> None:
    with serving(state) as port, connected(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        assert _send_until_closed(connection, chunk) < 1_000


def test_more_connections_than_may_be_are_told_to_come_later(state: StateStore) -> None:
    with serving(state, max_connections=3) as port:
        held = [connected(port) for _ in range(3)]
        with connected(port) as connection:
            connection.sendall(signed_bytes())
            assert status_on(connection) == 503
        for one in held:
            one.close()


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    """50 MB for a client that does not read: more than all buffers hold."""
    ended = threading.Event()

    async def application(scope: Any, _receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(50):
                await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            ended.set()

    with bounded(application, receive_seconds=30.0, answer_seconds=0.5) as port, connected(port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert ended.wait(60)
        assert len(until_closed(connection)) < 50_000_000


@contextmanager
def bounded(application: Callable[..., Any], **times: float) -> Iterator[int]:
    connection = functools.partial(BoundedHttpProtocol, **times)
    config = uvicorn.Config(application, http=connection, ws="none", log_config=None, lifespan="off")  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)


def _send_until_closed(connection: socket.socket, piece: bytes, pause: float = 0.0) -> int:
    """How often a piece can be sent."""
    for count in range(10_000):
        try:
            connection.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            return count
        time.sleep(pause)
    raise AssertionError("the connection is never closed")

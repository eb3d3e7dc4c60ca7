"""The control plane's port: HTTP, its ends, and what is no HTTP."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from opentrail_backends.state.port import StateStore
from opentrail_control_plane.operations.context import Reply
from opentrail_control_plane.rates import NO_LIMITS
from opentrail_control_plane.server import ControlPlaneServer, ControlPlaneSettings
from tests.integration.cli_process import self_signed
from tests.integration.control_plane_port import (
    connected,
    opened_state,
    serving,
    signed_bytes,
    status_on,
    until_closed,
)
from tests.unit.control_plane.conftest import PORTS


@pytest.fixture
def state() -> Iterator[StateStore]:
    store = opened_state()
    yield store
    store.close()


def test_health_is_told_without_a_signature(state: StateStore) -> None:
    with serving(state) as port, closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        for method, body in (("GET", b"healthy"), ("HEAD", b"")):
            connection.request(method, "/ping")
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, body)
        for method in ("HEAD", "GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
            connection.request(method, "/")
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 404
            assert (b"UnknownOperationException" in body) is (method != "HEAD")
            assert answer.headers["x-amzn-RequestId"]


def test_requests_sent_together_are_answered_in_order(state: StateStore) -> None:
    with serving(state) as port, connected(port) as connection:
        connection.sendall(signed_bytes() + signed_bytes(b"{") + signed_bytes(extra="Connection: close\r\n"))
        answers = until_closed(connection)
        assert [part[:3] for part in answers.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400", b"200"]


@pytest.mark.parametrize("length", [1024 * 1024 + 1, 5 * 1024 * 1024])
def test_a_body_that_is_too_large_is_refused_and_the_refusal_can_be_read(state: StateStore, length: int) -> None:
    with serving(state) as port, connected(port) as connection:
        connection.sendall(signed_bytes(b"x" * length))
        answer = until_closed(connection)
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"RequestEntityTooLargeException" in answer


def test_a_body_of_exactly_the_limit_is_read(state: StateStore) -> None:
    body = b'{"NextToken":"' + b"x" * (1024 * 1024 - 16) + b'"}'
    with serving(state) as port, connected(port) as connection:
        connection.sendall(signed_bytes(body, extra="Connection: close\r\n"))
        assert b"RequestEntityTooLarge" not in until_closed(connection)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"\r\n" * 1_000 + b"\0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(state: StateStore, garbage: bytes) -> None:
    request = signed_bytes()  # made before the time of the connection begins
    with serving(state, receive_seconds=2.0, idle_seconds=1) as port:
        with connected(port) as connection:
            connection.sendall(garbage)
            answer = until_closed(connection)
            assert answer[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 404"}
        with connected(port) as connection:
            connection.sendall(request)
            assert status_on(connection) == 200


def test_a_stop_lets_requests_under_way_finish_and_takes_no_more(
    state: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(_context: Any, _members: Any) -> Reply:
        entered.set()
        assert go_on.wait(60)
        return Reply({"Trails": []})

    monkeypatch.setattr("opentrail_control_plane.operations.OPERATIONS", {("cloudtrail", "ListTrails"): slow})
    server = ControlPlaneServer(ControlPlaneSettings(), state, time.time, ports=PORTS, limits=NO_LIMITS)
    port = server.start()
    with connected(port) as connection:
        connection.sendall(signed_bytes())
        assert entered.wait(60)
        stopping = threading.Thread(target=server.stop, args=(60,))
        stopping.start()
        _until(lambda: _is_refused(port))
        assert stopping.is_alive()
        go_on.set()
        assert until_closed(connection).startswith(b"HTTP/1.1 200")
    stopping.join(60)
    assert not stopping.is_alive()


def test_several_servers_share_a_port_and_others_do_not(state: StateStore) -> None:
    def server(**settings: Any) -> ControlPlaneServer:
        return ControlPlaneServer(ControlPlaneSettings(**settings), state, time.time, ports=PORTS, limits=NO_LIMITS)

    first = server(share_port=True)
    port = first.start()
    second = server(share_port=True, port=port)
    assert second.start() == port
    with pytest.raises(OSError, match="in use"):
        server(port=port).start()
    first.stop(10)
    with connected(port) as connection:
        connection.sendall(signed_bytes())
        assert status_on(connection) == 200
    second.stop(10)


def test_encryption_is_in_the_record_of_a_call(state: StateStore, tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    client = ssl.create_default_context(cafile=str(certificate))
    with (
        serving(state, certificate_file=certificate, private_key_file=key) as port,
        connected(port) as connection,
        client.wrap_socket(connection, server_hostname="127.0.0.1") as encrypted,
    ):
        encrypted.sendall(signed_bytes())
        assert status_on(encrypted) == 200
        [call] = state.calls.claim(10, 1)
        record = json.loads(call.record)
        assert record["tlsDetails"] == {
            "tlsVersion": encrypted.version(),
            "cipherSuite": (encrypted.cipher() or ("",))[0],
            "clientProvidedHostHeader": "127.0.0.1:8080",
        }
        assert record["sourceIPAddress"] == "127.0.0.1"


def test_a_header_does_not_say_where_a_call_came_from(state: StateStore) -> None:
    """Anybody can send one: the record has the other end of the connection."""
    with serving(state) as port, connected(port) as connection:
        connection.sendall(signed_bytes(extra="X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n"))
        assert status_on(connection) == 200
    [call] = state.calls.claim(10, 1)
    assert json.loads(call.record)["sourceIPAddress"] == "127.0.0.1"


def test_requests_are_counted_by_operation_and_error(state: StateStore) -> None:
    registry = CollectorRegistry()
    with serving(state, registry) as port, connected(port) as connection:
        connection.sendall(signed_bytes() + signed_bytes(b"{") + b"GET /x HTTP/1.0\r\n\r\n")
        until_closed(connection)

    def counted(service: str, operation: str, error: str) -> float | None:
        labels = {"service": service, "operation": operation, "error": error}
        return registry.get_sample_value("opentrail_control_plane_requests_total", labels)

    assert counted("cloudtrail", "ListTrails", "") == 1
    assert counted("cloudtrail", "ListTrails", "SerializationException") == 1
    assert counted("", "", "UnknownOperationException") == 1
    assert registry.get_sample_value("opentrail_control_plane_request_seconds_count") == 3


def _is_refused(port: int) -> bool:
    try:
        connected(port).close()
    except ConnectionRefusedError:
        return True
    return False


def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.01)

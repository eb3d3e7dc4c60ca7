"""The control plane on a port: Starlette on uvicorn, in threads of its own; several processes may share the port."""

from __future__ import annotations

import functools
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio.to_thread
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from opentrail_backends.state.port import StateStore
from opentrail_control_plane import protocol
from opentrail_control_plane.call_publisher import CallPublisher
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.event_intake import EventIntake
from opentrail_control_plane.http_protocol import TLS_IN_SCOPE, BoundedHttpProtocol
from opentrail_control_plane.metrics import ControlPlaneMetrics
from opentrail_control_plane.operations.context import Ports
from opentrail_control_plane.rates import LIMITS, Limit
from opentrail_control_plane.signature_v4 import Request, TlsDetails

HEALTH_PATH = "/ping"
"""Answers GET and HEAD with 200 while the process serves; asks nobody for a signature."""

_NO_ID = "00000000-0000-0000-0000-000000000000"
_MOST_DISCARDED_BYTES = 8 * protocol.MAX_BODY_BYTES
"""How much of a body that is too large is read, so that its sender gets to read why it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneSettings:
    """Where to listen, and what clients may take. TLS needs both files, PEM."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 lets the system pick."""
    certificate_file: Path | None = None
    private_key_file: Path | None = field(default=None, repr=False)
    share_port: bool = False
    """Whether several processes may listen on the same port (SO_REUSEPORT)."""
    threads: int = 16
    """Requests worked on at once; others wait."""
    max_connections: int = 1_000
    """Requests beyond so many open connections are answered 503."""
    receive_seconds: float = 30.0
    """What a request may take to come in."""
    answer_seconds: float = 120.0
    """What a request may take to be answered and its answer to be read: more than the longest wait for the database."""
    idle_seconds: int = 75
    """How long a connection stays open between requests: longer than load balancers keep theirs."""


class Application:
    """The ASGI application: all paths and methods, since AWS JSON has neither, in a bounded number of threads."""

    def __init__(self, control_plane: ControlPlane, threads: int) -> None:
        self._control_plane = control_plane
        self._threads = anyio.CapacityLimiter(threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        response = await self._answer(HttpRequest(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, http: HttpRequest) -> Response:
        if http.scope["path"] == HEALTH_PATH and http.method in {"GET", "HEAD"}:
            return PlainTextResponse("healthy")
        try:
            body = await _read_body(http)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        if body is None:
            error = ApiError("RequestEntityTooLargeException", "The request body is larger than 1 MiB.", 413)
            return _response(protocol.write_error(error, None, _NO_ID), {"connection": "close"})
        request = _request(http, body)
        return _response(await anyio.to_thread.run_sync(self._control_plane.answer, request, limiter=self._threads))


class ControlPlaneServer:
    """A control plane that listens, and publishes its own calls, in threads of its own."""

    def __init__(
        self,
        settings: ControlPlaneSettings,
        state: StateStore,
        clock: Callable[[], float],
        *,
        ports: Ports,
        own_calls: EventIntake | None = None,
        limits: Mapping[str, Limit] = LIMITS,
        registry: CollectorRegistry | None = None,
    ) -> None:
        """Puts a control plane together.

        Args:
            settings: what the operator chose.
            state: stays the caller's to close, after `stop`.
            clock: epoch seconds.
            ports: what operations use.
            own_calls: where the API's own calls go, which no account's limit may hold up; None: the ports' intake.
                Without either they stay in the state store.
            limits: of requests, by class of operations.
            registry: where the metrics are shown; None shows them nowhere.

        Raises ValueError on settings that cannot work, OSError on certificate files that cannot be read.
        """
        metrics = ControlPlaneMetrics(registry)
        control_plane = ControlPlane(state, clock, ports, limits=limits, metrics=metrics)
        self._settings = settings
        own_calls = own_calls or ports.intake
        self._publisher = None if own_calls is None else CallPublisher(state, own_calls, metrics)
        connection = functools.partial(
            BoundedHttpProtocol,
            receive_seconds=settings.receive_seconds,
            answer_seconds=settings.answer_seconds,
        )
        config = uvicorn.Config(
            Application(control_plane, settings.threads),
            http=connection,  # type: ignore[arg-type]  # uvicorn calls it and asks nothing else of it
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # uvicorn would believe anybody on this machine whom they forward for
            lifespan="off",
            limit_concurrency=settings.max_connections,
            timeout_keep_alive=settings.idle_seconds,
            ssl_certfile=settings.certificate_file,
            ssl_keyfile=settings.private_key_file,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listens; returns the port. Raises OSError if the address cannot be had."""
        host = self._settings.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server(
            (host, self._settings.port), family=family, backlog=128, reuse_port=self._settings.share_port
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="control-plane", daemon=True
        )
        self._thread.start()
        if self._publisher is not None:
            self._publisher.start()
        port: int = listener.getsockname()[1]
        return port

    def stop(self, timeout: float) -> None:
        """Takes no new requests and waits up to `timeout` seconds for those under way, then publishes their calls."""
        self._server.config.timeout_graceful_shutdown = max(int(timeout), 1)
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout)
        if self._publisher is not None:
            self._publisher.stop(timeout)


async def _read_body(http: HttpRequest) -> bytes | None:
    """The body, or None if it is larger than what any request of ours can be. Raises ClientDisconnect."""
    body, discarded = bytearray(), 0
    async for chunk in http.stream():
        if len(body) + len(chunk) <= protocol.MAX_BODY_BYTES and not discarded:
            body += chunk
            continue
        discarded += len(chunk)
        if discarded > _MOST_DISCARDED_BYTES:
            break
    return None if discarded else bytes(body)


def _request(http: HttpRequest, body: bytes) -> Request:
    scope = http.scope
    encryption: ssl.SSLObject | None = scope.get(TLS_IN_SCOPE)
    return Request(
        method=http.method,
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=_joined(http),
        body=body,
        source_address="" if http.client is None else http.client.host,
        tls=None if encryption is None else _tls_details(encryption),
    )


def _tls_details(encryption: ssl.SSLObject) -> TlsDetails:
    cipher = encryption.cipher()
    return TlsDetails(encryption.version() or "", "" if cipher is None else cipher[0])


def _joined(http: HttpRequest) -> Mapping[str, str]:
    """Headers by lower-case name; several of one name are joined by a comma, as the signature wants them."""
    headers: dict[str, str] = {}
    for name, value in http.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _response(answer: protocol.Answer, more: Mapping[str, str] | None = None) -> Response:
    headers = {"x-amzn-RequestId": answer.request_id, **answer.headers, **(more or {})}
    return Response(answer.body, answer.status, headers, media_type=answer.content_type)

"""The control plane on a port: Starlette on uvicorn."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from opentrail_backends.state.port import StateStore
from opentrail_control_plane import protocol
from opentrail_control_plane.control_plane import ControlPlane
from opentrail_control_plane.errors import ApiError
from opentrail_control_plane.signature_v4 import Request

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_NO_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneSettings:
    """Where to listen. TLS needs both files, PEM."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 lets the system pick."""
    certificate_file: Path | None = None
    private_key_file: Path | None = field(default=None, repr=False)


def application(control_plane: ControlPlane) -> Starlette:
    """The ASGI application. Everything is answered by one endpoint: AWS JSON has no paths."""

    async def endpoint(http: HttpRequest) -> Response:
        body = await _read_body(http)
        if body is None:
            error = ApiError("RequestEntityTooLargeException", "The request body is larger than 1 MiB.", 413)
            return _response(protocol.write_error(error, None, _NO_ID))
        raw_path: bytes = http.scope.get("raw_path") or http.url.path.encode()
        path = raw_path.partition(b"?")[0].decode("latin-1")
        request = Request(http.method, path, http.url.query, _joined(http), body)
        return _response(await run_in_threadpool(control_plane.answer, request))

    return Starlette(routes=[Route("/{path:path}", endpoint, methods=_METHODS)])


class ControlPlaneServer:
    """A control plane that listens in threads of its own."""

    def __init__(self, settings: ControlPlaneSettings, state: StateStore, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(ControlPlane(state, clock)),
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="off",
                timeout_graceful_shutdown=10,
                ssl_certfile=settings.certificate_file,
                ssl_keyfile=settings.private_key_file,
            )
        )
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listens; returns the port. Raises OSError if the address cannot be had."""
        host = self._settings.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, self._settings.port), family=family, backlog=128)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="control-plane", daemon=True
        )
        self._thread.start()
        port: int = listener.getsockname()[1]
        return port

    def stop(self, timeout: float) -> None:
        """Takes no new requests and waits up to `timeout` seconds for those under way."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout)


async def _read_body(http: HttpRequest) -> bytes | None:
    """The body, or None if it is larger than what any request of ours can be."""
    body = bytearray()
    async for chunk in http.stream():
        body += chunk
        if len(body) > protocol.MAX_BODY_BYTES:
            return None
    return bytes(body)


def _joined(http: HttpRequest) -> Mapping[str, str]:
    """Headers by lower-case name; several of one name are joined by a comma, as the signature wants them."""
    headers: dict[str, str] = {}
    for name, value in http.headers.items():
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _response(answer: protocol.Answer) -> Response:
    return Response(answer.body, answer.status, {"x-amzn-RequestId": answer.request_id}, media_type=answer.content_type)

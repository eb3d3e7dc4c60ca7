"""An HTTP server that answers as an S3 server might, and worse: as told."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from opentrail_backends.object_store import Credentials
from opentrail_backends.object_store.port import (
    ObjectStoreError,
)
from opentrail_backends.object_store.s3 import S3ObjectStore
from opentrail_backends.object_store.s3_settings import S3Settings

Answer = bytes | str
"""Bytes to send; or: `reset` the connection, `close` it, stay `silent`."""


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    """An HTTP server that gives the scripted answers in turn, the last one for ever, each after it read the request."""

    answers: list[Answer]
    requests: list[Request] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    _done: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http{'s' if self.tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._done.is_set():
            connection, _ = self._listener.accept()
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        if self.tls:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:  # the client refused our certificate
                connection.close()
                return
        with connection, connection.makefile("rb") as stream:
            line = stream.readline().decode().strip()
            if not line:
                return
            headers = {}
            while header := stream.readline().decode().strip():
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get("content-length", 0)))
            self.requests.append(Request(line, headers, body))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                connection.sendall(answer)
            elif answer == "silent":
                self._done.wait()
            elif answer == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        self._done.set()
        with socket.create_connection(self._listener.getsockname()):
            pass
        for thread in self._threads:
            thread.join(10)
        self._listener.close()


Serve = Callable[..., ScriptedServer]


@contextmanager
def serving() -> Iterator[Serve]:
    """A function that starts servers, which are stopped at the end."""
    servers: list[ScriptedServer] = []

    def start(*answers: Answer, tls: ssl.SSLContext | None = None) -> ScriptedServer:
        servers.append(ScriptedServer(list(answers), tls=tls))
        return servers[-1]

    try:
        yield start
    finally:
        for server in servers:
            server.close()


def answer(status: int, code: str = "", **headers: str) -> bytes:
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>told so</Message></Error>' if code else ""
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


STORED = answer(200, ETag='"etag"')


def open_store(server: ScriptedServer, **settings: object) -> S3ObjectStore:
    time_limit = 1.0 if "silent" in server.answers else 30.0
    made = S3Settings(endpoint=server.endpoint, credentials=Credentials("key", "secret"), time_limit=time_limit)
    return S3ObjectStore(replace(made, **settings))  # type: ignore[arg-type]


def failure(call: Callable[[], object]) -> ObjectStoreError:
    with pytest.raises(ObjectStoreError) as raised:
        call()
    return raised.value

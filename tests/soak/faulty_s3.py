"""An HTTP relay in front of an S3 server that fails, stalls, and passes puts on after their client gave up.

Requests go on unchanged, so signatures hold: they are over the host that the client was told.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

LATE_SECONDS = 21.0
"""Longer than the S3 adapter waits for the answer to one put (a third of its 60 s)."""


class Kind(StrEnum):
    """What happens to a request. The first three answer without the server."""

    SLOW_DOWN = "503 SlowDown"
    INTERNAL = "500 InternalError"
    DENIED = "403 AccessDenied"
    RESET = "no answer, not passed on"
    LOST_ANSWER = "passed on, answer lost"
    STALL = "passed on after some seconds"
    LATE = "passed on after the client gave up"
    SILENT = "no answer until the trouble is over, not passed on"


@dataclass(slots=True)
class Trouble:
    """A fault of the server, bounded in time and count."""

    kind: Kind
    buckets: frozenset[str]
    until: float
    """On the monotonic clock."""
    left: int
    """How many requests it still strikes."""
    share: float = 1.0
    """Of the requests that it strikes."""
    seconds: float = LATE_SECONDS
    """How long STALL and LATE hold a request."""


@dataclass
class FaultyS3:
    """The relay. Troubles strike puts (and reads where the server answers by itself) of the buckets that they name."""

    upstream: str
    seed: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    """How many requests were struck, by kind."""
    stored_at: dict[tuple[str, str], float] = field(default_factory=dict)
    """When the server took an object (monotonic clock), by bucket and key."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.upstream)
        self.address = (parts.hostname or "", parts.port or 80)
        self._random = random.Random(self.seed)
        self._changed = threading.Condition()
        self._troubles: list[Trouble] = []
        self._held = 0
        self._server = _Server(self)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1})

    def begin(self, trouble: Trouble) -> None:
        """From now on this may happen to requests."""
        with self._changed:
            self._troubles.append(trouble)

    def end_troubles(self) -> None:
        """All is well again: silent requests are dropped, late ones are still passed on in their time."""
        with self._changed:
            self._troubles.clear()
            self._changed.notify_all()

    def wait_until_quiet(self, seconds: float) -> None:
        """Waits until no request is held back. Raises AssertionError if some are after so many seconds."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._held == 0, seconds), f"{self._held} requests are held back"

    def strike(self, bucket: str, *, is_put: bool) -> Trouble | None:
        """The trouble that this request is in."""
        with self._changed:
            now = time.monotonic()
            self._troubles = [trouble for trouble in self._troubles if trouble.until > now and trouble.left]
            for trouble in self._troubles:
                answers = trouble.kind in {Kind.SLOW_DOWN, Kind.INTERNAL, Kind.DENIED}
                if bucket in trouble.buckets and (is_put or answers) and self._random.random() < trouble.share:
                    trouble.left -= 1
                    self.struck[trouble.kind] += 1
                    return trouble
        return None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Counts a request that is held back."""
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify_all()

    def wait_while_silent(self, trouble: Trouble) -> None:
        """Until the trouble is over."""
        with self._changed:
            self._changed.wait_for(lambda: trouble not in self._troubles, max(0.0, trouble.until - time.monotonic()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end_troubles()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    """A thread for each connection; they end with the process at the latest."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, relay: FaultyS3) -> None:
        self.relay = relay
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, *_: Any) -> None:
        """A client that went away is what this is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        if self._upstream is not None:
            self._upstream.close()
        super().finish()

    def log_message(self, *_: Any) -> None:
        pass

    def do_PUT(self) -> None:
        self._relay()

    def do_GET(self) -> None:
        self._relay()

    def do_HEAD(self) -> None:
        self._relay()

    def do_POST(self) -> None:
        self._relay()

    def do_DELETE(self) -> None:
        self._relay()

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        bucket, key = self._bucket_and_key()
        relay = self.server.relay
        trouble = relay.strike(bucket, is_put=self.command == "PUT" and bool(key))
        match trouble and trouble.kind:
            case None:
                self._answer(*self._pass_on(body))
            case Kind.SLOW_DOWN:
                self._refuse(503, "SlowDown")
            case Kind.INTERNAL:
                self._refuse(500, "InternalError")
            case Kind.DENIED:
                self._refuse(403, "AccessDenied")
            case Kind.RESET:
                self.close_connection = True
            case Kind.LOST_ANSWER:
                self._pass_on(body)
                self.close_connection = True
            case Kind.STALL | Kind.LATE:
                assert trouble is not None
                with relay.holding():
                    time.sleep(trouble.seconds)
                    answer = self._pass_on(body)
                self._answer(*answer)
            case Kind.SILENT:
                assert trouble is not None
                relay.wait_while_silent(trouble)
                self.close_connection = True

    def _pass_on(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        """Sends the request to the server as it came."""
        if self._upstream is None:
            self._upstream = http.client.HTTPConnection(*self.server.relay.address, timeout=60)
        self._upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            self._upstream.putheader(name, value)
        self._upstream.endheaders(body)
        answer = self._upstream.getresponse()
        text = answer.read()
        if self.command == "PUT" and answer.status == HTTPStatus.OK:
            self.server.relay.stored_at[self._bucket_and_key()] = time.monotonic()
        return answer, text

    def _bucket_and_key(self) -> tuple[str, str]:
        bucket, _, key = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        return bucket, key

    def _answer(self, answer: http.client.HTTPResponse, body: bytes) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    def _refuse(self, status: int, code: str) -> None:
        text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>as told</Message></Error>'
        body = b"" if self.command == "HEAD" else text.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

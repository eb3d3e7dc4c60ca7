"""A tiny CloudTrail and Organizations endpoint: DescribeTrails, ListPublicKeys, DescribeOrganization."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@contextmanager
def trail_endpoint(
    trails: list[dict[str, Any]], keys: list[dict[str, Any]], organization: str | None = "o-exampleorg1"
) -> Iterator[str]:
    """The URL of an endpoint with these answers, while the block runs; without an organization it refuses to tell."""
    answers = {
        "DescribeTrails": {"trailList": trails},
        "ListPublicKeys": {"PublicKeyList": keys},
        "DescribeOrganization": {"Organization": {"Id": organization}} if organization else None,
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = answers.get(self.headers["X-Amz-Target"].rsplit(".", 1)[1])
            body = json.dumps(answer or {"__type": "AccessDeniedException", "message": "no"}).encode()
            self.send_response(200 if answer else 400)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

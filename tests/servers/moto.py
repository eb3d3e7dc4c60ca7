"""moto in server mode: KMS, SNS, SQS, Logs, Events and STS. Never the proof of what moto is known to get wrong."""

from __future__ import annotations

import os
import sys

from tests.servers.process import Port, ServerProcess, accepts_connections
from tests.servers.session import ServerSession


def shared_endpoint(session: ServerSession) -> str:
    """The address of the session's moto, or what OPENTRAIL_TEST_MOTO says. Raises Unavailable."""
    given = os.environ.get("OPENTRAIL_TEST_MOTO")
    if given:
        return given

    def start() -> dict[str, str]:
        port = Port.new()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port.number)]
        env = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"}
        server = ServerProcess("moto", command, session.place("moto"), accepts_connections(port), (port,), env=env)
        session.run(server)
        return {"endpoint": f"http://{server.address}"}

    return str(session.share("moto", start)["endpoint"])

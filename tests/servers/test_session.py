"""A session's servers: shared, told apart from their absence, and gone with their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.servers import containers, process
from tests.servers.cache import Unavailable
from tests.servers.process import Port, ServerFailed, ServerProcess
from tests.servers.session import ServerSession

ROOT = Path(__file__).parents[2]
PYTHON_SERVER = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1"]


def a_server(place: Path, **settings: object) -> ServerProcess:
    port = Port.new()
    command = [*PYTHON_SERVER, str(port.number)]
    is_ready = process.accepts_connections(port)
    return ServerProcess("http", command, place, is_ready, (port,), **settings)  # type: ignore[arg-type]


OWNER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.servers.session import ServerSession
from tests.servers.test_session import a_server
session = ServerSession.begin()
shared = a_server(session.place("shared"))
session.run(shared)
own = a_server(session.place("own"))
own.start()
print(session.folder, *(path.read_text() for path in session.folder.glob("servers/*/*.pid")), flush=True)
sys.stdin.read()
"""


def test_all_servers_end_when_their_owner_is_killed() -> None:
    program = textwrap.dedent(OWNER.format(root=str(ROOT)))
    owner = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    folder, *pids = owner.stdout.readline().split()
    assert len(pids) == 2
    watched = [os.pidfd_open(int(pid)) for pid in pids]
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    for number in watched:
        assert _ends(number), "a server outlived its owner"
        os.close(number)
    owner.stdin.close()
    owner.stdout.close()
    subprocess.run(["rm", "-rf", folder], check=True)


def _ends(number: int) -> bool:
    import select

    return bool(select.select([number], [], [], 30)[0])


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo the port is taken; exit 4"]
    server = ServerProcess(
        "sick", command, tmp_path, lambda _printed: False, (Port.new(),), env={"PATH": os.environ["PATH"]}
    )
    with pytest.raises(ServerFailed, match="exit code 4 at its start:\nthe port is taken"):
        server.start()
    server.close()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo thinking; exec sleep 60"]
    env = {"PATH": os.environ["PATH"]}

    def has_printed_and_is_not_ready(printed: str) -> bool:
        deadline = time.monotonic() + 60
        while "thinking" not in printed and time.monotonic() < deadline:
            time.sleep(0.05)
            printed = server.log.read_text()
        return False

    server = ServerProcess(
        "slow", command, tmp_path, has_printed_and_is_not_ready, (Port.new(),), env=env, start_timeout=0.3
    )
    with pytest.raises(ServerFailed, match="did not answer in 0 s:\nthinking"):
        server.start()
    assert not server.running
    server.close()


def test_a_killed_server_comes_back_at_its_port(tmp_path: Path) -> None:
    server = a_server(tmp_path)
    server.start()
    address = server.address
    server.kill()
    assert not server.running
    server.start()
    assert (server.address, server.running) == (address, True)
    server.close()


def test_workers_share_one_server_and_one_reason() -> None:
    first = ServerSession.begin()
    second = ServerSession.join(first.folder)
    starts = []

    def start() -> dict[str, str]:
        starts.append("started")
        return {"address": "here"}

    def fail() -> dict[str, str]:
        starts.append("failed")
        raise Unavailable("no jars")

    assert first.share("kafka", start) == second.share("kafka", start) == {"address": "here"}
    for session in (first, second):
        with pytest.raises(Unavailable, match="no jars"):
            session.share("minio", fail)
    assert starts == ["started", "failed"]
    assert first.end(keep_logs=True) is None, "no server ran, so there is no log to keep"


def test_logs_are_kept_when_asked_and_data_never(tmp_path: Path) -> None:
    session = ServerSession.begin()
    server = a_server(session.place("http"))
    session.run(server)
    (server.folder / "data").mkdir()
    kept = session.end(keep_logs=True)
    assert kept == session.folder
    assert server.log.exists()
    assert not (server.folder / "data").exists()
    subprocess.run(["rm", "-rf", kept], check=True)


def test_without_a_docker_daemon_the_reason_says_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-daemon.sock")
    with pytest.raises(Unavailable, match="no Go here; and no Docker daemon answers"):
        containers.instead(Unavailable("no Go here"), "minio", tmp_path, Port.new(), lambda _: True, {})


@pytest.mark.parametrize(("ci", "outcome"), [("true", "failed"), ("", "skipped")])
def test_a_missing_server_skips_but_fails_in_ci(ci: str, outcome: str, tmp_path: Path) -> None:
    """In a run of its own: no mvn, no cache and no Docker."""
    env = {
        "PATH": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DOCKER_HOST": f"unix://{tmp_path}/no-daemon.sock",
        "CI": ci,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_kafka_answers"]
    done = subprocess.run(
        [*command, "tests/servers/test_servers.py"], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "no program 'java' here (runs Kafka); and no Docker daemon answers" in done.stdout
    closing = done.stdout.rstrip().splitlines()[-1]
    assert ("1 error" if outcome == "failed" else "1 skipped") in closing

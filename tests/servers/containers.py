"""The way through Docker: the same servers as containers, where they cannot be had otherwise and a daemon answers.

A container is held by a process (this module as a program) that stands where else the server's own process does:
watch.py ends it when its owner is gone, and its signals stop, crash and remove the container.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.cache import Unavailable
from tests.servers.process import Port, ServerProcess

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Image:
    """An image, the port that it listens on, and its command."""

    name: str
    port: int
    command: tuple[str, ...] = ()


IMAGES = {
    "kafka": Image("apache/kafka:4.3.1", 9092),
    "minio": Image("minio/minio:RELEASE.2025-09-07T16-13-09Z", 9000, ("server", "/data", "--quiet")),
    "versitygw": Image("versity/versitygw:v1.7.0", 7070, ("--quiet", "--health", "/health", "posix", "/tmp")),
    "postgresql": Image("postgres:18", 5432),
}


def instead(
    reason: Unavailable,
    kind: str,
    place: Path,
    port: Port,
    is_ready: Callable[[str], bool],
    env: Mapping[str, str],
) -> ServerProcess:
    """A server of this kind as a container, not yet started, because of `reason`.

    Raises Unavailable, with the reason, when no Docker daemon answers.
    """
    if not daemon_answers():
        raise Unavailable(f"{reason}; and no Docker daemon answers")
    name = f"opentrail-{kind}-{uuid.uuid4().hex[:12]}"
    settings = [f"{key}={value}" for key, value in env.items()]
    docker = {key: value for key, value in os.environ.items() if key.startswith(("DOCKER_", "TESTCONTAINERS_"))}
    return ServerProcess(
        kind,
        [sys.executable, "-m", "tests.servers.containers", kind, name, str(port.number), *settings],
        place,
        is_ready,
        ports=(port,),
        env={
            **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
            "PYTHONPATH": str(ROOT),
            **docker,
            "TESTCONTAINERS_RYUK_DISABLED": "true",  # a stopped container must stay until its test starts it again
        },
        end_signal=signal.SIGINT,
        kill_signal=signal.SIGUSR1,
        start_timeout=600,  # the image may have to be pulled
        clean_up=lambda: _remove(name),
    )


def daemon_answers() -> bool:
    """Whether a Docker daemon answers a ping; the program `docker` alone says nothing."""
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker leaves the socket that nobody answered unclosed
        try:
            client = docker.from_env(timeout=5)
        except (DockerException, OSError):
            return False
        finally:
            gc.collect()
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def hold(kind: str, name: str, port: int, env: Mapping[str, str]) -> None:
    """Starts the container, prints what it prints, and returns when a signal has stopped or removed it."""
    asked: list[signal.Signals] = []
    got_signal = threading.Event()

    def note(number: int, _frame: object) -> None:
        asked.append(signal.Signals(number))
        got_signal.set()

    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, note)
    start = time.time()
    container = _started_again(name) or _created(kind, name, port, env)
    printer = threading.Thread(target=_print_log, args=(container, start, got_signal), daemon=True)
    printer.start()
    got_signal.wait()
    if asked[0] is signal.SIGTERM:
        container.stop(timeout=20)
    elif asked[0] is signal.SIGUSR1:
        container.kill()
    else:
        container.remove(force=True, v=True)
    printer.join(5)


def _created(kind: str, name: str, port: int, env: Mapping[str, str]) -> Any:
    from testcontainers.core.container import DockerContainer

    image = IMAGES[kind]
    container = DockerContainer(image.name, name=name, env=dict(env))
    container.ports = {str(image.port): ("127.0.0.1", port)}  # type: ignore[dict-item] # docker's own form: loopback only
    if image.command:
        container.with_command(list(image.command))
    container.start()
    return container.get_wrapped_container()


def _started_again(name: str) -> Any:
    import docker
    from docker.errors import NotFound

    try:
        container = docker.from_env().containers.get(name)
    except NotFound:
        return None
    container.start()
    return container


def _print_log(container: Any, since: float, until: threading.Event) -> None:
    for line in container.logs(stream=True, follow=True, since=since):
        sys.stdout.buffer.write(line)
        sys.stdout.flush()
    if not until.is_set():
        os.kill(os.getpid(), signal.SIGINT)  # the container ended by itself: it is removed


def _remove(name: str) -> None:
    import docker
    from docker.errors import NotFound

    client = docker.from_env()
    try:
        client.containers.get(name).remove(force=True, v=True)
    except NotFound:
        pass
    finally:
        client.close()


if __name__ == "__main__":
    hold(sys.argv[1], sys.argv[2], int(sys.argv[3]), dict(setting.split("=", 1) for setting in sys.argv[4:]))

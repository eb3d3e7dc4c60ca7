"""A server as a process of ours: started, awaited, stopped, killed, started again, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from tests.servers.cache import Unavailable

WATCH = Path(__file__).with_name("watch.py")


class ServerFailed(Unavailable):
    """A server that is there did not start; the message ends with its log."""


@dataclass(slots=True)
class Port:
    """A loopback port, kept for one server over its restarts.

    On Linux a bound socket that does not listen keeps the number from everybody else, but not from a server
    that sets SO_REUSEADDR too (the JVM, Go and PostgreSQL do). Elsewhere the number is only likely to stay free.
    """

    number: int
    _kept: int | None
    """The file descriptor of that socket."""

    @classmethod
    def new(cls) -> Port:
        """A port that the operating system picks."""
        with socket.socket() as picked:
            picked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            picked.bind(("127.0.0.1", 0))
            number = picked.getsockname()[1]
            return cls(number, picked.detach() if sys.platform == "linux" else None)

    def release(self) -> None:
        """Gives the number back."""
        if self._kept is not None:
            os.close(self._kept)
            self._kept = None


@dataclass(slots=True)
class ServerProcess:
    """One server under watch.py."""

    name: str
    command: Sequence[str | Path]
    folder: Path
    """Where the log and the process's number are kept; made if needed."""
    is_ready: Callable[[str], bool]
    """Whether it takes requests; it is given what the server printed since this start."""
    ports: Sequence[Port]
    """Its ports; the first is the one that clients use. They stay the server's over restarts."""
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    end_signal: signal.Signals = signal.SIGKILL
    """What ends the server when its owner is gone. Its data goes away too, so most are simply killed."""
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL
    lifeline: int | None = None
    """A file descriptor that ends when the owner does; without it the server lives as long as this process."""
    start_timeout: float = 90.0
    clean_up: Callable[[], None] | None = None
    """Removes what the server's process leaves behind when it is stopped."""
    _process: subprocess.Popen[bytes] | None = None
    _printed_before: int = 0

    @property
    def address(self) -> str:
        """Where clients connect, host:port."""
        return f"127.0.0.1:{self.ports[0].number}"

    @property
    def log(self) -> Path:
        """What the server printed, over all its starts."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """Starts the server and returns when it answers. Raises ServerFailed."""
        assert self._process is None, f"{self.name} runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        signals = [str(int(number)) for number in (self.end_signal, self.stop_signal, self.kill_signal)]
        watch: list[str | Path] = [sys.executable, "-I", "-S", WATCH, self.folder / f"{self.name}.pid", *signals]
        with self.log.open("ab") as log:
            self._printed_before = log.tell()
            self._process = subprocess.Popen(
                [*watch, self.user or "-", *self.command],
                stdin=subprocess.PIPE if self.lifeline is None else self.lifeline,
                stdout=log,
                stderr=log,
                env=dict(self.env),
                cwd=self.folder,
                start_new_session=True,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """The orderly end, awaited."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """A crash: the server has no chance to tidy up."""
        self._end(signal.SIGUSR1)

    def close(self) -> None:
        """Ends the server for good, if it runs, and gives its ports back."""
        self._end(signal.SIGUSR1)
        if self.clean_up is not None:
            self.clean_up()
        for port in self.ports:
            port.release()

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def join(self) -> None:
        """Waits for the end that the owner's end brings."""
        if self._process is not None:
            self._wait()

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._wait()

    def _wait(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        try:
            return process.wait(timeout=40)  # longer than the patience of watch.py
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdin is not None:
                process.stdin.close()

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.start_timeout
        while not self.is_ready(self._printed()):
            if self._process.poll() is not None:
                raise ServerFailed(
                    f"{self.name} ended with exit code {self._wait()} at its start:\n{self._end_of_log()}"
                )
            if time.monotonic() > deadline:
                self._end(signal.SIGUSR1)
                raise ServerFailed(f"{self.name} did not answer in {self.start_timeout:.0f} s:\n{self._end_of_log()}")
            time.sleep(0.05)

    def _printed(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._printed_before)
            return log.read().decode(errors="replace")

    def _end_of_log(self) -> str:
        return "\n".join(self._printed().splitlines()[-30:])


def accepts_connections(port: Port) -> Callable[[str], bool]:
    """A server is ready when it listens on this port."""

    def check(_printed: str) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port.number), timeout=1):
                return True
        except OSError:
            return False

    return check


def accepts_http(url: str) -> Callable[[str], bool]:
    """A server is ready when this address answers 200."""

    def check(_printed: str) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    return check

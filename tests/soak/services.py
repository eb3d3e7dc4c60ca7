"""`opentrail serve …` as processes that are killed, frozen, told to stop, and started again when they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.servers.process import WATCH

COMMAND = (sys.executable, "-W", "error::ResourceWarning", "-c", "from opentrail_cli.main import main; main()")
_NUMBERS = [str(int(number)) for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)]
STOP_SECONDS = 45.0
"""How long an orderly stop may take: the services' own limit and some more."""


class OwnEnd(NamedTuple):
    """A process that ended though nobody ended it."""

    name: str
    code: int
    was_ready: bool
    printed: str
    """The end of what it printed since its start."""


class Service:
    """One process, which a supervisor starts again whenever it ends, until the block is left.

    It runs under tests/servers/watch.py: it never outlives us. A signal goes to a process that runs, by its id.
    """

    def __init__(self, name: str, service: str, env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._command = [*COMMAND, "serve", service]
        self._env = {**inherited(), "PYTHONUNBUFFERED": "1", **env}
        self._pid_file = folder / f"{name}.pid"
        self.log = folder / f"{name}.log"
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._printed_before = 0
        self._sent = Counter[int]()
        self._pause = 0.0
        self._closing = False
        self.starts = 0
        self.own_ends: list[OwnEnd] = []
        self._supervisor = threading.Thread(target=self._supervise, name=f"supervise-{name}")

    @property
    def is_ready(self) -> bool:
        """Whether it runs and has said that it is ready."""
        return self._process is not None and b": ready" in self._printed()

    def kill(self, pause: float) -> bool:
        """kill -9; it is started again after `pause` seconds. False: it did not run."""
        return self._signal(signal.SIGKILL, pause)

    def terminate(self) -> bool:
        """SIGTERM, as at a deploy; it is started again when it has ended. False: it did not run."""
        return self._signal(signal.SIGTERM, 0.0)

    def freeze(self, seconds: float) -> bool:
        """SIGSTOP, and SIGCONT after so many seconds: a process that comes back as from the dead."""
        start = self.starts
        if not self._signal(signal.SIGSTOP):
            return False
        time.sleep(seconds)
        with self._changed:
            if self.starts == start:
                self._signal(signal.SIGCONT)
        return True

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Raises AssertionError with what it printed if it is not ready in time."""
        deadline = time.monotonic() + seconds
        while not self.is_ready:
            assert time.monotonic() < deadline, f"{self.name} is not ready: {self._printed()[-2000:].decode()}"
            time.sleep(0.1)

    def stop(self) -> int:
        """SIGTERM, for good; its exit code."""
        with self._changed:
            self._closing = True
            process = self._process
            if process is None:
                return -1
            self._signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def __enter__(self) -> Self:
        self._supervisor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closing = True
            self._signal(signal.SIGKILL)
            self._changed.notify_all()
        self._supervisor.join()

    def _supervise(self) -> None:
        while True:
            with self._changed:
                if self._closing:
                    return
                process = self._start()
            code = process.wait()
            with self._changed:
                self._process = None
                assert process.stdin is not None
                process.stdin.close()
                self._note_end(code)
                self._changed.wait_for(lambda: self._closing, self._pause)
                self._pause = 0.0

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self._printed_before = log.tell()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", WATCH, self._pid_file, *_NUMBERS, "-", *self._command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._env,
                cwd=self.log.parent,
                start_new_session=True,
            )
        while not self._pid() and process.poll() is None:
            time.sleep(0.01)
        self._sent.clear()
        self.starts += 1
        self._process = process
        return process

    def _note_end(self, code: int) -> None:
        """An end that nobody asked for is kept; so is one that was asked for and came with an error."""
        if self._sent[signal.SIGKILL]:
            return
        printed = self._printed()
        was_ready = b": ready" in printed
        # Before it is ready it may not have its handler for SIGTERM yet; a second one ends it at once.
        if self._sent[signal.SIGTERM] and (code == 0 or not was_ready or self._sent[signal.SIGTERM] > 1):
            return
        self.own_ends.append(OwnEnd(self.name, code, was_ready, printed[-3000:].decode(errors="replace")))
        self._pause = max(self._pause, 0.5)

    def _signal(self, number: signal.Signals, pause: float = 0.0) -> bool:
        with self._changed:
            pid = self._pid()
            if self._process is None or self._process.poll() is not None or not pid:
                return False
            self._pause = pause
            self._sent[number] += 1
            try:
                os.kill(pid, number)
                if number is signal.SIGTERM:
                    os.kill(pid, signal.SIGCONT)  # one that is frozen could not stop
            except ProcessLookupError:
                return False
            return True

    def _pid(self) -> int:
        try:
            return int(self._pid_file.read_text() or 0)
        except FileNotFoundError:
            return 0

    def _printed(self) -> bytes:
        with self.log.open("rb") as log:
            log.seek(self._printed_before)
            return log.read()


def inherited() -> dict[str, str]:
    """Our environment without the settings of OpenTrail and AWS."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("OPENTRAIL_", "AWS_"))}


def wait_until_all_ready(services: Sequence[Service]) -> None:
    """Raises AssertionError if one is not ready in time."""
    for service in services:
        service.wait_until_ready()

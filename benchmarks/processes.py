"""Processes that a benchmark runs, and the CPU that they take."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_PATIENCE = 40.0


class ProcessFailed(Exception):
    """A process did not do what it is for; the message ends with what it printed."""


class Process:
    """A process of ours that says something when it is ready; ended with SIGTERM at the end of the block."""

    def __init__(self, name: str, command: Sequence[str | Path], env: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=Path(__file__).resolve().parents[1],
            )
        self.pid = self._process.pid

    def read_line(self) -> str:
        """The next line that it prints. Raises ProcessFailed if it ends instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ProcessFailed(f"{self.name} ended early:\n{self._log.read_text()[-3000:]}")
        return line

    def write_line(self, line: str) -> None:
        """Gives it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


def cpu_seconds(pid: int) -> float | None:
    """CPU that a process has taken so far, user and system; None where there is no /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # proc(5): the name in brackets may hold anything
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def opentrail(*arguments: str) -> list[str | Path]:
    """The `opentrail` command of this environment."""
    return [Path(sys.executable).with_name("opentrail"), *arguments]

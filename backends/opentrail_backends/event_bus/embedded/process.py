"""Which process a reader lives in, so that a process that is gone need not be waited for."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

UNKNOWN = ""
"""The identity where the system does not tell: only the lease says when such a process is gone."""

_PROC = Path("/proc")
_START_TIME = 19  # field 22 of /proc/PID/stat; the fields after the command's name begin with the third


@cache
def _world() -> str:
    """This boot and this namespace of process ids: only in it does a number name one process."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    except OSError:
        return UNKNOWN


def identity(number: int | None = None) -> str:
    """Names a process (this one, without a number) for as long as the machine runs; UNKNOWN where that cannot be."""
    number = os.getpid() if number is None else number
    world = _world()
    if not world:
        return UNKNOWN
    try:
        after_name = (_PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return UNKNOWN
    return f"{world}/{number}/{after_name[_START_TIME]}"


def is_gone(process: str) -> bool:
    """Whether the process with this identity has surely ended. False where it cannot be known."""
    world, _, number = process.rpartition("/")[0].rpartition("/")
    if not world or world != _world():
        return False
    now = identity(int(number))
    return now != process if now else _has_no_process(int(number))


def _has_no_process(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # another user's
    return False

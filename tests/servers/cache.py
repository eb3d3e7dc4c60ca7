"""The user's cache of test servers: each is built once per machine, whoever asks first."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class Unavailable(Exception):
    """A server cannot be had on this machine; the message says what is missing."""


def root() -> Path:
    """The folder of the cache, which outlives the checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "opentrail-test-servers"


def folder(name: str) -> Path:
    """Where the cache keeps `name` (of the form server-version)."""
    return root() / name


def build_once(name: str, build: Callable[[Path], None]) -> Path:
    """The cached folder of `name`; `build` fills it when it is not there yet.

    Parallel runs wait for each other. A build that failed leaves nothing behind: the folder gets its name
    only when it is complete. Raises Unavailable when `build` does.
    """
    place = folder(name)
    if place.exists():
        return place
    root().mkdir(parents=True, exist_ok=True)
    with locked(root() / f".{name}.lock"):
        if place.exists():
            return place
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root()))
        try:
            build(unfinished)
            unfinished.chmod(0o755)
            unfinished.rename(place)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
    return place


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds an exclusive lock on `path`; the system gives it back even if we crash."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def program(name: str, what_for: str) -> str:
    """The path of a program. Raises Unavailable when this machine has none."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"no program {name!r} here ({what_for})")
    return found


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
) -> None:
    """Runs a step of a build. Raises Unavailable with the end of what it printed when it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        user=user,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        end = "\n".join(done.stdout.splitlines()[-20:])
        raise Unavailable(f"{Path(command[0]).name} ended with exit code {done.returncode}:\n{end}")


def go_install(name: str, package: str, version: str) -> Path:
    """The cached program of a Go module's main package. Raises Unavailable without Go."""

    def build(place: Path) -> None:
        go = program("go", f"builds {name}")
        run([go, "install", "-trimpath", f"{package}@{version}"], env={"GOBIN": str(place), "CGO_ENABLED": "0"})

    # Go names a version without a tag by its commit's time: v0.0.0-20260212201848-7aac2a2c5b7c.
    label = version.split("-")[1] if "-" in version else version.removeprefix("v")
    return build_once(f"{name}-{label}", build) / name

"""The servers of one test session: started when the first test asks, shared by all xdist workers, ended with it.

The session is a folder. Its FIFO `alive` is held open for writing by the process that began the session alone, so
the watchers of all servers (watch.py) see its end of file when that process is gone, however it went.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.servers.cache import Unavailable, locked
from tests.servers.process import ServerProcess


@dataclass(slots=True)
class ServerSession:
    """What one process (the one that began the session, or a worker of it) knows of the session."""

    folder: Path
    _alive: int | None = None
    _servers: list[ServerProcess] = field(default_factory=list)

    @classmethod
    def begin(cls) -> ServerSession:
        """A new session, which ends with this process at the latest."""
        folder = Path(tempfile.mkdtemp(prefix="opentrail-servers-"))
        folder.chmod(0o711)  # PostgreSQL may have to run as another user
        os.mkfifo(folder / "alive")
        return cls(folder, os.open(folder / "alive", os.O_RDWR))

    @classmethod
    def join(cls, folder: Path) -> ServerSession:
        """A session that another process began."""
        return cls(folder)

    def share(self, name: str, start: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `start` returned (how to reach the server), started by whoever asks first.

        Raises Unavailable, the same for each who asks.
        """
        state = self.folder / f"{name}.json"
        with locked(self.folder / f"{name}.lock"):
            if not state.exists():
                try:
                    started = start()
                except Unavailable as reason:
                    started = {"unavailable": str(reason)}
                state.write_bytes(msgspec.json.encode(started))
        answer: dict[str, Any] = msgspec.json.decode(state.read_bytes())
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        return answer

    def run(self, server: ServerProcess) -> None:
        """Starts a server that lives as long as the session."""
        server.lifeline = os.open(self.folder / "alive", os.O_RDONLY)
        try:
            server.start()
        finally:
            os.close(server.lifeline)
        self._servers.append(server)

    def place(self, name: str) -> Path:
        """A new folder for one server's data and log."""
        (self.folder / "servers").mkdir(mode=0o711, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder / "servers"))
        place.chmod(0o711)
        return place

    def end(self, *, keep_logs: bool) -> Path | None:
        """Ends all servers and deletes their data; returns the folder that is kept for its logs."""
        assert self._alive is not None, "only the process that began the session ends it"
        os.close(self._alive)
        self._alive = None
        for server in self._servers:
            server.join()
        deadline = time.monotonic() + 30
        while any(self.folder.glob("servers/*/*.pid")) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not keep_logs or not any(self.folder.glob("servers/*/*.log")):
            shutil.rmtree(self.folder, ignore_errors=True)
            return None
        for place in self.folder.glob("servers/*/*"):
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
        return self.folder

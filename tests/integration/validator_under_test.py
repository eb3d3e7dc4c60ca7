"""The validator service in this process, as `opentrail serve validator` puts it together, and all that it says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc

from opentrail_cli.composition import Parts
from opentrail_cli.validator_service import Catalogue
from opentrail_validator import Kind
from opentrail_validator.generated import validator_pb2_grpc
from opentrail_validator.service.changes import Subscription
from opentrail_validator.service.open_findings import Change
from opentrail_validator.service.server import ValidatorService
from opentrail_validator.service.settings import ServerSettings, WatchSettings

TOKEN = "otv_0123456789abcdef0123456789abcdef"
BEARER = (("authorization", f"Bearer {TOKEN}"),)
PATIENCE = 60.0


class Told:
    """Who is told of findings."""

    def __init__(self) -> None:
        self.notices: list[dict[str, Any]] = []

    def notify(self, message: str) -> None:
        self.notices.append(json.loads(message))


class UnderTest:
    """The service, and all that it ever said."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self._parts = parts
        self._folder = folder
        self.told = Told()
        self.service: ValidatorService
        self.port = 0
        self._changes: list[Change] = []
        self._subscription = Subscription()

    def start(self) -> None:
        self.service = ValidatorService(
            ServerSettings(token_sha256=sha256(TOKEN.encode()).digest()),
            WatchSettings(cycle_seconds=0.5, full_every=5, parallel=2),
            Catalogue(self._parts),
            self.told,
            self._folder / "book.json",
        )
        self._subscription = self.service._changes.subscribe()
        self.port = self.service.start()

    def stop(self) -> None:
        assert self.service.stop(30)
        assert self.changes is self._changes, "none is forgotten with the subscription"

    @property
    def changes(self) -> list[Change]:
        """All that was told up to now."""
        waiting = self._subscription._waiting
        while waiting:
            self._changes.append(waiting.popleft())
        return self._changes

    @property
    def content(self) -> Any:
        return self.service._book.content

    def open(self) -> set[tuple[Kind, str]]:
        return {
            (each.finding.kind, each.finding.key) for memory in self.content.chains.values() for each in memory.open
        }

    def unchecked(self) -> int:
        return sum(memory.unchecked for memory in self.content.chains.values())

    def pass_a_cycle(self) -> None:
        """Until a cycle that begins after now has ended, and its notice was given."""
        begun = self.content.cycle
        wait_until(lambda: self.content.cycle >= begun + 2, "a cycle")

    def pass_a_complete_cycle(self) -> None:
        """The same, for one in which everything could be checked."""
        wait_until(lambda: self.pass_a_cycle() or self.unchecked() == 0, "a complete cycle")

    def stub(self, channel: grpc.Channel) -> Any:
        return validator_pb2_grpc.ValidatorStub(channel)  # type: ignore[no-untyped-call]  # generated


def wait_until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)

"""What the state store was told, whatever backups were restored since: whose which object is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from opentrail_backends.state.port import IntendedFile, Intent, Lease
from tests.simulation.evidence import Place


@dataclass
class Audit:
    """Told of each write in the transaction that makes it."""

    seen: Counter[str]
    files: dict[Place, IntendedFile] = field(default_factory=dict)
    """Every log file by each place that it ever had."""
    delivered: int = 0
    trace: list[str] | None = None

    def __call__(self, what: str, *values: Any) -> None:
        self.seen[what] += 1
        if self.trace is not None:
            self.trace.append(f"{'':>8} STORE {what} {values}")
        match what:
            case "intent":
                _, intent = values
                assert isinstance(intent, Intent)
                for file in intent.files:
                    self._know(file)
            case "renamed" | "reaimed":
                self._know(values[0])
            case "delivered":
                assert isinstance(values[0], Lease)
                self.delivered += 1

    def _know(self, file: IntendedFile) -> None:
        self.files[file.bucket, file.object_key] = file

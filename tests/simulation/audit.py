"""What the state store was told, whatever backups were restored since: whose which object is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from opentrail_backends.event_bus.port import Partition
from opentrail_backends.state.port import IntendedFile, Intent, Lease
from tests.simulation.evidence import Place
from tests.simulation.lines import Lines


@dataclass
class Audit:
    """Told of each write in the transaction that makes it."""

    seen: Counter[str]
    files: dict[Place, IntendedFile] = field(default_factory=dict)
    """Every log file by each place that it ever had."""
    partitions: dict[Place, Partition] = field(default_factory=dict)
    parked: set[Place] = field(default_factory=set)
    """Log files that lay in the spool, by every place that they had then and later."""
    lines: Lines = field(default_factory=Lines)
    delivered: int = 0
    trace: list[str] | None = None

    def __call__(self, what: str, *values: Any) -> None:
        self.seen[what] += 1
        if self.trace is not None:
            self.trace.append(f"{'':>8} STORE {what} {values}")
        match what:
            case "intent":
                lease, intent = values
                assert isinstance(intent, Intent)
                assert isinstance(lease, Lease)
                for file in intent.files:
                    self._know(file, Partition(lease.region, lease.partition))
            case "renamed" | "reaimed":
                file, old = values
                self._know(file, self.partitions.get(old, Partition("", 0)))
                if old in self.parked:
                    self.parked.add((file.bucket, file.object_key))
            case "delivered":
                self.delivered += 1
            case "parked":
                self.parked.add((values[0].bucket, values[0].object_key))
            case "appended":
                self.lines.appended(*values)
            case "restamped":
                self.lines.irregular.add(values[0].id)
                for digest in values[1]:
                    self.lines.put(digest)
            case "begun" | "moved":
                self.lines.irregular.add(values[0])
            case "withdrawn":
                self.lines.withdrawn(values[0])

    def _know(self, file: IntendedFile, partition: Partition) -> None:
        self.files[file.bucket, file.object_key] = file
        self.partitions[file.bucket, file.object_key] = partition

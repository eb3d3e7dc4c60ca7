"""Where ledger and bus must fit before anything is read or written: each rule and how to break it."""

from __future__ import annotations

from typing import Any

import pytest

from opentrail_backends.event_bus.port import Bounds
from opentrail_delivery import maintenance, partition_delivery, preconditions
from tests.simulation.rules import rule

Patch = pytest.MonkeyPatch


@rule("a bus that was told more than the ledger knows stops delivery", "restored")
def _hint_not_compared(patch: Patch) -> None:
    check = preconditions.check_positions

    def without_hint(partition: Any, lease: Any, intents: Any, bounds: Any, _committed: Any) -> None:
        check(partition, lease, intents, bounds, None)

    patch.setattr(partition_delivery, "check_positions", without_hint)
    for module in (preconditions, maintenance):
        patch.setattr(module, "gone_back", lambda *_: iter(()))


@rule("a log that does not hold what the ledger needs stops its partition", "lost")
def _bounds_not_compared(patch: Patch) -> None:
    check = preconditions.check_positions

    def anywhere(partition: Any, lease: Any, intents: Any, _bounds: Any, committed: Any) -> None:
        check(partition, lease, intents, Bounds(0, 2**60), committed)

    patch.setattr(partition_delivery, "check_positions", anywhere)

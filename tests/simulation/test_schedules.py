"""The whole protocol under thousands of schedules: what design §3 promises holds at the end of each.

A seed that fails is run again, alone and with its trace, by

    PYTHONHASHSEED=0 .venv/bin/python -m tests.simulation THEME SEED
"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from tests.conftest import SOAK
from tests.simulation.choices import Choices
from tests.simulation.invariants import Violated
from tests.simulation.schedules import THEMES, run
from tests.simulation.shrinking import smaller

SCHEDULES = int(os.environ.get("OPENTRAIL_TEST_SCHEDULES", "50_000" if SOAK else "150"))
"""How many of each theme."""
ENOUGH = 50
"""Schedules after which all that a theme is about must have happened."""


@pytest.mark.timeout(0)
@pytest.mark.parametrize("theme", THEMES)
def test_every_schedule_keeps_the_promises(theme: str) -> None:
    begun, seen, count = time.monotonic(), Counter[str](), 0

    @settings(max_examples=SCHEDULES, phases=[Phase.explicit, Phase.generate], database=None)
    @given(seed=st.integers(0, 2**48))
    def schedules(seed: int) -> None:
        nonlocal count
        count += 1
        choices = Choices(seed)
        try:
            seen.update(run(THEMES[theme], choices).scheduler.seen)
        except Violated as violated:
            tape = smaller(THEMES[theme], choices.used)
            note(f'again: PYTHONHASHSEED=0 .venv/bin/python -m tests.simulation "{theme}" {seed}')
            note(f"as small as it gets: {tape.hex()}")
            raise Violated(f"theme {theme!r}, seed {seed}: {violated}") from None

    schedules()
    seconds = time.monotonic() - begun
    print(f"{theme}: {count} schedules, {count / seconds:.0f} a second")
    missing = [what for what, times in REACHED.get(theme, {}).items() if seen[what] * 100 < times * count]
    assert count < ENOUGH or not missing, f"{count} schedules of {theme!r} did not reach: {missing}"


REACHED: dict[str, dict[str, float]] = {
    "crashes": {"worker died": 150, "partitions moved": 150, "batch sent again": 40, "answer to the client lost": 20},
    "zombies": {"worker became a zombie": 300, "zombie woke up": 300, "lost the partition": 40},
    "losses": {"state refused": 40, "state answer lost, kept": 8, "state answer lost, not kept": 6,
               "starting again at step 1": 13, "publish lost": 20, "publish kept, not confirmed": 20,
               "message landed late": 20, "batch split": 20},
    "buckets": {"put refused": 30, "put silent": 10, "put throttled": 10, "put answered 5xx": 20, "renamed": 15,
                "put landed late": 5, "log file planted": 20, "digest planted": 20, "restamped": 20},
    "parked": {"parked": 100, "parked delivered": 100, "a parked file goes to its trail's new target": 10},
    "re-aimed": {"parked delivered": 150, "reaimed": 60},
    "spool": {"owner refused: share of the spool": 5, "parked": 50},
    "changes": {"trail: stop": 80, "trail: start": 80, "trail: delete": 80, "trail: again": 80, "trail: move": 150,
                "trail: switch_member": 80, "trail: switch_validation": 80, "begun": 10},
    "sessions": {"trail created": 80, "trail: again": 50, "trail: restart": 100, "trail: delete": 100,
                 "trail: stop": 50, "zombie woke up": 150},
    "digests": {"restamped": 100, "digest planted": 100},
    "withdrawn": {"withdrawn": 15},
    "clocks": {"clock of the bus stepped": 100, "clock of the store stepped": 100, "clock of a worker stepped": 100},
    "numbers": {"client restarted": 100, "old client came back": 80},
    "poison": {"poison": 150, "message breaks old readers": 50},
    "forgetting": {"rows forgotten": 100},
    "newer": {"message of a newer format": 60},
    "lost": {"messages deleted": 8, "log cut": 0.5, "topic made anew": 5, "offsets used again": 4},
    "restored": {"backup restored": 15},
    "everything": {"worker died": 150, "zombie woke up": 80, "restamped": 20, "renamed": 20, "withdrawn": 1},
}  # fmt: skip
"""What must have happened in a hundred schedules of a theme: a machine that does nothing shows nothing.

Well below what happens on the average: other seeds have less by chance.
"""

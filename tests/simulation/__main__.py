"""One schedule again, with its trace: python -m tests.simulation THEME SEED."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.choices import Choices
from tests.simulation.invariants import Violated
from tests.simulation.schedules import THEMES, run
from tests.simulation.virtual_time import replaced


def main() -> int:
    """Prints what happened; the exit code is 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("theme", choices=sorted(THEMES))
    parser.add_argument("seed", type=int)
    given = parser.parse_args()
    try:
        with replaced():
            world = run(THEMES[given.theme], Choices(given.seed), traced=True)
    except Violated as violated:
        print("\n".join(violated.world.scheduler.trace))  # type: ignore[attr-defined]
        print(violated)
        return 1
    print("\n".join(world.scheduler.trace or ()))
    return 0


if __name__ == "__main__":
    sys.exit(main())

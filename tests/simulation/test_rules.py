"""Each rule of design §3 is needed: without it, the simulation fails."""

from __future__ import annotations

import pytest

from tests.simulation import (
    rules_of_digests,
    rules_of_files,
    rules_of_heads,
    rules_of_puts_of_digests,
    rules_of_stops,
    rules_of_the_ledger,
)
from tests.simulation.choices import Choices
from tests.simulation.invariants import Violated
from tests.simulation.rules import RULES, Rule
from tests.simulation.schedules import THEMES, run

MODULES = (
    rules_of_the_ledger,
    rules_of_files,
    rules_of_digests,
    rules_of_puts_of_digests,
    rules_of_heads,
    rules_of_stops,
)
MOST = 400
"""Schedules within which the absence of a rule must show."""


@pytest.mark.parametrize("name", RULES)
def test_without_the_rule_the_simulation_fails(name: str) -> None:
    rule = RULES[name]
    for seed in range(rule.first_seed, rule.first_seed + MOST):
        if _fails(rule, seed, is_broken=True) and not _fails(rule, seed, is_broken=False):
            return
    pytest.fail(f"{MOST} schedules pass without the rule: {name}")


def _fails(rule: Rule, seed: int, *, is_broken: bool) -> bool:
    with pytest.MonkeyPatch.context() as patch:
        if is_broken:
            rule.break_it(patch)
        try:
            run(THEMES[rule.theme], Choices(seed))
        except Violated:
            return True
        except Exception:  # the broken rule breaks more than the protocol
            if not is_broken:
                raise
            return True
    return False

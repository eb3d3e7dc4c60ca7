"""The rules of the protocol, each by name, and how to break it: without any one of them the simulation must fail.

A rule that the ledger keeps is broken in the state store in memory, all others in the real code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

Break = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Rule:
    """A rule of design §3."""

    name: str
    theme: str
    """Schedules in which its absence shows."""
    break_it: Break
    first_seed: int = 0


RULES: dict[str, Rule] = {}


def rule(name: str, theme: str, first_seed: int = 0) -> Callable[[Break], Break]:
    """Adds a rule to the table; the function breaks it."""

    def add(break_it: Break) -> Break:
        assert name not in RULES
        RULES[name] = Rule(name, theme, break_it, first_seed)
        return break_it

    return add

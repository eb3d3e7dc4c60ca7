"""The fence of the state store in memory: a suite by itself, its fixtures have names that others have too."""

from __future__ import annotations

from tests.simulation.memory_contracts import SUITES, contract_of

globals().update(contract_of(*SUITES[:1]))

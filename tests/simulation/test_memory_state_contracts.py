"""The state store in memory is held to the same contract as the databases."""

from __future__ import annotations

from tests.simulation.memory_contracts import SUITES, contract_of

globals().update(contract_of(*SUITES[1:]))

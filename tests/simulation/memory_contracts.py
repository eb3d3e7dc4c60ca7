"""The contract suites of the state store, for the one in memory: what it gets wrong, the simulation would too."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

SUITES = (
    "test_fence",
    "test_chains",
    "test_client_sums",
    "test_configuration",
    "test_digest_queue",
    "test_digests",
    "test_ledger",
    "test_orphans",
    "test_parked_files",
    "test_parked_puts",
    "test_public_keys",
    "test_restamping",
    "test_settling",
    "test_signed_heads",
    "test_spool_sums",
    "test_undigested_files",
    "test_withdrawing",
    "test_workers",
)
SQL = (
    "_transactions",
    "tables.",
    "text(",
    "connection",
    "between_processes",
    "secret",
    "Thread",
    "open_store",
    "dump(store)[",
    "body_that_is_no_json",
    "bytes_are_forgotten",
    "plans_of",
)
"""Tests that say one of these look at rows, break connections, or need a second process, threads or a secret.

Left out as a whole: what a process remembers of the clock, what is forgotten when, and what only `fsck` reads.
"""


def suite_of(name: str) -> Any:
    return importlib.import_module(f"tests.contracts.state.{name}")


def contract_of(*suites: str) -> Iterator[tuple[str, Any]]:
    """The tests and fixtures of suites, by names that tell them apart."""
    for suite in suites:
        for name, function in vars(suite_of(suite)).items():
            if type(function).__name__ == "FixtureFunctionDefinition" and name not in {
                "store",
                "first",
                "other",
                "clock",
            }:
                yield name, function
            if name.startswith("test_") and inspect.isfunction(function):
                source = inspect.getsource(function)
                if not any(word in source for word in SQL):
                    yield f"{suite}_{name.removeprefix('test_')}", function

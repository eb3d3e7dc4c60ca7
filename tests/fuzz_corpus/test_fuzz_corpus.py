"""Parsers raise only what they declare, in bounded time and memory, on every case of the corpus."""

from __future__ import annotations

import faulthandler
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fuzz_corpus.cases import HURTING, case
from tests.fuzz_corpus.targets import TARGETS

CASES = 600
SOAK_CASES = 50_000
MOST_SECONDS = 20.0
"""For one case, a thousand times what any needs: only what never ends takes so long."""
MOST_BYTES = 256 << 20
"""For one case; the largest is a megabyte. A log file may be a gigabyte, so it is not about those that are large."""


@pytest.mark.parametrize("name", TARGETS)
def test_only_declared_errors_come_out(name: str, tmp_path: Path, soak: bool) -> None:
    target = TARGETS[name]
    seeds = target.seeds()
    for number in range(SOAK_CASES if soak else CASES):
        data = case(seeds, number)
        faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
        try:
            target.run(data, tmp_path)
        except target.declared:
            pass
        except Exception as error:
            raise AssertionError(f"python -m tests.fuzz_corpus {name} {number}: {error!r}") from error
        finally:
            faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_made_to_hurt_takes_little_memory(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    tracemalloc.start(1)
    try:
        for number, data in enumerate(HURTING):
            tracemalloc.reset_peak()
            with suppress(*target.declared):
                target.run(data, tmp_path)
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES, f"input {number} of {name}"
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", TARGETS)
def test_the_good_inputs_are_good(name: str, tmp_path: Path) -> None:
    for seed in TARGETS[name].seeds():
        TARGETS[name].run(seed, tmp_path)


def test_a_case_is_the_same_bytes_each_time() -> None:
    seeds = TARGETS["digest"].seeds()
    assert [case(seeds, number) for number in range(50, 150)] == [case(seeds, number) for number in range(50, 150)]
    assert len({case(seeds, number) for number in range(200)}) > 150

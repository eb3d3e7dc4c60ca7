"""The cache of servers: whole or absent, and built once."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from tests.servers import cache
from tests.servers.cache import Unavailable


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _count(place: Path) -> None:
    with (cache.root() / "builds").open("a") as file:
        file.write("built\n")
    (place / "program").write_text("whole")


def _build(barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    cache.build_once("server-1", _count)


def test_parallel_runs_build_once() -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    processes = [context.Process(target=_build, args=(barrier,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert (cache.root() / "builds").read_text() == "built\n"
    assert (cache.folder("server-1") / "program").read_text() == "whole"


def test_a_failed_build_leaves_nothing_and_is_tried_again() -> None:
    def fail(place: Path) -> None:
        (place / "half").write_text("half")
        raise Unavailable("no compiler")

    with pytest.raises(Unavailable, match="no compiler"):
        cache.build_once("server-1", fail)
    assert not [path for path in cache.root().iterdir() if path.is_dir()]
    assert (cache.build_once("server-1", _count) / "program").exists()


def test_a_missing_program_says_what_it_is_for() -> None:
    with pytest.raises(Unavailable, match=r"no program 'no-such-program' here \(builds x\)"):
        cache.program("no-such-program", "builds x")


def test_a_failed_step_shows_the_end_of_its_output() -> None:
    with pytest.raises(Unavailable, match="exit code 3:\nlast words"):
        cache.run(["sh", "-c", "echo last words; exit 3"])

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cli_process import Running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts the `opentrail` command as a process that runs until the test's end."""
    running: list[Running] = []

    def start_one(*arguments: str, **more: str) -> Running:
        running.append(Running(tmp_path, *arguments, **more))
        return running[-1]

    yield start_one
    for one in running:
        one.close()

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import StateStore
from opentrail_cli import opening
from opentrail_cli.credentials import secret_key_at
from opentrail_cli.main import app


def state_in(data: Path) -> StateStore:
    """The state store of a data directory."""
    return open_state_store(f"sqlite:///{data}/state.db", secret_key=secret_key_at(data / "secret.key"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def run(data: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command on the data directory; returns what it prints. It must end with `code`, or by its own error."""
    monkeypatch.setattr(opening, "configure_logs", lambda *_: None)

    def call(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, [*arguments, "--data-directory", str(data)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    return call

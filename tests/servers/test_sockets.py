"""Unit tests have no sockets; all others talk to this machine only."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_socket

from tests import conftest

ROOT = Path(__file__).parents[2]


def _mark_of(path: str) -> Any:
    marks: list[Any] = []
    item = SimpleNamespace(path=ROOT / path, add_marker=marks.append)
    conftest.pytest_collection_modifyitems([item])  # type: ignore[list-item]
    return marks[0]


def test_unit_tests_get_no_sockets() -> None:
    assert _mark_of("tests/unit/core/test_a.py").name == "disable_socket"
    assert _mark_of("tests/integration/test_a.py").args == (["127.0.0.1"],)


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "127.0.0.2"])
def test_only_this_machine_is_reached(address: str) -> None:
    with pytest.raises(pytest_socket.SocketConnectBlockedError):
        socket.create_connection((address, 9), timeout=1)


@pytest.mark.disable_socket
@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_without_sockets_there_is_none_but_for_an_event_loop() -> None:
    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket()
    for end in socket.socketpair():
        end.close()

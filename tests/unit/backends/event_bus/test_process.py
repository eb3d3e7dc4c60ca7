from __future__ import annotations

import os
import subprocess
import sys

import pytest

from opentrail_backends.event_bus.embedded import process
from opentrail_backends.event_bus.embedded.process import UNKNOWN, identity, is_gone

pytestmark = pytest.mark.skipif(identity() == UNKNOWN, reason="this system does not tell processes apart")


def test_a_living_process_is_not_gone() -> None:
    assert identity() == identity(os.getpid()) != UNKNOWN
    assert not is_gone(identity())
    assert not is_gone(identity(os.getppid()))


def test_a_process_that_ended_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        who = identity(child.pid)
        assert not is_gone(who)
        child.kill()
    assert is_gone(who)


def test_a_number_that_was_given_to_another_process_names_a_process_that_is_gone() -> None:
    earlier = identity().rpartition("/")[0] + "/1"  # the same number, another start
    assert is_gone(earlier)


@pytest.mark.parametrize("who", [UNKNOWN, "another-boot/pid:[1]/1/1", "no identity at all"])
def test_what_cannot_be_known_is_not_gone(who: str) -> None:
    assert not is_gone(who)


def test_without_proc_nothing_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    who = identity()
    monkeypatch.setattr(process, "_world", lambda: UNKNOWN)
    assert identity() == UNKNOWN
    assert not is_gone(who)

"""A database that is down, locked or restarted: the message says so, and what was answered is still there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from opentrail_backends.state import engine, open_state_store
from opentrail_backends.state.port import OutcomeUnknown, StateError
from tests.contracts.state.samples import REGION, START, chain, delivered, intended_file, intent
from tests.servers.postgresql import OwnPostgresServer


@pytest.mark.postgresql
def test_what_was_answered_survives_a_crash_of_the_server_and_the_store_goes_on(
    own_postgres: OwnPostgresServer,
) -> None:
    store = open_state_store(own_postgres.new_database())
    store.migrate()
    lease = delivered(store, ["a"])
    window = intent(2, 10, 20, intended_file("b"))
    store.ledger.write_intent(lease, window)
    own_postgres.kill()

    with pytest.raises(StateError, match="try again when it is reachable") as down:
        store.ledger.own(REGION, 0, 0)
    assert not isinstance(down.value, OutcomeUnknown)

    own_postgres.start()
    lease, open_intents = store.ledger.own(REGION, 0, 0)
    assert (lease.next_offset, open_intents) == (10, [window])
    store.close()


def test_a_lock_that_is_held_too_long_is_an_error_that_changed_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", 10)
    first, second = (open_state_store(f"sqlite:///{tmp_path}/state.db") for _ in range(2))
    first.migrate()
    second.ledger.windows()
    with (
        first._transactions.writing(),  # type: ignore[attr-defined]
        pytest.raises(StateError, match="database is locked") as locked,
    ):
        second.ledger.own(REGION, 0, 0)
    assert not isinstance(locked.value, OutcomeUnknown)
    assert second.ledger.own(REGION, 0, 0)[0].epoch == 1
    first.close()
    second.close()


ROOT = Path(__file__).parents[3]
DIES_IN_A_TRANSACTION = """
import os, sys
from opentrail_backends.state import open_state_store
from tests.contracts.state.samples import delivered
store = open_state_store(sys.argv[1])
store.migrate()
delivered(store, ["a"])
with store._transactions.writing() as connection:
    connection.exec_driver_sql("DELETE FROM file")
    os._exit(9)
"""


def test_a_crash_of_the_process_leaves_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    died = subprocess.run([sys.executable, "-c", DIES_IN_A_TRANSACTION, url], check=False, cwd=ROOT, timeout=120)
    assert died.returncode == 9
    store = open_state_store(url)
    assert store.ledger.own(REGION, 0, 0)[0].next_offset == 10
    assert [file.object_key for file in store.chains.undigested(chain(), START * 2)] == ["AWSLogs/a.json.gz"]
    store.close()

"""What is refused before any connection is made, and which failed commits are sure to be undone."""

from __future__ import annotations

import sqlite3
import sys
import traceback
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from opentrail_backends.state import engine, open_state_store
from opentrail_backends.state.engine import _surely_undone, in_chunks
from opentrail_backends.state.port import StateError
from opentrail_backends.state.secret_box import SecretBox


@pytest.mark.parametrize(
    "url",
    ["mysql://host/db", "postgresql://host/db", "postgresql+psycopg2://host/db", "sqlite+aiosqlite:///x", "kafka://x"],
)
def test_another_kind_of_database_is_refused_with_what_is_supported(url: str) -> None:
    with pytest.raises(StateError, match=r"not supported: use sqlite:///file, sqlite:// or postgresql\+psycopg"):
        open_state_store(url)


@pytest.mark.parametrize("url", ["", "nothing", "postgresql+psycopg://host:port:/x", "/var/lib/state.db"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(StateError):
        open_state_store(url)


@pytest.mark.parametrize("url", ["mysql://user:hunter2@host/db", "postgresql+psycopg://user:with@sign:hunter2@host/db"])
def test_a_password_is_not_in_the_message(url: str) -> None:
    with pytest.raises(StateError) as refused:
        open_state_store(url)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_without_the_driver_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StateError, match=r"install opentrail\[postgresql\]"):
        open_state_store("postgresql+psycopg://host/db")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_secret_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(StateError, match=f"must have 32 bytes, this one has {length}"):
        open_state_store("sqlite://", secret_key=bytes(length))


def test_a_folder_that_is_not_there_is_named(tmp_path: object) -> None:
    store = open_state_store(f"sqlite:///{tmp_path}/missing/state.db")
    with pytest.raises(StateError, match=r"missing/state\.db"):
        store.migrate()


def test_a_file_that_is_no_database_is_refused(tmp_path: object) -> None:
    path = Path(f"{tmp_path}/state.db")
    path.write_bytes(b"no database" * 1000)
    store = open_state_store(f"sqlite:///{path}")
    with pytest.raises(StateError, match="not a database"):
        store.migrate()
    store.close()


class FromServer(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("from the server")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "undone"),
    [
        (OperationalError("COMMIT", None, FromServer(None)), False),
        (OperationalError("COMMIT", None, FromServer("57P01")), False),
        (OperationalError("COMMIT", None, FromServer("08006")), False),
        (DBAPIError("COMMIT", None, FromServer("40003")), False),
        (DBAPIError("COMMIT", None, FromServer("XX000")), False),
        (OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error")), False),
        (DBAPIError("COMMIT", None, FromServer("40001")), True),
        (DBAPIError("COMMIT", None, FromServer("40P01")), True),
        (IntegrityError("COMMIT", None, FromServer("23503")), True),
        (IntegrityError("COMMIT", None, sqlite3.IntegrityError("FOREIGN KEY constraint failed")), True),
    ],
)
def test_a_failed_commit_is_unknown_unless_the_database_said_that_it_rolled_back(
    error: DBAPIError, undone: bool
) -> None:
    assert _surely_undone(error) is undone


def test_chunks_hold_everything_once() -> None:
    assert list(in_chunks([])) == []
    chunks = list(in_chunks(range(12_000)))
    assert [len(chunk) for chunk in chunks] == [5000, 5000, 2000]
    assert [value for chunk in chunks for value in chunk] == list(range(12_000))


def test_a_secret_of_a_newer_format_says_so() -> None:
    box = SecretBox(bytes(32))
    sealed = box.seal("secret", "row")
    assert box.open(sealed, "row") == "secret"
    with pytest.raises(StateError, match="use the newer release"):
        box.open(b"\x02" + sealed[1:], "row")


@pytest.mark.parametrize("length", [0, 1, 5, 13, 20])
def test_a_secret_that_was_cut_is_refused(length: int) -> None:
    box = SecretBox(bytes(32))
    with pytest.raises(StateError):
        box.open(box.seal("secret", "row")[:length], "row")


class Switching:
    """A connection whose switch to WAL fails for a while."""

    def __init__(self, error_code: int, failures: int) -> None:
        self.error = sqlite3.OperationalError("refused")
        self.error.sqlite_errorcode = error_code
        self.failures = failures

    def execute(self, statement: str) -> None:
        assert statement == "PRAGMA journal_mode = WAL"
        self.failures -= 1
        if self.failures >= 0:
            raise self.error


def test_a_switch_to_wal_that_meets_another_one_is_tried_again() -> None:
    switching = Switching(sqlite3.SQLITE_BUSY, failures=2)
    engine._use_wal(switching)  # type: ignore[arg-type]
    assert switching.failures == -1


def test_a_switch_to_wal_that_cannot_succeed_is_tried_once() -> None:
    switching = Switching(sqlite3.SQLITE_READONLY, failures=2)
    with pytest.raises(sqlite3.OperationalError):
        engine._use_wal(switching)  # type: ignore[arg-type]
    assert switching.failures == 1


def test_a_switch_to_wal_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_MS", -1)
    switching = Switching(sqlite3.SQLITE_BUSY | 1 << 8, failures=2)
    with pytest.raises(sqlite3.OperationalError):
        engine._use_wal(switching)  # type: ignore[arg-type]
    assert switching.failures == 1

"""A database of the release before, with rows in it, and that release still at work on it for a while."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from opentrail_backends.state import migration
from opentrail_backends.state.port import Chain, DigestFailure, LedgerLost, ParkedFailure, ParkedFile, StateStore
from tests.contracts.state.conftest import DATABASES, Opener, sqlite_url
from tests.contracts.state.samples import ACCOUNT, BUCKET, HOUR, LATER, REGION, START, chain, current, digest, dump, ids

FILE = {
    "region": REGION, "partition": 0, "intent": 1, "incarnation": "trail-1", "logging_session": 1,
    "account_id": ACCOUNT, "part": 0, "bucket": BUCKET, "sha256": "ab" * 32, "events": 3, "oldest_event_time": START,
    "newest_event_time": START, "delivered_at": None, "digest": None,
}  # fmt: skip


@pytest.fixture(params=DATABASES)
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a schema."""
    if request.param != "postgresql":
        return sqlite_url(request.param, tmp_path)
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def old_store(open_store: Opener) -> StateStore:
    """A store of the first schema, in which much has happened."""
    store = open_store()
    with schema_of(store, "0001") as connection:
        fill(connection)
    return store


@contextmanager
def schema_of(store: StateStore, revision: str) -> Iterator[Connection]:
    """Brings a store to an older release's schema; the connection is for its rows."""
    config = Config()
    config.set_main_option("script_location", str(Path(migration.__file__).parent / "migrations"))
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        yield connection


def add(connection: Connection, table: str, **row: Any) -> None:
    columns = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({values})"), row)


def add_file(connection: Connection, name: str, state: str, position: int, **changes: Any) -> None:
    of_state = {"delivered_at": START * 1000} if state == "delivered" else {}
    row = {**FILE, **of_state, **changes, "state": state, "position": position}
    add(connection, "file", object_key=f"AWSLogs/{name}.json.gz", **row)


def fill(connection: Connection) -> None:
    """What the release before has written, by its own columns."""
    connection.execute(text(f"UPDATE clock SET last = {START * 1000}"))
    for revision, (trail, validates) in enumerate(
        (("trail-1", False), ("trail-1", True), ("unvalidated", False), ("gone", None)), start=1
    ):
        body = None if validates is None else json.dumps({"log_file_validation_enabled": validates})
        add(
            connection,
            "configuration_change",
            revision=revision,
            effective_at=revision,
            kind="trail",
            entity_id=trail,
            body=body,
        )
    add(connection, "partition", region=REGION, number=0, epoch=1, token="t", last_intent=1, next_offset=10)
    add(connection, "place", place="place-1", last_stamp=START)
    made = chain()
    row = {name: getattr(made, name) for name in Chain.__slots__}
    add(connection, "chain", **{**row, "sequence": 1, "head_key": "k", "head_signature": "s", "head_sha256": "h"})
    add(
        connection, "digest", chain_id=made.id, sequence=1, bucket=BUCKET, object_key="k", start=START - HOUR,
        end=START, body=b"{}", sha256="h", signature="s", fingerprint="f", trail_arn="arn",
    )  # fmt: skip
    add_file(connection, "named", "delivered", 0, digest=1)
    add_file(connection, "undigested", "delivered", 1)
    add_file(connection, "parked", "parked", 2)
    add_file(connection, "intended", "intended", 3)
    add_file(connection, "unvalidated", "delivered", 4, incarnation="unvalidated")
    add_file(connection, "gone", "parked", 5, incarnation="gone")
    add_file(connection, "unknown", "delivered", 6, incarnation="unknown")
    add(
        connection, "client_numbers", region=REGION, account_id=ACCOUNT, client_id=b"a" * 16, newest=9,
        holes="[[1,2]]", floor=0, seen_at=5,
    )  # fmt: skip


def parked(store: StateStore, name: str) -> ParkedFile:
    return next(file for file in store.ledger.parked_files(10) if name in file.object_key)


def test_everything_is_there_after_the_upgrade(old_store: StateStore) -> None:
    old_store.migrate()
    named_by = {row["object_key"][8:-8]: row["digest"] for row in dump(old_store)["file"]}
    assert named_by == {
        "named": 1, "undigested": None, "parked": None, "intended": None, "unknown": None, "unvalidated": 0, "gone": 0
    }  # fmt: skip
    assert len(old_store.chains.undigested(current(old_store), LATER)) == 1
    assert [of.incarnation for of in old_store.chains.orphans(10)] == ["unknown"]
    assert old_store.chains.unpublished(10)[0].signature == "s"
    assert old_store.ledger.clients()[0].clients == 1
    (numbers,) = old_store.ledger.client_numbers(REGION, ACCOUNT).values()
    assert (numbers.newest, numbers.missing, numbers.repeats, numbers.given_up) == (9, 2, 0, 0)
    assert old_store.ledger.lost_offsets() == []


def test_parked_files_of_the_release_before_go_on_but_are_never_re_aimed(old_store: StateStore) -> None:
    old_store.migrate()
    file = parked(old_store, "parked")
    assert (file.size, file.parked_at, file.failing_since, file.error) == (0, START * 1000, None, None)
    assert not file.is_answered, "nobody counted its puts"
    assert old_store.ledger.spool_usage().by_owner == {}
    assert sum(of.files for of in old_store.ledger.parked_by_trail()) == 2
    old_store.ledger.begin_parked([file.id])
    old_store.ledger.fail_parked([ParkedFailure(file.id, "AccessDenied", is_answered=True)])
    assert not old_store.ledger.reaim_parked(file, "new", "key", None)
    assert old_store.ledger.deliver_parked(file)


def test_a_digest_of_the_release_before_is_published_but_never_withdrawn(old_store: StateStore) -> None:
    old_store.migrate()
    (built,) = old_store.chains.unpublished(10)
    assert old_store.chains.begin_puts([(built.chain_id, 1)]) == [built]
    for _ in range(3):  # even if somebody counted wrong: what it linked to, and its files, are not known
        old_store.chains.fail_puts([DigestFailure(built.chain_id, 1, "AccessDenied", is_answered=True)])
    assert old_store.chains.withdraw(built.chain_id) == 0
    head = current(old_store)
    following = digest(head)
    assert old_store.chains.append(head, following, ids(old_store, head), LATER, ended=False)
    assert old_store.chains.withdraw(built.chain_id) == 1
    assert current(old_store).head_signature == "s"
    old_store.chains.mark_published(built.chain_id, 1)
    assert old_store.chains.unpublished(10) == []


def test_chains_of_the_release_before_get_the_heads_of_what_they_have_published(open_store: Opener) -> None:
    store = open_store()
    with schema_of(store, "0005") as connection:
        fill(connection)
        for chain_id, sequences in (("running", (3, 4)), ("ended", (7,)), ("waiting", (1,))):
            row = {name: getattr(chain(chain_id, incarnation=chain_id), name) for name in Chain.__slots__}
            ended = chain_id == "ended"
            add(connection, "chain", **{**row, "sequence": sequences[-1], "ended": ended})
            for sequence in sequences:
                published = None if chain_id == "waiting" else START
                add(
                    connection, "digest", chain_id=chain_id, sequence=sequence, bucket=BUCKET, object_key="k",
                    start=START, end=START + HOUR, body=b"{}", sha256="h", signature="s", fingerprint="f",
                    trail_arn="arn", published_at=published,
                )  # fmt: skip
    store.migrate()
    found = [(built.chain_id, built.sequence, built.ended) for built in store.chains.unsigned(10)]
    assert found == [("ended", 7, True), ("running", 4, False)]
    assert store.chains.heads() == []
    assert {file.records_root for file in store.chains.undigested(current(store), LATER)} == {None}
    store.chains.keep_head("ended", 7, b"head")
    assert [head.document for head in store.chains.heads()] == [b"head"]


def test_a_worker_of_the_release_before_goes_on_while_the_others_are_upgraded(old_store: StateStore) -> None:
    old_store.migrate()
    with old_store._transactions.writing() as connection:  # type: ignore[attr-defined]
        add_file(connection, "late", "intended", 7)
        connection.execute(text("UPDATE file SET state = 'parked' WHERE position = 7"))
        connection.execute(text("UPDATE client_numbers SET newest = 12, holes = '[]'"))
        add(
            connection, "digest", chain_id="chain-1", sequence=2, bucket=BUCKET, object_key="k2", start=START,
            end=START + HOUR, body=b"{}", sha256="h", signature="s2", fingerprint="f", trail_arn="arn",
        )  # fmt: skip
        connection.execute(text("UPDATE chain SET sequence = 2, head_signature = 's2'"))
    late = parked(old_store, "late")
    assert not late.is_answered
    assert late.parked_at == 0
    old_store.ledger.rename_parked(late, "renamed")
    with pytest.raises(LedgerLost):
        old_store.ledger.rename_parked(late, "renamed again")
    assert old_store.chains.withdraw("chain-1") == 0
    assert [built.sequence for built in old_store.chains.unpublished(10)] == [1, 2]
    (numbers,) = old_store.ledger.client_numbers(REGION, ACCOUNT).values()
    assert (numbers.newest, numbers.holes) == (12, ())

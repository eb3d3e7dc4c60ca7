"""A database of the release before the API, with rows in it, and that release still at work on it for a while."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import AccessKey, NewCall, NewChange, StateStore
from opentrail_backends.state.secret_box import SecretBox
from tests.contracts.state.conftest import DATABASES, SECRET_KEY, Opener, sqlite_url
from tests.contracts.state.samples import ACCOUNT, REGION, delivered, dump
from tests.contracts.state.test_upgrade import add, schema_of

OLD_KEY = AccessKey("AKIAOLD", "an old secret", ACCOUNT, "read-only")
CALL = NewCall(ACCOUNT, REGION, b"{}")


@pytest.fixture(params=DATABASES)
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a schema."""
    if request.param != "postgresql":
        return sqlite_url(request.param, tmp_path)
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def old_store(open_store: Opener) -> StateStore:
    store = open_store()
    with schema_of(store, "0002") as connection:
        connection.execute(text("UPDATE clock SET last = 1"))
        change = {"kind": "trail", "entity_id": "trail-1", "body": "{}"}
        add(connection, "configuration_change", revision=1, effective_at=1, **change)
        connection.execute(text("UPDATE configuration_head SET revision = 1, effective_at = 1"))
        add_old_key(connection, OLD_KEY)
    return store


def add_old_key(connection: Connection, key: AccessKey) -> None:
    """As the release before does: by its own columns."""
    bound_to = f"access key\n{key.access_key_id}\n{key.account_id}\n{key.role}"
    sealed = SecretBox(SECRET_KEY).seal(key.secret_access_key, bound_to)
    row = {"access_key_id": key.access_key_id, "account_id": key.account_id, "role": key.role}
    add(connection, "access_key", **row, encrypted_secret=sealed)


def test_everything_is_there_after_the_upgrade(old_store: StateStore) -> None:
    with old_store._transactions.reading() as connection:  # type: ignore[attr-defined]
        before = connection.execute(text("SELECT encrypted_secret FROM access_key")).scalar_one()
    old_store.migrate()
    (row,) = dump(old_store)["access_key"]
    assert row["encrypted_secret"] == before
    assert row["name"] == ""
    assert old_store.configuration.access_key("AKIAOLD") == OLD_KEY
    assert [key.access_key_id for key in old_store.configuration.access_keys(ACCOUNT)] == ["AKIAOLD"]
    assert [change.id for change in old_store.configuration.changes_after(0)] == ["trail-1"]


def test_an_old_store_takes_calls_and_counts_requests(old_store: StateStore) -> None:
    old_store.migrate()
    assert old_store.configuration.apply([NewChange(Kind.TRAIL, "trail-1", None)], calls=[CALL]) == 2
    assert [call.number for call in old_store.calls.claim(10, 1_000)] == [0]
    assert old_store.calls.oldest_pending().keys() == {(ACCOUNT, REGION)}
    assert [old_store.rates.take(ACCOUNT, REGION, "write", 1).requests for _ in range(2)] == [1, 0]
    delivered(old_store, ["a"])


def test_the_release_before_goes_on_while_others_are_upgraded(old_store: StateStore) -> None:
    old_store.migrate()
    configuration = old_store.configuration
    configuration.put_access_key(AccessKey("AKIANAMED", "secret", ACCOUNT, "admin", "alice"))
    with old_store._transactions.writing() as connection:  # type: ignore[attr-defined]
        add_old_key(connection, AccessKey("AKIALATE", "a late secret", ACCOUNT, "admin"))
        # It puts a key again that has a name by now, by the columns that it knows.
        connection.execute(text("DELETE FROM access_key WHERE access_key_id = 'AKIAOLD'"))
        add_old_key(connection, OLD_KEY)
        connection.execute(text("UPDATE access_key SET name = 'bob' WHERE access_key_id = 'AKIAOLD'"))
        change = {"kind": "trail", "entity_id": "trail-1", "body": "{}"}
        add(connection, "configuration_change", revision=2, effective_at=2, **change)
        connection.execute(text("UPDATE configuration_head SET revision = 2, effective_at = 2"))
    late, old = configuration.access_key("AKIALATE"), configuration.access_key("AKIAOLD")
    assert late == AccessKey("AKIALATE", "a late secret", ACCOUNT, "admin", "")
    assert old is not None
    assert (old.secret_access_key, old.name) == (OLD_KEY.secret_access_key, "bob")
    assert configuration.apply([NewChange(Kind.TRAIL, "trail-1", None)], expected_revision=2, calls=[CALL]) == 3

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from opentrail.trails.configuration import Configuration, Kind
from opentrail_backends.state import open_state_store
from opentrail_backends.state.port import NewChange, StateStore
from opentrail_cli.apply import apply_declaration, newest_configuration
from opentrail_cli.credentials import secret_key_at
from opentrail_cli.declared import parse_declaration
from opentrail_cli.errors import CommandFailed, Mistakes
from tests.unit.cli.declarations import TRAIL, WHOLE

KEY = bytes(range(32))


@pytest.fixture
def state() -> Iterator[StateStore]:
    store = open_state_store("sqlite://", secret_key=KEY)
    store.migrate()
    yield store
    store.close()


def test_applying_makes_credentials_once(state: StateStore) -> None:
    declaration, _ = parse_declaration(WHOLE, "t")
    first = apply_declaration(declaration, state.configuration, KEY)
    ((account, name, token),) = [(t.account_id, t.name, t.token) for t in first.new_tokens]
    assert (account, name) == ("444455556666", "web servers")
    assert state.configuration.account_of_token(sha256(token.encode()).digest()) == "444455556666"
    (key,) = first.new_access_keys
    assert state.configuration.access_key(key.access_key_id) == key
    assert (key.account_id, len(key.access_key_id), len(key.secret_access_key)) == ("111122223333", 20, 40)
    assert token not in repr(first)
    assert key.secret_access_key not in repr(first)
    again = apply_declaration(declaration, state.configuration, KEY)
    assert (again.changes, again.new_tokens, again.new_access_keys) == ((), [], [])
    assert again.configuration.revision == first.configuration.revision == 4


def test_a_token_by_its_hash_is_kept_and_one_that_has_ended_is_not(state: StateStore) -> None:
    digest = sha256(b"mine").hexdigest()
    account = '[[accounts]]\nid = "111122223333"\n[[tokens]]\naccount_id = "111122223333"\nname = "n"\n'
    declaration, _ = parse_declaration(f'{account}sha256 = "{digest}"\n', "t")
    assert apply_declaration(declaration, state.configuration, KEY).new_tokens == []
    assert state.configuration.account_of_token(bytes.fromhex(digest)) == "111122223333"
    ended, _ = parse_declaration(f"{account}expires_at = 2020-01-01T00:00:00Z\n", "t")
    assert apply_declaration(ended, state.configuration, KEY).new_tokens == []


@pytest.mark.parametrize("sha256_of", ["", f'sha256 = "{sha256(b"mine").hexdigest()}"\n'])
def test_a_token_whose_end_is_set_to_the_past_is_refused_from_then_on(state: StateStore, sha256_of: str) -> None:
    table = '[[accounts]]\nid = "111122223333"\n[[tokens]]\naccount_id = "111122223333"\nname = "n"\n' + sha256_of
    declaration, _ = parse_declaration(table, "t")
    made = apply_declaration(declaration, state.configuration, KEY).new_tokens
    token_hash = sha256(made[0].token.encode() if made else b"mine").digest()
    assert state.configuration.account_of_token(token_hash) == "111122223333"
    ended, _ = parse_declaration(f"{table}expires_at = 2020-01-01T00:00:00Z\n", "t")
    assert apply_declaration(ended, state.configuration, KEY).new_tokens == []
    assert state.configuration.account_of_token(token_hash) is None


def test_a_mistake_changes_nothing(state: StateStore) -> None:
    declaration, places = parse_declaration(WHOLE.replace("example-logs", "No"), "t")
    with pytest.raises(Mistakes):
        apply_declaration(declaration, state.configuration, KEY, places=places)
    assert newest_configuration(state.configuration) == Configuration()


def test_a_change_by_someone_else_in_between_is_seen(state: StateStore) -> None:
    declaration, _ = parse_declaration(TRAIL, "t")
    store = state.configuration
    real_apply, interruptions = store.apply, []

    def interrupted(new: list[NewChange], expected_revision: int | None = None) -> int:
        if not interruptions:
            interruptions.append(1)
            real_apply([NewChange(Kind.ACCOUNT, "999999999999", {"name": "theirs"})])
        return real_apply(new, expected_revision)

    store.apply = interrupted  # type: ignore[method-assign,assignment]
    applied = apply_declaration(declaration, store, KEY)
    assert set(applied.configuration.accounts) == {"111122223333", "999999999999"}
    assert len(applied.configuration.trails) == 1


def test_changes_by_others_without_end_are_an_error(state: StateStore) -> None:
    declaration, _ = parse_declaration(TRAIL, "t")
    store, real_apply = state.configuration, state.configuration.apply
    numbers = count()

    def interrupted(new: list[NewChange], expected_revision: int | None = None) -> int:
        real_apply([NewChange(Kind.ACCOUNT, "999999999999", {"name": str(next(numbers))})])
        return real_apply(new, expected_revision)

    store.apply = interrupted  # type: ignore[method-assign,assignment]
    with pytest.raises(CommandFailed, match="by others all the time"):
        apply_declaration(declaration, store, KEY)


def test_the_secret_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret.key"
    key = secret_key_at(path)
    assert secret_key_at(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret.key"]
    path.write_bytes(b"short")
    with pytest.raises(CommandFailed, match="must have 32 bytes, not 5"):
        secret_key_at(path)

"""Revisions, tokens and access keys."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Semaphore

import pytest
from sqlalchemy import text

from opentrail.trails.configuration import Change, Kind
from opentrail_backends.state.port import (
    AccessKey,
    NewChange,
    ProducerToken,
    RevisionConflict,
    StateError,
    StateStore,
)
from tests.contracts.state.conftest import Opener, between_processes
from tests.contracts.state.samples import START, Clock, dump

TRAIL = NewChange(Kind.TRAIL, "trail-1", {"name": "audit", "nested": {"list": [1, None, "ü"]}})


def test_nothing_was_ever_changed(store: StateStore) -> None:
    assert store.configuration.changes_after(0) == []
    assert store.configuration.apply([]) == 0
    assert store.configuration.apply([], expected_revision=0) == 0


def test_changes_get_revisions_and_rising_times(store: StateStore) -> None:
    gone = NewChange(Kind.ACCOUNT, "111122223333", None)
    assert store.configuration.apply([TRAIL, gone]) == 2
    assert store.configuration.apply([TRAIL]) == 3

    now = START * 1000
    assert store.configuration.changes_after(0) == [
        Change(1, now, Kind.TRAIL, "trail-1", TRAIL.body),
        Change(2, now + 1, Kind.ACCOUNT, "111122223333", None),
        Change(3, now + 2, Kind.TRAIL, "trail-1", TRAIL.body),
    ]
    assert [change.revision for change in store.configuration.changes_after(2)] == [3]
    assert store.configuration.changes_after(3) == []


def test_times_rise_strictly_when_the_clock_steps_back(store: StateStore, other: StateStore, clock: Clock) -> None:
    store.configuration.apply([TRAIL])
    clock.move(-3600)
    other.configuration.apply([TRAIL, TRAIL])
    clock.move(7200)
    store.configuration.apply([TRAIL])
    times = [change.effective_at for change in store.configuration.changes_after(0)]
    assert times == [START * 1000, START * 1000 + 1, START * 1000 + 2, (START + 3600) * 1000]


def test_the_store_is_never_earlier_than_its_newest_revision(store: StateStore) -> None:
    store.configuration.apply([TRAIL] * 500)
    assert store.configuration.now() >= store.configuration.changes_after(0)[-1].effective_at
    assert store.ledger.now() >= START * 1000 + 499


@pytest.mark.parametrize("expected", [0, 2, 7])
def test_a_change_of_another_revision_conflicts_and_leaves_nothing(store: StateStore, expected: int) -> None:
    store.configuration.apply([TRAIL])
    before = dump(store)
    for changes in ([TRAIL], []):
        with pytest.raises(RevisionConflict, match="at revision 1"):
            store.configuration.apply(changes, expected_revision=expected)
    assert dump(store) == before
    assert store.configuration.apply([TRAIL], expected_revision=1) == 2


def test_a_body_that_is_no_json_is_refused_and_takes_no_revision(store: StateStore) -> None:
    with pytest.raises(StateError):
        store.configuration.apply([TRAIL, NewChange(Kind.TRAIL, "trail-2", {"limit": float("nan")})])
    assert store.configuration.apply([TRAIL]) == 1


def test_of_changes_that_expect_the_same_revision_one_wins(store: StateStore, other: StateStore) -> None:
    def change(index: int) -> bool:
        try:
            (store, other)[index % 2].configuration.apply([TRAIL], expected_revision=0)
        except RevisionConflict:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(change, range(6))) == 1
    assert [change.revision for change in store.configuration.changes_after(0)] == [1]


def test_revisions_become_visible_in_their_order_without_gaps(store: StateStore, other: StateStore) -> None:
    """A follower that knows revision N knows all before it, whatever is committing meanwhile."""
    sizes = (1, 3, 2, 1, 4)
    writers = 4
    progress = Semaphore(0)

    def write(index: int) -> None:
        for size in sizes:
            try:
                (store, other)[index % 2].configuration.apply([TRAIL] * size)
            finally:
                progress.release()

    def follow() -> list[Change]:
        known: list[Change] = []
        for _ in range(writers * len(sizes)):
            assert progress.acquire(timeout=60)
            known += other.configuration.changes_after(len(known))
            assert [change.revision for change in known] == list(range(1, len(known) + 1))
        return known

    with ThreadPoolExecutor(writers + 1) as threads:
        following = threads.submit(follow)
        list(threads.map(write, range(writers)))
        known = following.result(60)

    assert len(known) == 44
    times = [change.effective_at for change in known]
    assert times == sorted(set(times))


# --- tokens ---------------------------------------------------------------------------------------

HASH = bytes(32)


def test_a_token_belongs_to_its_account_until_it_is_removed(store: StateStore) -> None:
    assert store.configuration.account_of_token(HASH) is None
    store.configuration.add_token(HASH, "111122223333", "billing")
    store.configuration.add_token(HASH, "111122223333", "billing")
    assert store.configuration.account_of_token(HASH) == "111122223333"
    assert store.configuration.account_of_token(b"\x01" * 32) is None
    assert store.configuration.remove_token(HASH)
    assert not store.configuration.remove_token(HASH)
    assert store.configuration.account_of_token(HASH) is None


def test_tokens_are_listed_by_account_name_and_hash(store: StateStore) -> None:
    kept = [
        ProducerToken(b"\x02" * 32, "111122223333", "alpha", None),
        ProducerToken(b"\x01" * 32, "111122223333", "beta", 1),
        ProducerToken(b"\x03" * 32, "111122223333", "beta", START * 1000 + 1),
    ]
    for token in (*reversed(kept), ProducerToken(HASH, "444455556666", "alpha", None)):
        store.configuration.add_token(token.token_hash, token.account_id, token.name, token.expires_at)
    assert list(store.configuration.tokens("111122223333")) == kept
    assert store.configuration.tokens("999999999999") == []


def test_a_token_expires_by_the_stores_clock(store: StateStore, clock: Clock) -> None:
    end = (START + 60) * 1000
    store.configuration.add_token(HASH, "111122223333", "billing", expires_at=end)
    clock.milliseconds = end - 1
    assert store.configuration.account_of_token(HASH) == "111122223333"
    clock.milliseconds = end
    assert store.configuration.account_of_token(HASH) is None
    store.configuration.add_token(HASH, "111122223333", "billing", expires_at=end + 1)
    assert store.configuration.account_of_token(HASH) == "111122223333"


@pytest.mark.parametrize("wrong", [b"", b"a-token-itself", bytes(31), bytes(33)])
def test_only_a_hash_is_kept_as_a_token(store: StateStore, wrong: bytes) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        store.configuration.add_token(wrong, "111122223333", "billing")


# --- access keys ----------------------------------------------------------------------------------

KEY = AccessKey("AKIAEXAMPLE", "wJalrXUtnFEMI/bPxRfiCYEXAMPLEKEY", "111122223333", "admin")


def test_an_access_key_comes_back_with_its_secret(store: StateStore) -> None:
    assert store.configuration.access_key("AKIAEXAMPLE") is None
    store.configuration.put_access_key(KEY)
    store.configuration.put_access_key(KEY)
    assert store.configuration.access_key("AKIAEXAMPLE") == KEY
    reader = AccessKey("AKIAEXAMPLE", "another secret ü", "111122223333", "read-only")
    store.configuration.put_access_key(reader)
    assert store.configuration.access_key("AKIAEXAMPLE") == reader


def test_a_secret_is_encrypted_at_rest_and_never_the_same_twice(store: StateStore) -> None:
    store.configuration.put_access_key(KEY)
    first = dump(store)["access_key"]
    store.configuration.put_access_key(KEY)
    assert KEY.secret_access_key not in repr(first)
    assert first != dump(store)["access_key"]


def test_an_access_key_has_the_name_of_who_uses_it(store: StateStore, other: StateStore) -> None:
    store.configuration.put_access_key(replace(KEY, name="alice ü"))
    assert other.configuration.access_key("AKIAEXAMPLE") == replace(KEY, name="alice ü")
    store.configuration.put_access_key(replace(KEY, name="bob"))
    assert other.configuration.access_key("AKIAEXAMPLE") == replace(KEY, name="bob")


def test_access_keys_of_an_account_are_listed_by_their_ids_only(store: StateStore) -> None:
    assert store.configuration.access_keys("111122223333") == []
    for name, account_id in (("B", "111122223333"), ("a", "111122223333"), ("C", "444455556666")):
        store.configuration.put_access_key(replace(KEY, access_key_id=f"AKIA{name}", account_id=account_id, name=name))
    listed = store.configuration.access_keys("111122223333")
    assert [(key.access_key_id, key.name, key.role) for key in listed] == [
        ("AKIAB", "B", "admin"),
        ("AKIAa", "a", "admin"),
    ]
    assert {(key.account_id, key.secret_access_key) for key in listed} == {("111122223333", "")}


def test_an_access_key_that_is_removed_is_unknown(store: StateStore, other: StateStore) -> None:
    store.configuration.put_access_key(KEY)
    store.configuration.put_access_key(replace(KEY, access_key_id="AKIASTAYS"))
    assert store.configuration.remove_access_key("AKIAEXAMPLE")
    assert other.configuration.access_key("AKIAEXAMPLE") is None
    assert not other.configuration.remove_access_key("AKIAEXAMPLE")
    assert [key.access_key_id for key in store.configuration.access_keys("111122223333")] == ["AKIASTAYS"]


@between_processes
@pytest.mark.parametrize("key", [None, bytes(32)], ids=["no key", "another key"])
def test_without_the_right_secret_key_there_are_no_access_keys(
    store: StateStore, open_store: Opener, key: bytes | None
) -> None:
    store.configuration.put_access_key(KEY)
    stranger = open_store(secret_key=key)
    with pytest.raises(StateError, match="secret key"):
        stranger.configuration.access_key("AKIAEXAMPLE")
    assert stranger.configuration.access_key("AKIAUNKNOWN") is None
    assert store.configuration.access_key("AKIAEXAMPLE") == KEY


@between_processes
def test_without_a_secret_key_none_is_kept(store: StateStore, open_store: Opener) -> None:
    with pytest.raises(StateError, match="need a secret key"):
        open_store(secret_key=None).configuration.put_access_key(KEY)
    assert dump(store)["access_key"] == []


@between_processes
def test_without_a_secret_key_access_keys_are_listed_and_removed(store: StateStore, open_store: Opener) -> None:
    store.configuration.put_access_key(KEY)
    operator = open_store(secret_key=None).configuration
    assert [key.access_key_id for key in operator.access_keys("111122223333")] == ["AKIAEXAMPLE"]
    assert operator.remove_access_key("AKIAEXAMPLE")


@pytest.mark.parametrize("change", ["role = 'super'", "account_id = '999999999999'", "access_key_id = 'AKIAOTHER'"])
def test_a_secret_is_bound_to_its_row(store: StateStore, change: str) -> None:
    store.configuration.put_access_key(KEY)
    with store._transactions.writing() as connection:  # type: ignore[attr-defined]
        connection.execute(text(f"UPDATE access_key SET {change}"))
    with pytest.raises(StateError, match="cannot be decrypted"):
        store.configuration.access_key("AKIAOTHER" if "AKIAOTHER" in change else "AKIAEXAMPLE")

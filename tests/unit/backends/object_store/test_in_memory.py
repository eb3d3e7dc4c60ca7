"""The store that tests script: what it promises to crash tests."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from opentrail_backends.object_store.in_memory import (
    Hold,
    InMemoryObjectStore,
    LoseAnswer,
    ObjectReplaced,
    Refuse,
    Throttle,
)
from opentrail_backends.object_store.port import (
    ObjectAlreadyExists,
    ObjectNotFound,
    ObjectStoreError,
    OutcomeUnknown,
    PutOptions,
    PutRefused,
    StoreThrottled,
)

BUCKET, OPTIONS = "trail-logs", PutOptions()


@pytest.fixture
def store() -> InMemoryObjectStore:
    return InMemoryObjectStore([BUCKET])


def outcome(call: Callable[[], object]) -> type[ObjectStoreError] | None:
    try:
        call()
    except ObjectStoreError as error:
        return type(error)
    return None


def test_the_script_is_followed_in_order_and_then_used_up(store: InMemoryObjectStore) -> None:
    store.script("AWSLogs/*", Refuse("KMS.DisabledException"), Throttle(), LoseAnswer(kept=False))
    puts = [outcome(lambda: store.put(BUCKET, "AWSLogs/deep/key", b"body", OPTIONS)) for _ in range(5)]
    assert puts == [PutRefused, StoreThrottled, OutcomeUnknown, None, ObjectAlreadyExists]
    names = ["PutRefused", "StoreThrottled", "OutcomeUnknown", "stored", "ObjectAlreadyExists"]
    assert [attempt.outcome for attempt in store.attempts] == names
    assert {attempt.body for attempt in store.attempts} == {b"body"}


def test_a_lost_answer_may_have_been_kept(store: InMemoryObjectStore) -> None:
    store.script("*", LoseAnswer(kept=True))
    assert outcome(lambda: store.put(BUCKET, "key", b"body", OPTIONS)) is OutcomeUnknown
    assert store.get(BUCKET, "key").body == b"body"


def test_a_lost_answer_on_a_taken_key_is_still_a_conflict(store: InMemoryObjectStore) -> None:
    store.put(BUCKET, "key", b"first", OPTIONS)
    store.script("*", LoseAnswer(kept=True))
    assert outcome(lambda: store.put(BUCKET, "key", b"second", OPTIONS)) is ObjectAlreadyExists


@pytest.mark.parametrize(("redone", "appeared", "body"), [(False, 1, b"late"), (True, 0, b"redone")])
def test_a_late_object_never_replaces_the_redone_one(
    store: InMemoryObjectStore, redone: bool, appeared: int, body: bytes
) -> None:
    store.script("*", LoseAnswer(kept="late"))
    assert outcome(lambda: store.put(BUCKET, "key", b"late", OPTIONS)) is OutcomeUnknown
    assert outcome(lambda: store.get(BUCKET, "key")) is ObjectNotFound
    if redone:
        store.put(BUCKET, "key", b"redone", OPTIONS)
    assert store.release_late() == appeared
    assert store.release_late() == 0
    assert store.get(BUCKET, "key").body == body


def test_for_ever_means_until_the_script_is_cleared(store: InMemoryObjectStore) -> None:
    store.script("*", Refuse(), times=None)
    assert {outcome(lambda: store.put(BUCKET, "key", b"", OPTIONS)) for _ in range(9)} == {PutRefused}
    store.clear_script()
    store.put(BUCKET, "key", b"", OPTIONS)


def test_reads_are_scripted_apart_from_puts(store: InMemoryObjectStore) -> None:
    store.script("*", LoseAnswer(kept=True), Throttle(), operation="read")
    store.put(BUCKET, "key", b"", OPTIONS)
    assert outcome(lambda: store.metadata(BUCKET, "key")) is OutcomeUnknown
    assert outcome(lambda: store.get(BUCKET, "key")) is StoreThrottled
    assert outcome(lambda: store.get(BUCKET, "key")) is None


def test_a_held_put_waits_until_it_is_released(store: InMemoryObjectStore) -> None:
    entered, release = threading.Event(), threading.Event()
    store.script("held", Hold(entered, release))
    thread = threading.Thread(target=store.put, args=(BUCKET, "held", b"", OPTIONS))
    thread.start()
    assert entered.wait(10)
    store.put(BUCKET, "other", b"", OPTIONS)
    assert [info.key for info in store.list(BUCKET)] == ["other"]
    release.set()
    thread.join(10)
    assert [info.key for info in store.list(BUCKET)] == ["held", "other"]


def test_replacing_an_object_behind_the_port_fails_loudly(store: InMemoryObjectStore) -> None:
    store.put(BUCKET, "key", b"first", OPTIONS)
    kept = store._buckets[BUCKET]["key"]
    with pytest.raises(ObjectReplaced):
        store._buckets[BUCKET]["key"] = kept


def test_an_intruder_can_change_and_delete(store: InMemoryObjectStore) -> None:
    store.put(BUCKET, "key", b"first", PutOptions({"signature": "0a"}))
    store.tamper(BUCKET, "key", b"changed")
    assert store.get(BUCKET, "key").body == b"changed"
    assert store.options(BUCKET, "key").metadata == {"signature": "0a"}
    store.delete(BUCKET, "key")
    assert outcome(lambda: store.get(BUCKET, "key")) is ObjectNotFound

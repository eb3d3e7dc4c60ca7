"""A commit whose answer is lost: kept or not, it is reported as unknown, and never half."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, text

from opentrail.trails.configuration import Kind
from opentrail_backends.state.port import (
    AccessKey,
    DigestFailure,
    Lease,
    LedgerLost,
    NewCall,
    NewChange,
    OutcomeUnknown,
    ParkedFailure,
    ParkedFile,
    Settlement,
    StateError,
    StateStore,
)
from tests.contracts.state.conftest import Opener
from tests.contracts.state.samples import (
    PARKED,
    REGION,
    START,
    chain,
    current,
    delivered,
    digest,
    dump,
    intended_file,
    intent,
    public_key,
)
from tests.contracts.state.severed import Severing, lose_next_commit

OPEN = intent(1, 0, 10, intended_file("a"))
A = "AWSLogs/a.json.gz"
CALL = NewCall("111122223333", REGION, b"{}")


def lease_of(store: StateStore) -> Lease:
    row = next(row for row in dump(store)["partition"] if row["number"] == 0)
    return Lease(REGION, 0, row["epoch"], row["token"], row["last_intent"], row["next_offset"])


def parked(store: StateStore) -> ParkedFile:
    (file,) = store.ledger.parked_files(10)
    return file


def append(store: StateStore) -> bool:
    head = current(store)
    (file,) = store.chains.undigested(head, START + 1)
    return store.chains.append(head, digest(head), [file.id], head.next_end + 3600, ended=False)


WRITES: dict[str, Callable[[StateStore], Any]] = {
    "record topic": lambda store: store.ledger.record_topic(REGION, "topic-a", 8),
    "step 1": lambda store: store.ledger.own(REGION, 0, 0),
    "step 3": lambda store: store.ledger.write_intent(lease_of(store), intent(2, 10, 20, intended_file("c"))),
    "step 4": lambda store: store.ledger.rename_file(lease_of(store), 1, A, "AWSLogs/b.json.gz"),
    "step 5": lambda store: store.ledger.deliver(lease_of(store), OPEN),
    "step 5, parked": lambda store: store.ledger.deliver(lease_of(store), OPEN, parked={A: PARKED}),
    "settle": lambda store: store.ledger.settle(
        lease_of(store), Settlement(topic_id="new", partitions=8, next_offset=3, lost=[A])
    ),
    "parked, begin": lambda store: store.ledger.begin_parked([parked(store).id]),
    "parked, fail": lambda store: store.ledger.fail_parked([ParkedFailure(parked(store).id, "x", is_answered=True)]),
    "parked, rename": lambda store: store.ledger.rename_parked(parked(store), "new/key"),
    "parked, re-aim": lambda store: store.ledger.reaim_parked(parked(store), "new", "new/key", None),
    "parked, deliver": lambda store: store.ledger.deliver_parked(parked(store)),
    "parked, expire": lambda store: store.ledger.expire_parked(0),
    "worker": lambda store: store.ledger.report_worker("new", {"batch": 2}),
    "no worker": lambda store: store.ledger.remove_worker("old"),
    "step 9, begin": lambda store: store.chains.begin_puts([("published", 1)]),
    "step 9, fail": lambda store: store.chains.fail_puts([DigestFailure("published", 1, "x", is_answered=True)]),
    "withdraw": lambda store: store.chains.withdraw("published"),
    "chains": lambda store: store.chains.ensure_chains([chain("chain-2", logging_session=2)]),
    "step 8": append,
    "ending": lambda store: store.chains.mark_ending("chain-1"),
    "step 10": lambda store: store.chains.mark_published("published", 1, None, b"head"),
    "step 10, later": lambda store: store.chains.keep_head("unsigned", 1, b"head"),
    "step 11": lambda store: store.chains.mark_heads_put([("signed", 1)]),
    "key": lambda store: store.public_keys.add(public_key("a", 1, 2)),
    "revision": lambda store: store.configuration.apply([NewChange(Kind.TRAIL, "trail-1", {})]),
    "revision by a call": lambda store: store.configuration.apply([NewChange(Kind.TRAIL, "trail-1", {})], calls=[CALL]),
    "call": lambda store: store.calls.record([CALL]),
    "claim": lambda store: store.calls.claim(10, 1000),
    "call, done": lambda store: store.calls.done([dump(store)["api_call"][0]["id"]]),
    "token": lambda store: store.configuration.add_token(bytes(32), "111122223333", "t"),
    "no token": lambda store: store.configuration.remove_token(b"\x01" * 32),
    "access key": lambda store: store.configuration.put_access_key(AccessKey("AKIA", "secret")),
    "no access key": lambda store: store.configuration.remove_access_key("AKIAOLD"),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
kept_or_not = pytest.mark.parametrize("kept", [True, False], ids=["kept", "lost"])


def prepare(store: StateStore) -> None:
    """A store in which each of the writes has something to do."""
    lease, _ = store.ledger.own(REGION, 0, 0)
    store.ledger.write_intent(lease, OPEN)
    delivered(store, ["undigested"], partition=1)
    published = chain("published", incarnation="trail-9", place="place-9")
    store.chains.ensure_chains([chain(), published])
    store.chains.append(published, digest(published), [], START + 7200, ended=False)
    for name, head in (("unsigned", None), ("signed", b"head")):
        of_head = chain(name, incarnation=name, place=name)
        store.chains.ensure_chains([of_head])
        store.chains.append(of_head, digest(of_head), [], START + 7200, ended=False)
        store.chains.mark_published(name, 1, None, head)
    store.configuration.add_token(b"\x01" * 32, "111122223333", "t")
    window = intent(1, 0, 10, intended_file("parked"))
    lease = store.ledger.write_intent(store.ledger.own(REGION, 2, 0)[0], window)
    store.ledger.deliver(lease, window, {window.files[0].object_key: PARKED})
    store.ledger.report_worker("old", {"batch": 1})
    store.calls.record([CALL])
    store.configuration.put_access_key(AccessKey("AKIAOLD", "secret"))


@each_write
@kept_or_not
def test_an_answer_that_is_lost_is_an_unknown_outcome(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, write: Callable[[StateStore], Any], kept: bool
) -> None:
    prepare(store)
    before = dump(store)
    lose_next_commit(store, monkeypatch, kept=kept)

    with pytest.raises(OutcomeUnknown, match="may have been kept"):
        write(store)

    assert (dump(store) != before) == kept


@kept_or_not
def test_after_an_unknown_change_its_call_is_there_if_it_is(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    lose_next_commit(store, monkeypatch, kept=kept)
    with pytest.raises(OutcomeUnknown):
        WRITES["revision by a call"](store)
    changes = store.configuration.changes_after(0)
    assert len(changes) == len(store.calls.claim(10, 1000)) == int(kept)


@kept_or_not
def test_after_an_unknown_intent_step_1_tells_what_was_kept(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    lose_next_commit(store, monkeypatch, kept=kept)
    with pytest.raises(OutcomeUnknown):
        store.ledger.write_intent(lease, OPEN)

    again, open_intents = store.ledger.own(REGION, 0, 0)

    assert open_intents == ([OPEN] if kept else [])
    assert again.last_intent == (1 if kept else 0)
    with pytest.raises(LedgerLost):
        store.ledger.write_intent(lease, OPEN)


@kept_or_not
def test_after_an_unknown_delivery_each_file_is_delivered_once(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    lease = store.ledger.write_intent(lease, OPEN)
    lose_next_commit(store, monkeypatch, kept=kept)
    with pytest.raises(OutcomeUnknown):
        store.ledger.deliver(lease, OPEN)

    lease, open_intents = store.ledger.own(REGION, 0, 0)
    for window in open_intents:
        lease = store.ledger.deliver(lease, window)

    assert lease.next_offset == 10
    assert len(store.chains.undigested(chain(), START + 1)) == 1


@kept_or_not
def test_after_an_unknown_digest_its_files_are_in_one_digest(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    prepare(store)
    lose_next_commit(store, monkeypatch, kept=kept)
    with pytest.raises(OutcomeUnknown):
        append(store)

    if not kept:
        assert append(store)

    assert current(store).sequence == 1
    assert store.chains.undigested(current(store), START + 1) == []
    assert [built.sequence for built in store.chains.unpublished(9) if built.chain_id == "chain-1"] == [1]


@pytest.mark.postgresql
@pytest.mark.parametrize("state_url", ["postgresql"], indirect=True)
@kept_or_not
def test_a_connection_that_is_cut_at_the_commit(state_url: str, open_store: Opener, kept: bool) -> None:
    """On the wire: a proxy that passes the commit on (or not) and then closes both sides."""
    watcher = open_store()
    watcher.migrate()
    with Severing(state_url) as proxy:
        store = open_store(url=proxy.url)
        lease, _ = store.ledger.own(REGION, 0, 0)
        proxy.sever_at_commit(pass_on=kept)

        with pytest.raises(OutcomeUnknown):
            store.ledger.write_intent(lease, OPEN)

        again, open_intents = store.ledger.own(REGION, 0, 0)
        assert again.epoch == lease.epoch + 1
        assert open_intents == ([OPEN] if kept else [])


@pytest.mark.postgresql
@pytest.mark.parametrize("state_url", ["postgresql"], indirect=True)
def test_a_connection_that_is_lost_before_the_commit_changed_nothing(store: StateStore, other: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    engine = store._transactions.engine  # type: ignore[attr-defined]

    def terminate(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO file"):
            process = connection.connection.dbapi_connection.info.backend_pid
            with other._transactions.writing() as elsewhere:  # type: ignore[attr-defined]
                elsewhere.execute(text(f"SELECT pg_terminate_backend({process}, 60000)"))

    event.listen(engine, "before_cursor_execute", terminate)
    with pytest.raises(StateError, match="Nothing was changed") as lost:
        store.ledger.write_intent(lease, OPEN)
    event.remove(engine, "before_cursor_execute", terminate)

    assert not isinstance(lost.value, OutcomeUnknown)
    assert store.ledger.own(REGION, 0, 0)[1] == []


@pytest.mark.parametrize("state_url", ["sqlite memory", "sqlite file"], indirect=True)
def test_a_full_disk_before_the_commit_changed_nothing(store: StateStore) -> None:
    lease, _ = store.ledger.own(REGION, 0, 0)
    engine = store._transactions.engine  # type: ignore[attr-defined]

    def fill(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO file"):
            connection.connection.dbapi_connection.execute("PRAGMA max_page_count = 1")

    event.listen(engine, "before_cursor_execute", fill)
    before = dump(store)
    with pytest.raises(StateError, match="disk is full") as full:
        store.ledger.write_intent(lease, intent(1, 0, 10, *(intended_file(f"{n}") for n in range(2000))))
    event.remove(engine, "before_cursor_execute", fill)

    assert not isinstance(full.value, OutcomeUnknown)
    assert dump(store) == before

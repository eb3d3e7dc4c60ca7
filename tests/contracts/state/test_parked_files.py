"""Parked files: each is delivered once, by whoever put it under the key that the ledger has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opentrail_backends.state.port import Chain, LedgerLost, ParkedFile, StateStore
from tests.contracts.state.samples import (
    LATER,
    PARKED,
    REGION,
    START,
    Clock,
    chain,
    current,
    digest,
    ids,
    intended_file,
    intent,
)


@pytest.fixture
def parked(store: StateStore) -> ParkedFile:
    lease, _ = store.ledger.own(REGION, 0, 0)
    files = [intended_file("good"), intended_file("bad")]
    window = intent(1, 0, 10, *files)
    store.ledger.deliver(store.ledger.write_intent(lease, window), window, {files[1].object_key: PARKED})
    (file,) = store.ledger.parked_files(10)
    return file


def test_parked_files_are_listed_with_what_the_spool_needs(store: StateStore, parked: ParkedFile) -> None:
    wanted = intended_file("bad")
    assert (parked.bucket, parked.object_key, parked.sha256) == (wanted.bucket, wanted.object_key, wanted.sha256)
    assert parked.incarnation == wanted.incarnation
    assert store.ledger.parked_files(10, after=parked.id) == []
    assert store.ledger.parked_files(0) == []


def test_a_parked_file_is_in_no_digest_before_it_is_delivered(
    store: StateStore, first: Chain, parked: ParkedFile, clock: Clock
) -> None:
    assert len(store.chains.undigested(first, LATER)) == 1
    clock.move(7)
    assert store.ledger.deliver_parked(parked)
    late = store.chains.undigested(first, LATER)[-1]
    assert (late.object_key, late.delivered_at) == (parked.object_key, (START + 7) * 1000)
    assert store.ledger.parked_files(10) == []


def test_of_two_that_put_it_one_delivers_it(store: StateStore, parked: ParkedFile) -> None:
    assert [store.ledger.deliver_parked(parked), store.ledger.deliver_parked(parked)] == [True, False]


def test_who_put_it_under_an_older_key_delivers_nothing(store: StateStore, parked: ParkedFile) -> None:
    store.ledger.rename_parked(parked, "another/key")
    assert not store.ledger.deliver_parked(parked)
    with pytest.raises(LedgerLost):
        store.ledger.rename_parked(parked, "a third/key")
    assert store.ledger.deliver_parked(replace(parked, object_key="another/key"))


def test_a_chain_that_has_ended_gets_one_more_starting_digest(
    store: StateStore, first: Chain, parked: ParkedFile
) -> None:
    last = digest(first)
    assert store.chains.append(first, last, ids(store, first, last.end), last.end + 3600, ended=True)
    assert store.chains.orphans(10) == []
    store.ledger.deliver_parked(parked)
    (orphans,) = store.chains.orphans(10)
    assert (orphans.incarnation, orphans.logging_session, orphans.object_key) == ("trail-1", 1, parked.object_key)
    store.chains.ensure_chains([chain(ending=True)])
    assert store.chains.orphans(10) == []
    again = current(store)
    assert (again.ended, again.ending, again.head_key, again.sequence) == (False, True, None, 1)
    assert [due.id for due in store.chains.due(last.end + 1, 10)] == [first.id]


def test_step_10_leaves_a_digest_that_was_restamped_meanwhile(store: StateStore, first: Chain) -> None:
    old = digest(first)
    assert store.chains.append(first, old, [], old.end + 3600, ended=False)
    new = replace(old, object_key="later", end=old.end + 1, signature="new", body=b"{}")
    before = current(store)
    assert store.chains.replace_waiting([old], [new])
    assert not store.chains.replace_waiting([old], [replace(new, end=new.end + 1)])
    store.chains.mark_published(first.id, 1, old.signature)
    assert store.chains.unpublished(10) == [new]
    head = current(store)
    assert (head.head_key, head.head_signature, head.last_end) == ("later", "new", new.end)
    assert not store.chains.append(before, digest(before, LATER), [], LATER, ended=False), "it links to the old bytes"
    store.chains.mark_published(first.id, 1, new.signature)
    assert store.chains.unpublished(10) == []


def test_a_published_digest_is_never_replaced(store: StateStore, first: Chain) -> None:
    old = digest(first)
    assert store.chains.append(first, old, [], old.end + 3600, ended=False)
    store.chains.mark_published(first.id, 1)
    assert not store.chains.replace_waiting([old], [replace(old, end=old.end + 1, signature="new")])
    assert current(store).head_signature == old.signature


def test_a_stamp_that_another_chain_of_the_place_has_used_is_not_given_again(store: StateStore, first: Chain) -> None:
    old = digest(first)
    assert store.chains.append(first, old, [], old.end + 3600, ended=True)
    store.chains.ensure_chains([chain("chain-2", logging_session=2)])
    newer = current(store, "chain-2")
    assert store.chains.append(newer, digest(newer), [], newer.next_end + 3600, ended=False)
    assert not store.chains.replace_waiting([old], [replace(old, end=old.end + 1, signature="new")])
